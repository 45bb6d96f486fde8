"""Ports of one emulator and of what it starts: chosen here, and bound a moment later by another process.

They lie below the range from which Linux takes ports for outgoing connections, of which one may take any port at any
moment. An emulator holds the first port of its block, so that emulators that run at once choose different ones.
"""

import random
import socket
from collections import deque

LOOPBACK = "127.0.0.1"
PORTS = range(10_000, 14_000)
PORTS_PER_BLOCK = 50


class Ports:
    """Blocks are taken when they are needed and given back by `close`, or by the end of the process."""

    def __init__(self, ports: range = PORTS, per_block: int = PORTS_PER_BLOCK):
        starts = range(ports.start, ports.stop - per_block + 1, per_block)
        self._blocks = [range(start, start + per_block) for start in starts]
        random.shuffle(self._blocks)
        self._ours: deque[int] = deque()
        self._holding: list[socket.socket] = []

    def take(self) -> int:
        """A free port that was not given for as long as possible; without any block left, one that the system names."""
        while True:
            for _ in range(len(self._ours)):
                port = self._ours.popleft()
                self._ours.append(port)
                if _is_free(port):
                    return port
            if not self._take_block():
                with _bound(0) as probe:
                    return probe.getsockname()[1]

    def close(self) -> None:
        for held in self._holding:
            held.close()
        self._holding.clear()
        self._ours.clear()

    def _take_block(self) -> bool:
        while self._blocks:
            first, *others = self._blocks.pop()
            try:
                self._holding.append(_bound(first))
            except OSError:
                continue
            # An emulator that starts again on its own ports must not find them in the hands of one that came between.
            self._ours.extend(random.sample(others, len(others)))
            return True
        return False


def _is_free(port: int) -> bool:
    try:
        _bound(port).close()
    except OSError:
        return False
    return True


def _bound(port: int) -> socket.socket:
    """Raises: OSError when it is somebody's."""
    made = socket.socket()
    try:
        made.bind((LOOPBACK, port))
    except OSError:
        made.close()
        raise
    return made
