"""One plane of RunPod over HTTP: key, retries where they are safe, rate limits, errors of the domain.

The key goes to RunPod's own hosts only and never into a URL, a log line or an error. A request that could
have taken effect is never sent twice unless the caller says that repeating it does no harm.
"""

import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import httpx
from pydantic import BaseModel, ValidationError

from tidegate import __version__
from tidegate.correlation import bind, current, headers, new_request_id, span
from tidegate.domain import InvalidInput, Refused, Secret, TidegateError
from tidegate.platforms.runpod.errors import (
    BadReply,
    LostReply,
    Problem,
    RateLimited,
    ServerTrouble,
    Unreachable,
    error_of,
    read_problem,
)
from tidegate.platforms.runpod.key_source import KeySource
from tidegate.platforms.runpod.pace import Pace
from tidegate.platforms.runpod.rate_limits import RateLimits, parse_rate_limits, parse_retry_after

log = logging.getLogger(__name__)
LOOKING = frozenset({"GET", "HEAD"})

UNAUTHORIZED = 401
REPEATABLE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
REPEATABLE_STATUSES = frozenset({500, 502, 503, 504})
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
CONNECT_TIMEOUT_S = 10.0
CONTEXT_HEADERS = {"request_id": "x-request-id", "worker_id": "x-runpod-worker-id"}
Model = TypeVar("Model", bound=BaseModel)
OnCall = Callable[[str, int | None, float], None]
"""Method, status (None: nothing answered) and seconds of one try."""


@dataclass(frozen=True)
class Retries:
    """How often and how long to try again: RunPod's own TypeScript client does the same."""

    attempts: int = 4
    first_s: float = 1.0
    longest_s: float = 30.0
    longest_asked_s: float = 60.0


@dataclass(frozen=True)
class Call:
    """One request. `url` is a path of this plane or a URL that RunPod gave us; `what` names it in errors."""

    method: str
    url: str
    what: str
    body: Mapping[str, object] | None = None
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    timeout_s: float = 30.0
    is_create: bool = False
    is_repeatable: bool | None = None

    @property
    def may_repeat(self) -> bool:
        """Whether sending it twice is as good as sending it once."""
        return self.method in REPEATABLE_METHODS if self.is_repeatable is None else self.is_repeatable


class Transport:
    """Sends calls to one plane. Safe to share between threads."""

    def __init__(
        self,
        url: str,
        key: Secret | KeySource,
        *,
        http: httpx.BaseTransport | None = None,
        pace: Pace | None = None,
        retries: Retries | None = None,
        on_call: OnCall | None = None,
    ):
        """`http` replaces the network, for tests; `on_call` hears of each try. Raises: InvalidInput, Refused."""
        self._on_call = on_call
        self._base = httpx.URL(_checked_url(url))
        self._pace = pace or Pace()
        self._keys = key if isinstance(key, KeySource) else KeySource(key, pace=self._pace)
        self._retries = retries or Retries()
        self._lock = threading.Lock()
        self._limits = RateLimits()
        self._blocked_until = 0.0
        self._http = httpx.Client(
            auth=_Bearer(self._keys),
            headers={"User-Agent": f"tidegate/{__version__}"},
            transport=http,
            trust_env=False,
            # Following a redirect could carry the key elsewhere.
            follow_redirects=False,
            # Loading the usual certificates takes longer than a request to the emulator.
            verify=True if self._base.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        )

    @property
    def pace(self) -> Pace:
        return self._pace

    @property
    def rate_limits(self) -> RateLimits:
        """What the last reply said about the limits; waits count from that reply."""
        with self._lock:
            return self._limits

    def close(self) -> None:
        self._http.close()

    def send(self, call: Call) -> httpx.Response:
        """The successful reply, read whole.

        Raises: the errors of `errors`; `RateLimited` also without asking, when RunPod said to wait longer
        than we are willing to.
        """
        with bind(platform="runpod", request_id=current().get("request_id") or new_request_id()):
            return self._send(call)

    def _send(self, call: Call) -> httpx.Response:
        for attempt in range(self._retries.attempts):
            self._wait_for_quota(call)
            try:
                return self._send_once(call)
            except TidegateError as error:
                pause_s = self._pause_after(error, call, attempt)
                if pause_s is None:
                    raise
                log.info("runpod: %s: %s; trying again in %.1f s", call.what, error.code, pause_s)
                self._pace.sleep(pause_s)
        return self._send_once(call)

    def model(self, call: Call, kind: type[Model]) -> Model:
        """The successful reply as a model. Raises: as `send`, and BadReply."""
        return parse(kind, self.json(call), call.what)

    def json(self, call: Call) -> Any:
        """The successful reply as data. Raises: as `send`, and BadReply."""
        return read_json(self.send(call), call.what)

    @contextmanager
    def stream(self, call: Call, read_timeout_s: float) -> Generator[httpx.Response]:
        """An open reply, to be read with `lines_of`. Not repeated: the caller knows where it stopped."""
        self._wait_for_quota(call)
        request = self._request(call, read_timeout_s)
        with translated(call):
            response = self._http.send(request, stream=True)
            with closing(response):
                self._note_limits(response)
                if not response.is_success:
                    response.read()
                    raise self._error(response, call)
                yield response

    def _send_once(self, call: Call) -> httpx.Response:
        began, status = time.monotonic(), None
        try:
            with span(f"runpod: {call.method}"), translated(call):
                response = self._http.send(self._request(call, call.timeout_s))
            status = response.status_code
        finally:
            if self._on_call is not None:
                self._on_call(call.method, status, time.monotonic() - began)
        self._note_limits(response)
        log.log(
            # Looking is done all the time; what changes something at the vendor is always told.
            logging.DEBUG if call.method in LOOKING else logging.INFO,
            "runpod: %s: %d",
            call.what,
            response.status_code,
            extra={
                "duration_ms": round((time.monotonic() - began) * 1000, 1),
                "vendor_request_id": response.headers.get("x-request-id", ""),
            },
        )
        if not response.is_success:
            raise self._error(response, call)
        return response

    def _request(self, call: Call, timeout_s: float) -> httpx.Request:
        return self._http.build_request(
            call.method,
            self._own(call.url),
            params=dict(call.query) if call.query else None,
            json=call.body,
            headers={**headers(), **(call.headers or {})},
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
        )

    def _error(self, response: httpx.Response, call: Call) -> TidegateError:
        # A proxy may echo what it was sent.
        problem: Problem = read_problem(response.status_code, self._keys.hide(response.content))
        error = error_of(
            problem,
            call.what,
            is_create=call.is_create,
            retry_after_s=parse_retry_after(response.headers.get("retry-after")),
        )
        for name, header in CONTEXT_HEADERS.items():
            if header in response.headers:
                error.context[name] = response.headers[header]
        return error

    def _pause_after(self, error: TidegateError, call: Call, attempt: int) -> float | None:
        """How long to wait before the next attempt; None when there shall be none."""
        if attempt + 1 >= self._retries.attempts:
            return None
        backoff_s = self._pace.jittered(min(self._retries.first_s * 2**attempt, self._retries.longest_s))
        if isinstance(error, RateLimited):
            asked_s = error.retry_after_s
            if asked_s is None:
                return backoff_s
            return None if asked_s > self._retries.longest_asked_s else max(asked_s, backoff_s)
        if isinstance(error, Unreachable):
            return backoff_s
        if isinstance(error, LostReply):
            return backoff_s if call.may_repeat else None
        if isinstance(error, ServerTrouble) and error.context["status"] in REPEATABLE_STATUSES:
            return backoff_s if call.may_repeat else None
        return None

    def _note_limits(self, response: httpx.Response) -> None:
        limits = parse_rate_limits(
            response.headers.get("ratelimit"), response.headers.get("ratelimit-policy")
        )
        with self._lock:
            if limits.windows:
                self._limits = limits
                self._blocked_until = self._pace.now() + limits.wait_s if limits.wait_s else 0.0

    def _wait_for_quota(self, call: Call) -> None:
        """A request that RunPod announced to refuse is not sent: it waits, or fails at once."""
        with self._lock:
            wait_s = self._blocked_until - self._pace.now()
        if wait_s <= 0:
            return
        if wait_s > self._retries.longest_asked_s:
            raise RateLimited(
                f"RunPod allows no more requests for {wait_s:.0f} s; '{call.what}' was not sent.",
                remedy="Wait, or ask less often.",
                retry_after_s=wait_s,
            )
        self._pace.sleep(wait_s)

    def _own(self, url: str) -> httpx.URL:
        """The URL when it is RunPod's. Raises: Refused for a foreign one, which must not get the key."""
        if url.startswith("/"):
            # Kept as it is: ids are encoded already, and a slash in one must not become a path.
            return httpx.URL(str(self._base).rstrip("/") + url)
        target = httpx.URL(url)
        is_host = target.host == self._base.host or target.host.endswith(f".{self._base.host}")
        if (target.scheme, target.port) != (self._base.scheme, self._base.port) or not is_host:
            raise Refused(
                f"RunPod told a URL at {target.host}, which is not a host of {self._base.host}.",
                remedy="Check TIDEGATE_RUNPOD_DATA_URL: it must be the host of RunPod's job plane.",
                host=target.host,
            )
        return target


class _Bearer(httpx.Auth):
    """Puts the key on a request at the moment it is sent; nothing else holds it in clear.

    A 401 did nothing, so that the request may be sent once more, whatever it asks, when the key was replaced meanwhile.
    """

    def __init__(self, keys: KeySource):
        self._keys = keys

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        key = self._keys.present()
        request.headers["Authorization"] = f"Bearer {key.reveal()}"
        response = yield request
        if response.status_code != UNAUTHORIZED:
            return
        another = self._keys.after_refusal(key)
        if another is not None:
            request.headers["Authorization"] = f"Bearer {another.reveal()}"
            yield request


@contextmanager
def translated(call: Call) -> Generator[None]:
    """The network's errors as ours: not sent, or sent with an unknown outcome."""
    try:
        yield
    except NEVER_SENT as error:
        raise Unreachable(
            f"RunPod cannot be reached for '{call.what}': {type(error).__name__}.",
            remedy="Check the network and TIDEGATE_RUNPOD_API_URL or TIDEGATE_RUNPOD_DATA_URL.",
            asked=call.what,
        ) from error
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise LostReply(
            f"RunPod's answer to '{call.what}' was lost: {type(error).__name__}.",
            remedy="Look whether it took effect before asking again.",
            asked=call.what,
        ) from error


def read_json(response: httpx.Response, what: str) -> Any:
    """Raises: BadReply."""
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError) as error:
        raise BadReply(
            f"RunPod's answer to '{what}' is no JSON.", remedy="Look whether it took effect.", asked=what
        ) from error


def parse(kind: type[Model], data: Any, what: str) -> Model:
    """Raises: BadReply, which names the fields and never their values."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        fields = [
            ".".join(str(part) for part in one["loc"])
            for one in error.errors(include_input=False, include_url=False, include_context=False)
        ]
        raise BadReply(
            f"RunPod's answer to '{what}' lacks or misshapes: {', '.join(fields[:5]) or 'the whole'}.",
            remedy="Look for a newer version of Tidegate.",
            asked=what,
        ) from error


def entries(data: Any, envelope: str, what: str) -> list[Any]:
    """The named list of a reply. Raises: BadReply."""
    found: object = cast("dict[str, Any]", data).get(envelope) if isinstance(data, dict) else None
    if not isinstance(found, list):
        raise BadReply(
            f"RunPod's answer to '{what}' holds no list '{envelope}'.",
            remedy="Look for a newer version of Tidegate.",
            asked=what,
        )
    return cast("list[Any]", found)


def lines_of(
    response: httpx.Response, max_line_bytes: int, is_over: Callable[[], bool] = lambda: False
) -> Iterator[str]:
    """Lines as they arrive, until `is_over`, which is asked at every piece, keep-alives included.

    Raises: BadReply for a line without an end, before it fills the memory.
    """
    rest = b""
    for chunk in response.iter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > max_line_bytes or any(len(line) > max_line_bytes for line in lines):
            raise BadReply("RunPod streams a line without an end.", remedy="Ask again.")
        for line in lines:
            yield line.rstrip(b"\r").decode("utf-8", errors="replace")
        if is_over():
            return
    if rest:
        yield rest.rstrip(b"\r").decode("utf-8", errors="replace")


def _checked_url(url: str) -> str:
    parsed = httpx.URL(url)
    is_loopback = parsed.host in {"127.0.0.1", "localhost", "::1"}
    if (
        parsed.scheme not in {"http", "https"}
        or not parsed.host
        or (parsed.scheme == "http" and not is_loopback)
    ):
        raise InvalidInput(
            f"'{parsed.scheme}://{parsed.host}' is no URL that a RunPod key may be sent to.",
            remedy="Use https, or http on this machine only (the emulator).",
            field="url",
        )
    return url
