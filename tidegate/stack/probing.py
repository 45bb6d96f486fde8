"""Asks a process whether it is ready. Standard library only: the supervisor stays small."""

import http.client
import socket
import urllib.parse
from pathlib import Path

from tidegate.stack.log_files import read_new
from tidegate.stack.specification import HttpProbe, LogProbe, Probe, TcpProbe

PROBE_TIMEOUT_S = 1.0


def is_ready(probe: Probe, *, log_path: Path, log_offset: int, alive_s: float) -> bool:
    """One question, answered within a second; a refused or broken connection means not yet."""
    if isinstance(probe, HttpProbe):
        return _answers(probe)
    if isinstance(probe, TcpProbe):
        return listens(probe.host, probe.port)
    if isinstance(probe, LogProbe):
        return probe.text in read_new(log_path, log_offset)[0]
    return alive_s >= probe.seconds


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
