"""Choosing the port of a set."""

import hashlib
import socket
from collections.abc import Collection

from tidegate.domain import CapacityShortage

PORTS = range(20_000, 30_000)
"""Below the range from which Linux takes ports for outgoing connections (32768 and up)."""


def is_free(host: str, port: int) -> bool:
    """Whether a listener could take the port right now; another process may take it a moment later."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def choose_port(
    name: str, host: str, *, preferred: int | None, reserved: Collection[int], ports: range = PORTS
) -> int:
    """The preferred port when it is free, else a free one that no other set holds.

    A set keeps its port while it is known, running or not: a gateway that has not heard of its end yet
    must not reach another model there. Different names begin their search at different places.

    Raises:
        CapacityShortage: when every port is taken.
    """
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % len(ports)
    first = [preferred] if preferred is not None else []
    for port in (*first, *ports[start:], *ports[:start]):
        if port not in reserved and is_free(host, port):
            return port
    raise CapacityShortage(
        f"No port from {ports.start} to {ports.stop - 1} is free on {host}.",
        remedy="Delete sets that are no longer needed.",
    )
