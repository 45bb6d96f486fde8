"""Which ports the stack listens on: the preferred ones, else the next free, the same again after a restart."""

import fcntl
import os
import socket
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from tidegate.domain import NeedsOperator
from tidegate.stack.record import read_json, write_json

PORTS_FILE = "ports.json"
SEARCHED_PORTS = 200
_CLAIMED: dict[int, int] = {}
"""Port and the descriptor that holds its lock: kept open until this process ends."""


def choose_ports(
    home: Path, preferred: Mapping[str, int], host: str, held: Collection[str] = ()
) -> dict[str, int]:
    """A free port for each name; those of the last start are kept while they are free.

    `held` names what a former supervisor left running: its port is taken, but by ourselves.
    A chosen port is claimed until this process ends: a server may take a minute to bind it, and a stack of
    another home that starts meanwhile must not choose it too.

    Raises:
        NeedsOperator: when none of the ports above a preferred one is free.
    """
    remembered = read_json(home / PORTS_FILE) or {}
    chosen: dict[str, int] = {}
    for name, wanted in preferred.items():
        last = remembered.get(name)
        if isinstance(last, int) and name in held:
            chosen[name] = last
            _claim(last)
            continue
        first = last if isinstance(last, int) else wanted
        chosen[name] = _first_free(name, host, first, wanted, set(chosen.values()))
    write_json(home / PORTS_FILE, dict(chosen))
    return chosen


def is_free(host: str, port: int) -> bool:
    """True when nothing listens there and we may."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do it: connections of a former run that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _first_free(name: str, host: str, first: int, wanted: int, taken: set[int]) -> int:
    for port in (first, *range(wanted, min(wanted + SEARCHED_PORTS, 65536))):
        if port not in taken and is_free(host, port) and _claim(port):
            return port
    raise NeedsOperator(
        f"No port from {wanted} to {wanted + SEARCHED_PORTS - 1} is free for {name}.",
        remedy="Stop a program that listens there (see: ss -ltnp), then run the command again.",
    )


def _claim(port: int) -> bool:
    """Lock the port's file among all stacks of this user; the kernel unlocks it when this process ends."""
    if port in _CLAIMED:
        return True
    folder = Path(tempfile.gettempdir()) / f"tidegate-ports-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    _CLAIMED[port] = descriptor
    return True
