"""Bounds on the divergence of two served models: both are made to go on from what the baseline wrote.

An endpoint tells log-probabilities of tokens that it generates, never of given ones. So the baseline answers greedily
once; then, at some places of that answer, both are asked for one token behind the same beginning, and their lists of
likeliest tokens are compared (`bounds`). That an endpoint goes on with its own next token shows that it really continued
the beginning: where the baseline, or the candidate with an answer of its own, mostly does not, nothing is concluded. A
server that begins a new turn instead would look like another model.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegate.domain import InvalidInput, Refused, Secret, Transient
from tidegate.drift.bounds import Bounds, kl_bounds
from tidegate.drift.bounds_report import BoundsReport
from tidegate.drift.summary import estimate
from tidegate.drift.texts import PinnedText, TextSet

TOP_K = (200, 20, 5)
"""As many as an endpoint is willing to tell: llama-server any number, OpenAI 20, older completions 5."""
ANSWER_TOKENS = 32
PLACES_PER_TEXT, CANDIDATE_PLACES = 4, 1
MOST_REQUESTS = 660
RAW_PROMPT_SHARE = 0.5
LEAST_CONTINUED = 0.8
TIMEOUT_S = 60.0
NO_PERMISSION = frozenset({401, 403})
TOO_MUCH_ASKED = frozenset({400, 422})

Progress = Callable[[int, int], None]


class _Listed(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    token: str
    logprob: float = Field(le=1e-3)
    id: int | None = None
    octets: list[int] | None = Field(default=None, alias="bytes")

    @property
    def key(self) -> str:
        """What makes it the same token at both endpoints."""
        if self.id is not None:
            return f"id {self.id}"
        return f"bytes {self.octets}" if self.octets is not None else f"text {self.token}"

    @property
    def written(self) -> bytes:
        """What it adds to the text."""
        return bytes(self.octets) if self.octets is not None else self.token.encode()


class _Position(_Listed):
    top_logprobs: list[_Listed] = Field(min_length=1)

    @property
    def listed(self) -> dict[str, float]:
        return {one.key: min(one.logprob, 0.0) for one in self.top_logprobs}

    @property
    def top(self) -> str:
        return max(self.top_logprobs, key=lambda one: one.logprob).key


@dataclass(slots=True)
class Endpoint:
    """An OpenAI-compatible URL that ends in /v1. Close it, or use it as a context."""

    url: str
    key: Secret | None = None
    model: str = ""
    transport: httpx.BaseTransport | None = None
    top_k: int = TOP_K[0]
    _client: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shown_url(self.url)
        headers = {} if self.key is None else {"authorization": f"Bearer {self.key.reveal()}"}
        self._client = httpx.Client(
            timeout=TIMEOUT_S, headers=headers, transport=self.transport, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def go_on(self, text: PinnedText, written: str, tokens: int) -> list[_Position]:
        """Greedy tokens behind the prompt and what was written so far, with the likeliest at each.

        Raises: ValueError for a reply that does not tell them, Transient, Refused.
        """
        if text.is_chat:
            turns = [message.model_dump() for message in text.messages[:-1]]
            if written:
                turns.append({"role": "assistant", "content": written})
            # Without the two switches some servers begin a new turn instead of going on with the last.
            switches = {"continue_final_message": True, "add_generation_prompt": False} if written else {}
            return self._asked("chat/completions", {"messages": turns, **switches}, tokens)
        prompt = text.text[: max(1, int(len(text.text) * RAW_PROMPT_SHARE))]
        return self._asked("completions", {"prompt": prompt + written}, tokens)

    def _asked(self, path: str, body: dict[str, Any], tokens: int) -> list[_Position]:
        is_chat = path.startswith("chat")
        while True:
            lists = {"logprobs": True, "top_logprobs": self.top_k} if is_chat else {"logprobs": self.top_k}
            response = self._post(path, {**body, **lists, **self._settings(tokens)})
            fewer = [count for count in TOP_K if count < self.top_k]
            if response.status_code not in TOO_MUCH_ASKED or not fewer:
                break
            self.top_k = fewer[0]
        if response.status_code in NO_PERMISSION:
            raise Refused(
                f"{shown_url(self.url)} answers {response.status_code}.", remedy="Give a key that may ask it."
            )
        if response.status_code != 200:
            raise ValueError(f"it answers {response.status_code}")
        return _positions(response)

    def _settings(self, tokens: int) -> dict[str, Any]:
        named = {"model": self.model} if self.model else {}
        # A cached prefix changes the first logits of llama.cpp.
        return {**named, "max_tokens": tokens, "temperature": 0, "seed": 0, "cache_prompt": False}

    def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        try:
            return self._client.post(f"{self.url.rstrip('/')}/{path}", json=body)
        except httpx.HTTPError as error:
            raise Transient(
                f"{shown_url(self.url)} does not answer ({type(error).__name__}).",
                remedy="Check the address and whether it is up.",
            ) from error


def _positions(response: httpx.Response) -> list[_Position]:
    try:
        reply: Any = response.json()
        content = reply["choices"][0]["logprobs"]["content"]
        return [_Position.model_validate(row) for row in content]
    except (ValueError, ValidationError, KeyError, IndexError, TypeError) as error:
        raise ValueError("it tells no log-probabilities of the likeliest tokens") from error


def shown_url(url: str) -> str:
    """Without user info and query. Raises: InvalidInput for what is no HTTP address."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        parts, host, port = urlsplit(""), "", ""
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidInput(
            "An endpoint is a URL that begins with http:// or https:// and ends in /v1.",
            remedy="For example http://127.0.0.1:8080/v1.",
            field="endpoint",
        )
    return urlunsplit((parts.scheme, f"{host}{port}", parts.path, "", ""))


@dataclass(slots=True)
class _Found:
    """What was compared so far, each with the text it belongs to."""

    texts: list[str] = field(default_factory=list[str])
    bounds: list[Bounds] = field(default_factory=list[Bounds])
    same_top: list[float] = field(default_factory=list[float])
    continued: list[float] = field(default_factory=list[float])
    cand_continued: list[float] = field(default_factory=list[float])
    problems: dict[str, str] = field(default_factory=dict[str, str])


def measure_bounds(
    base: Endpoint,
    cand: Endpoint,
    texts: TextSet,
    *,
    most_requests: int = MOST_REQUESTS,
    progress: Progress | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> BoundsReport:
    """Compare two endpoints along the baseline's own answers, with a bounded number of requests.

    Raises: Transient when one does not answer, Refused when it must not be asked, InvalidInput without a text.
    """
    if not texts.texts:
        raise InvalidInput(
            "There is no text to compare along.", remedy="Give at least one text.", field="texts"
        )
    each = 2 + 2 * PLACES_PER_TEXT + CANDIDATE_PLACES
    chosen = sorted(texts.texts, key=lambda text: _chance(text.id))[: max(1, most_requests // each)]
    found = _Found()
    for number, text in enumerate(chosen, start=1):
        try:
            _compare(base, cand, text, found)
        except ValueError as error:
            found.problems[text.id] = str(error)
        if progress is not None:
            progress(number, len(chosen))
    return _report(base, cand, texts, found, len(chosen), clock())


def _compare(base: Endpoint, cand: Endpoint, text: PinnedText, found: _Found) -> None:
    """Raises: ValueError."""
    answer = base.go_on(text, "", ANSWER_TOKENS)
    for place, written in _places(answer, text.id, PLACES_PER_TEXT):
        theirs = base.go_on(text, written, 1)
        ours = cand.go_on(text, written, 1)
        if not theirs or not ours:
            raise ValueError("it went on with nothing")
        found.bounds.append(kl_bounds(theirs[0].listed, ours[0].listed))
        found.texts.append(text.id)
        found.same_top.append(float(theirs[0].top == ours[0].top))
        found.continued.append(float(theirs[0].top == answer[place].top))
    own = cand.go_on(text, "", ANSWER_TOKENS)
    # At its very beginning an answer is no continuation of anything.
    for place, written in _places(own, text.id, CANDIDATE_PLACES, first=1):
        again = cand.go_on(text, written, 1)
        found.cand_continued.append(float(bool(again) and again[0].top == own[place].top))


def _places(answer: Sequence[_Position], name: str, most: int, *, first: int = 0) -> list[tuple[int, str]]:
    """Places of the answer by chance, with what was written before: only where that is whole characters."""
    usable: list[tuple[int, str]] = []
    for place in range(first, len(answer)):
        try:
            written = b"".join(one.written for one in answer[:place]).decode()
        except UnicodeDecodeError:
            continue
        # Servers cut spaces at the end of a beginning away.
        if not place or written == written.rstrip():
            usable.append((place, written))
    usable.sort(key=lambda pair: _chance(f"{name} {pair[0]}"))
    return sorted(usable[:most])


def _chance(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _report(
    base: Endpoint, cand: Endpoint, texts: TextSet, found: _Found, chosen: int, taken_at: datetime
) -> BoundsReport:
    settings: Mapping[str, Any] = {
        "taken_at": taken_at, "base": shown_url(base.url), "candidate": shown_url(cand.url),
        "source": texts.name, "digest": texts.digest, "left_out": len(texts.texts) - chosen,
        "problems": found.problems, "top_k": (base.top_k, cand.top_k),
    }  # fmt: skip
    if not found.bounds:
        return BoundsReport(**settings)

    def mean(values: Sequence[float], highest: float = math.inf) -> Any:
        return estimate(values, found.texts, 0.0, highest, int(texts.digest[:12], 16))

    continued = math.fsum(found.continued) / len(found.continued)
    return BoundsReport(
        **settings,
        texts=len(set(found.texts)),
        places=len(found.bounds),
        low=mean([one.low for one in found.bounds]),
        high=mean([one.high for one in found.bounds]),
        same_top=mean(found.same_top, 1.0),
        rest=math.fsum(one.rest for one in found.bounds) / len(found.bounds),
        continued=continued,
        refusal=_refusal("baseline", found.continued) or _refusal("candidate", found.cand_continued),
    )


def _refusal(name: str, continued: Sequence[float]) -> str:
    """Why nothing is concluded from an endpoint that went on so seldom with what it had written itself."""
    share = math.fsum(continued) / len(continued) if continued else 1.0
    if share >= LEAST_CONTINUED:
        return ""
    return (
        f"the {name} goes on with its own next token at {share:.0%} of the places only: it does not continue what it "
        "is given"
    )
