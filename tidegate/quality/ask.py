"""Asks questions at an OpenAI-compatible URL: greedy, bounded, one whole answer per question.

Whatever keeps a whole answer from us is an error in the result, never a wrong answer. Only a broken connection and
the replies 429 and 503 are tried again: they say that the question was not looked at. Everything else a server says
is its answer, and asking until it says something nicer would measure something else.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from tidegate.domain import Secret
from tidegate.quality.question import Question
from tidegate.quality.reply import first_model, read_reply
from tidegate.quality.results import Answer
from tidegate.quality.source import OnAnswer, Served, ask_side_by_side
from tidegate.quality.wording import body_of

ATTEMPTS = 3
RETRIED_STATUS = frozenset({429, 503})
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 10.0
MAX_REPLY_BYTES = 4 * 1024**2
DIGEST = re.compile(r"[0-9a-f]{64}")
IDENTITY_PROMPT = "Hi"


class EndpointAsker:
    """Callable for `run_bank`; safe to call from several threads. Close it, or use it as a context."""

    def __init__(
        self,
        base_url: str,
        key: Secret,
        model: str,
        *,
        headers: Mapping[str, str] | None = None,
        max_tokens: int = 64,
        seed: int = 0,
        stop: tuple[str, ...] = (),
        timeout_s: float = 20.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ):
        self._base = base_url.rstrip("/")
        self._url = f"{self._base}/chat/completions"
        self._key = key
        self._model = model
        self._sleep = sleep
        self._parameters: dict[str, Any] = {
            "max_tokens": max_tokens,
            "temperature": 0,
            "seed": seed,
            # A cached prefix changes the first logits of llama.cpp: a greedy answer must not depend on the
            # question before it.
            "cache_prompt": False,
        }
        if stop:
            self._parameters["stop"] = list(stop)
        self._lock = threading.Lock()
        self._knows_cache_prompt = True
        authorization = {"authorization": f"Bearer {key.reveal()}"} if key.reveal() else {}
        self._client = httpx.Client(
            timeout=timeout_s,
            headers={**(headers or {}), **authorization},
            transport=transport,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    @property
    def target(self) -> str:
        """Where it asks, without user info and query: those may hold secrets."""
        return told_url(self._base)

    @property
    def parameters(self) -> dict[str, Any]:
        """What every question is asked with, and which therefore decides about answers."""
        known = dict(self._parameters)
        if not self._knows_cache_prompt:
            known["cache_prompt"] = None
        return known

    def use_offered_model(self) -> None:
        """Ask for the first model that the server offers, where it says: some servers refuse any other name."""
        try:
            with self._client.stream("GET", f"{self._base}/models") as response:
                content = _bounded(response) if response.status_code == 200 else None
        except (httpx.HTTPError, httpx.StreamError):
            # That nobody answers is told by the first question.
            return
        if content is not None and (name := first_model(content)):
            self._model = name

    def identify(self) -> Served:
        """Which model and engine answer, by one short question. A name that is no SHA-256 identifies nothing."""
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": IDENTITY_PROMPT}],
            **self._parameters,
            "max_tokens": 1,
        }
        answer = self._ask(body)
        digest = answer.model if answer.model and DIGEST.fullmatch(answer.model) else None
        return Served(digest=digest, engine=answer.engine, model=answer.model, error=answer.error)

    def __call__(self, question: Question) -> Answer:
        """Ask once. It returns, with an error at worst, and does not raise."""
        return self._ask(body_of(question, self._model, self._parameters))

    def ask_all(
        self, questions: Sequence[Question], on_answer: OnAnswer, *, concurrency: int, deadline: float
    ) -> None:
        """Ask each once, so many at a time. Nothing is tried again after the deadline, or when it was interrupted."""
        is_stopped = threading.Event()

        def ask(question: Question) -> Answer:
            body = body_of(question, self._model, self._parameters)
            return self._ask(
                body, lambda wait_s: is_stopped.is_set() or time.monotonic() + wait_s >= deadline
            )

        ask_side_by_side(
            ask, questions, on_answer, concurrency=concurrency, deadline=deadline, is_stopped=is_stopped
        )

    def _ask(self, body: dict[str, Any], is_over: Callable[[float], bool] = lambda wait_s: False) -> Answer:
        """`is_over` says whether so many seconds from now nothing may be asked any more."""
        answer = Answer(error="not asked")
        for attempt in range(ATTEMPTS):
            answer, wait_s = self._post(body, FIRST_WAIT_S * 2**attempt)
            if wait_s is None or attempt + 1 == ATTEMPTS or is_over(wait_s):
                break
            self._sleep(wait_s)
        return answer

    def _post(self, body: dict[str, Any], usual_wait_s: float) -> tuple[Answer, float | None]:
        """One reply, and how long to wait before it is worth asking again; None when it is not."""
        began = time.monotonic()
        sent = body if self._knows_cache_prompt else {k: v for k, v in body.items() if k != "cache_prompt"}
        try:
            with self._client.stream("POST", self._url, json=sent) as response:
                content = _bounded(response)
        except (httpx.HTTPError, httpx.StreamError) as error:
            return Answer(error=self._clean(f"{type(error).__name__}: {error}")), usual_wait_s
        elapsed_ms = (time.monotonic() - began) * 1000
        if content is None:
            return Answer(
                error=f"the reply is larger than {MAX_REPLY_BYTES} bytes", elapsed_ms=elapsed_ms
            ), None
        status = response.status_code
        if status == 400 and "cache_prompt" in sent and b"cache_prompt" in content:
            # A server that is strict about names it does not know is no llama.cpp, and has no such cache to turn off.
            with self._lock:
                self._knows_cache_prompt = False
            return self._post(body, usual_wait_s)
        if status != 200:
            wait_s = _retry_after(response, usual_wait_s) if status in RETRIED_STATUS else None
            return Answer(error=f"HTTP {status}", elapsed_ms=elapsed_ms), wait_s
        return read_reply(content, elapsed_ms), None

    def _clean(self, text: str) -> str:
        key = self._key.reveal()
        return text.replace(key, "***") if key else text


def _bounded(response: httpx.Response) -> bytes | None:
    """The whole body, or None when it is too large to be an answer."""
    content = bytearray()
    for piece in response.iter_bytes():
        content += piece
        if len(content) > MAX_REPLY_BYTES:
            return None
    return bytes(content)


def _retry_after(response: httpx.Response, usual_s: float) -> float:
    """What the server asks for in seconds, within reason; a date is not read."""
    wanted = response.headers.get("retry-after", "").strip()
    return min(float(wanted) if wanted.isdecimal() else usual_s, LONGEST_WAIT_S)


def told_url(url: str) -> str:
    """Scheme, host, port and path of a URL: what may be written down."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"
