"""Where a name leads, asked once: who connects afterwards goes to that address, whatever the name says by then.

An organization's URL must not reach what is inside the network of the machine that sends (SSRF), unless it may.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence

from tidegate.observability.notifications.sending import SendFailed

Resolver = Callable[[str, int], Sequence[str]]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


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
    return found.is_global and not found.is_multicast and not found.is_reserved
