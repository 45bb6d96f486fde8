"""A port for a server that a test starts as a process: it is bound a moment, or many seconds, after it was chosen.

Below the range from which Linux takes ports for outgoing connections, and above those of sets of the local platform.
Each process of a parallel run has ports of its own.
"""

import itertools
import os
import socket

HOST = "127.0.0.1"
PORTS = range(30_000, 32_700)
PROCESSES = 9

_of_each = len(PORTS) // PROCESSES
_number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PROCESSES
_ours = PORTS[_number * _of_each : (_number + 1) * _of_each]
# Two runs on one machine begin at different places.
_begin = os.getpid() % _of_each
_next = itertools.cycle((*_ours[_begin:], *_ours[:_begin]))


def free_port() -> int:
    """No other caller of this process is given it until all others were."""
    for port in itertools.islice(_next, _of_each):
        try:
            with socket.socket() as probe:
                probe.bind((HOST, port))
        except OSError:
            continue
        return port
    raise AssertionError(f"no port from {_ours.start} to {_ours.stop - 1} is free on {HOST}")
