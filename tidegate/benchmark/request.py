"""What is written to the socket for one request. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from tidegate.domain import InvalidInput

PORTS = {"http": 80, "https": 443}
HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")
FORBIDDEN_IN_TARGET = re.compile(r"[^\x21-\x7e]")
ALWAYS = {
    "accept": "text/event-stream, application/json",
    # Compression holds tokens back and would cost the client time that is then blamed on the server.
    "accept-encoding": "identity",
    "content-type": "application/json",
    "user-agent": "tidegate",
}
OURS = frozenset({"host", "content-length", "transfer-encoding", "connection"})
"""Headers that say how the bytes travel; those of the caller are left out."""


@dataclass(frozen=True)
class Target:
    """Where a request goes."""

    is_tls: bool
    host: str
    """As name resolution and certificates want it: ASCII, an IPv6 address without brackets."""
    port: int
    authority: str
    """For the host header."""
    path: str


@lru_cache(1024)
def read_url(url: str) -> Target:
    """Raises InvalidInput for what is no http or https URL, or carries a password."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, (parts.hostname or "").encode("idna").decode("ascii")
    except (ValueError, UnicodeError) as error:
        raise _bad_url("The URL cannot be read.") from error
    if parts.scheme not in PORTS or not host:
        raise _bad_url("The URL is not one of http or https with a host.")
    if parts.username is not None or parts.password is not None:
        raise InvalidInput(
            "The URL carries a user name or a password.",
            remedy="Leave it out and give the key as a key: URLs end up in reports.",
            field="url",
        )
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    if FORBIDDEN_IN_TARGET.search(path):
        raise _bad_url("The path of the URL holds blanks or characters that must be written as %XX.")
    name = f"[{host}]" if ":" in host else host
    is_default = port is None or port == PORTS[parts.scheme]
    return Target(
        is_tls=parts.scheme == "https",
        host=host,
        port=port if port is not None else PORTS[parts.scheme],
        authority=name if is_default else f"{name}:{port}",
        path=path,
    )


def _bad_url(message: str) -> InvalidInput:
    return InvalidInput(message, remedy="Write it like http://127.0.0.1:8080/v1.", field="url")


def request_bytes(
    method: str, target: Target, headers: Mapping[str, str], body: bytes, *, keep_alive: bool
) -> bytes:
    """The whole request. Raises InvalidInput for a header that would break out of its line."""
    sent = ALWAYS | {name.lower(): value for name, value in headers.items()}
    lines = [f"{method} {target.path} HTTP/1.1", f"host: {target.authority}"]
    for name, value in sent.items():
        if name in OURS:
            continue
        if not HEADER_NAME.match(name) or not HEADER_VALUE.match(value):
            raise InvalidInput(
                # Never the value: it may be a key.
                f"The header {name!r} cannot be sent.",
                remedy="Header values are one line of Latin-1; check for a line end at the end of a key.",
                field="headers",
            )
        lines.append(f"{name}: {value}")
    lines += [f"content-length: {len(body)}", "connection: " + ("keep-alive" if keep_alive else "close")]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
