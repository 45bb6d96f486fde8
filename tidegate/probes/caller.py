"""The HTTP client of the probes: bounded in time and size, with the key kept out of every text."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx

from tidegate.correlation import headers
from tidegate.domain import Secret
from tidegate.probes.target import ProbeTarget

MAX_REPLY_BYTES = 4 * 1024**2
EXCERPT_CHARACTERS = 160
UNREACHABLE = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)


@dataclass(frozen=True)
class Reply:
    """Status, headers and whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    excerpt: str

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


class Caller:
    """Calls one target. Each call ends within `timeout_s`, also when the server dribbles."""

    def __init__(self, target: ProbeTarget, timeout_s: float, transport: httpx.BaseTransport | None = None):
        self._target = target
        self._timeout_s = timeout_s
        self._client = httpx.Client(
            timeout=timeout_s,
            transport=transport,
            # A proxy named in the environment must not come between us and the gateway.
            trust_env=False,
            # llama-server closes the connection after a stream that promised to keep it.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str) -> Reply:
        return self._call("GET", path, None, self._target.key)

    def chat(self, body: Mapping[str, Any], key: Secret | None = None) -> Reply:
        """POST a chat completion, with another key when one is given."""
        return self._call("POST", "chat/completions", body, key or self._target.key)

    def without_key(self, text: str) -> str:
        """The text with every occurrence of the key blotted out."""
        key = self._target.key.reveal()
        return text.replace(key, "***") if key else text

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None, key: Secret) -> Reply:
        url = f"{self._target.base_url.rstrip('/')}/{path}"
        sent = {**headers(), **self._target.headers, "authorization": f"Bearer {key.reveal()}"}
        deadline = time.monotonic() + self._timeout_s
        with self._client.stream(method, url, json=body, headers=sent) as response:
            payload = bytearray()
            for piece in response.iter_bytes():
                payload += piece
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"the reply took longer than {self._timeout_s:g} s")
                if len(payload) > MAX_REPLY_BYTES:
                    raise httpx.ReadError(f"the reply is larger than {MAX_REPLY_BYTES} bytes")
            short = " ".join(self.without_key(payload.decode(errors="replace")).split())[:EXCERPT_CHARACTERS]
            return Reply(response.status_code, response.headers, bytes(payload), short)
