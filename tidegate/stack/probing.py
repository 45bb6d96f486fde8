"""Asks a process whether it is ready. No HTTP library: the supervisor stays small."""

import http.client
import socket
import urllib.parse
from pathlib import Path

import psutil

from tidegate.log_files import read_new
from tidegate.stack.specification import HttpProbe, LogProbe, Probe, TcpProbe

PROBE_TIMEOUT_S = 1.0


def is_ready(probe: Probe, *, pid: int, log_path: Path, log_offset: int, alive_s: float) -> bool:
    """One question, answered within a second; a refused or broken connection means not yet.

    An answer counts only from the process or its descendants: another program may have taken the port.
    """
    if isinstance(probe, HttpProbe):
        port = urllib.parse.urlsplit(probe.url).port or 80
        return _answers(probe) and family_listens(pid, port)
    if isinstance(probe, TcpProbe):
        return listens(probe.host, probe.port) and family_listens(pid, probe.port)
    if isinstance(probe, LogProbe):
        return probe.text in read_new(log_path, log_offset)[0]
    return alive_s >= probe.seconds


def family_listens(pid: int, port: int) -> bool:
    """True when the process or one of its descendants listens on the port."""
    try:
        leader = psutil.Process(pid)
        family = [leader, *leader.children(recursive=True)]
    except psutil.Error:
        return False
    return any(_has_listener(process, port) for process in family)


def _has_listener(process: psutil.Process, port: int) -> bool:
    try:
        connections = process.net_connections("tcp")
    except psutil.Error:
        return False
    return any(
        one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port for one in connections
    )


def listens(host: str, port: int, timeout_s: float = PROBE_TIMEOUT_S) -> bool:
    """True when a TCP connection is accepted."""
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except OSError:
        return False
    return True


def _answers(probe: HttpProbe) -> bool:
    address = urllib.parse.urlsplit(probe.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", address.path or "/")
        return connection.getresponse().status < probe.ok_below
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
