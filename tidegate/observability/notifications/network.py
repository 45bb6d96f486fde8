"""Where a name leads, asked once: who connects afterwards goes to that address, whatever the name says by then.

An organization's URL must not reach what is inside the network of the machine that sends (SSRF), unless it may.
"""

import ipaddress
import os
import socket
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress

from tidegate.observability.notifications.sending import SendFailed

Resolver = Callable[[str, int], Sequence[str]]
TALK_S = 45.0
"""One whole exchange with a channel: below the lease of a message."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Public by their register, or unknown to the one of this Python, and all the same inside: of Azure and Oracle the
# addresses that give a machine its credentials, of IPv6 the sites of old and what is for documents only.
_INSIDE = tuple(
    ipaddress.ip_network(one)
    for one in (
        "168.63.129.16/32",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "fec0::/10",
        "3fff::/20",
        "64:ff9b:1::/48",
    )
)


def resolve(host: str, port: int) -> list[str]:
    """Every address of a name, as the system gives them. Raises: SendFailed."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SendFailed("the name of its host leads nowhere") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def pin(host: str, port: int, *, allow_private: bool, resolver: Resolver = resolve) -> str:
    """The one address to connect to. A name of which any address is private is refused as a whole: which one is used
    would be chance, or a rival's choice.

    Raises: SendFailed.
    """
    found = resolver(host.strip("[]"), port)
    if not found:
        raise SendFailed("the name of its host leads nowhere")
    if not allow_private and not all(is_public(address) for address in found):
        raise SendFailed(
            "its host is inside a private network; set `allow_private: true` on the channel if that is meant",
            is_final=True,
        )
    return found[0]


def is_public(address: str) -> bool:
    """Reachable by everybody, and therefore nothing of ours. Wrapped addresses are what they wrap."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        wrapped = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if found in _NAT64:
            wrapped = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_public(str(wrapped))
    if any(found in network for network in _INSIDE):
        return False
    return found.is_global and not found.is_multicast and not found.is_reserved


class Talk:
    """The connections of one exchange, and its end. A peer that says a byte now and then outlasts every limit of a
    single read; this one breaks the connection off, whoever reads it."""

    def __init__(self, seconds: float):
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._watched: list[socket.socket] = []

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._end

    def watch(self, made: socket.socket) -> None:
        """By a second handle: what wraps a socket in TLS takes the first one from it."""
        with self._lock:
            self._watched.append(socket.socket(fileno=os.dup(made.fileno())))
        if self.is_over:
            self.break_off()

    def break_off(self) -> None:
        with self._lock:
            for one in self._watched:
                # It may be closed at the other end already.
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            for one in self._watched:
                one.close()
            self._watched.clear()


@contextmanager
def talk(seconds: float = TALK_S) -> Generator[Talk]:
    """For as long as this block lasts, and no longer than that."""
    made = Talk(seconds)
    timer = threading.Timer(seconds, made.break_off)
    timer.daemon = True
    timer.start()
    try:
        yield made
    finally:
        timer.cancel()
        made.close()
