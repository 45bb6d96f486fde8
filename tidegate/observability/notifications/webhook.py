"""Webhooks, signed as Standard Webhooks does it: `webhook-id`, `webhook-timestamp`, `webhook-signature`.

The id is the delivery's at every try, so that a receiver knows a repeated message. No redirect is followed, no proxy of
the environment is used, and the address is the one that was looked at.
"""

import base64
import binascii
import hashlib
import hmac
import http.client
import socket
import ssl
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from tidegate.domain import Secret
from tidegate.observability.notifications.messages import webhook_body
from tidegate.observability.notifications.network import TALK_S, Resolver, Talk, pin, resolve, talk
from tidegate.observability.notifications.sending import (
    ANSWER_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    Post,
    SendFailed,
    without,
)

KEY_PREFIX = "whsec_"
PORTS = {"https": 443, "http": 80}


def signatures(keys: Secret, delivery_id: str, timestamp: int, body: bytes) -> str:
    """One for each key, so that a receiver can change from one to the next: `v1,... v1,...`."""
    signed = b".".join((delivery_id.encode(), str(timestamp).encode(), body))
    return " ".join(
        "v1," + base64.b64encode(hmac.new(_key_bytes(key), signed, hashlib.sha256).digest()).decode()
        for key in keys.reveal().split()
    )


def _key_bytes(key: str) -> bytes:
    """A key with the standard's prefix is base64; any other is taken as it is."""
    if not key.startswith(KEY_PREFIX):
        return key.encode()
    try:
        return base64.b64decode(key.removeprefix(KEY_PREFIX), validate=True)
    except binascii.Error as error:
        raise SendFailed("its signing key begins with whsec_ and is no base64", is_final=True) from error


class WebhookSender:
    """Posts to the channel's URL."""

    def __init__(
        self,
        resolver: Resolver = resolve,
        now: Callable[[], float] = time.time,
        trust: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        talk_s: float = TALK_S,
    ):
        self._talk_s = talk_s
        self._resolver = resolver
        self._now = now
        self._trust = trust

    def send(self, post: Post, begin: Callable[[], None]) -> str:
        url = _parsed(post)
        port = url.port or PORTS[url.scheme]
        address = pin(
            url.hostname or "", port, allow_private=post.channel.allow_private, resolver=self._resolver
        )
        body = webhook_body(post.message)
        headers = self._headers(post, url, body)
        with talk(self._talk_s) as limited:
            try:
                with self._connected(url, address, port, limited) as connection:
                    begin()
                    status, retry_after = _posted(connection, url, body, headers)
            except (http.client.HTTPException, OSError, ValueError) as error:
                if limited.is_over:
                    raise SendFailed(f"no whole answer within {self._talk_s:g} s") from None
                # The text of these may quote the URL.
                raise SendFailed(without(f"{type(error).__name__}: {error}", post)) from None
        if 200 <= status < 300:
            return f"HTTP {status}"
        if 300 <= status < 400:
            raise SendFailed(f"it answered {status}: redirects are not followed", is_final=True)
        if status == 410:
            raise SendFailed("it answered 410: this webhook is gone for good", is_final=True)
        raise SendFailed(f"it answered {status}", retry_after_s=retry_after)

    @contextmanager
    def _connected(
        self, url: SplitResult, address: str, port: int, limited: Talk
    ) -> Generator[http.client.HTTPConnection]:
        """To the address, with a certificate for the name."""
        connection = http.client.HTTPConnection(url.hostname or "", port)
        connection.sock = socket.create_connection((address, port), timeout=CONNECT_TIMEOUT_S)
        try:
            limited.watch(connection.sock)
            if url.scheme == "https":
                connection.sock = self._trust().wrap_socket(connection.sock, server_hostname=url.hostname)
            connection.sock.settimeout(ANSWER_TIMEOUT_S)
            yield connection
        finally:
            connection.close()

    def _headers(self, post: Post, url: SplitResult, body: bytes) -> dict[str, str]:
        timestamp = int(self._now())
        return {
            "Content-Type": "application/json",
            "User-Agent": "tidegate-notifier",
            "webhook-id": post.message.delivery_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signatures(
                post.secrets["signing_key"], post.message.delivery_id, timestamp, body
            ),
            "tidegate-attempt": str(post.message.attempt),
            **_credentials(url),
        }


def _credentials(url: SplitResult) -> dict[str, str]:
    """Of a URL that holds a name and a password."""
    if url.username is None:
        return {}
    text = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


def _parsed(post: Post) -> SplitResult:
    try:
        url = urlsplit(post.address)
        is_usable = url.scheme in PORTS and bool(url.hostname) and url.port != 0 and post.address.isascii()
    except ValueError:
        is_usable, url = False, urlsplit("")
    if not is_usable:
        raise SendFailed("its address is no URL of http or https", is_final=True)
    if url.scheme == "http" and not post.channel.allow_private:
        raise SendFailed("its address must be https, except inside a private network", is_final=True)
    return url


def _posted(
    connection: http.client.HTTPConnection, url: SplitResult, body: bytes, headers: Mapping[str, str]
) -> tuple[int, float | None]:
    """Status and Retry-After. The standard library's client, because others write the URL into their logs."""
    target = urlunsplit(("", "", url.path or "/", url.query, ""))
    connection.request("POST", target, body, {"Host": url.netloc.rpartition("@")[2], **headers})
    # What it answers beyond the status is nobody's business, and may be endless.
    reply = connection.getresponse()
    return reply.status, _seconds(reply.headers.get("retry-after"))


def _seconds(text: str | None) -> float | None:
    """A date, which it may be too, is not heard: the next try comes soon enough. Not `isdigit`: it holds for \u00b2."""
    return float(text) if text and text.isdecimal() else None
