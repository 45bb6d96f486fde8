"""Runs every check against one endpoint and writes one row of evidence for each.

A check that found the endpoint wrong is `fail`; one that could not reach it is `error`. Nothing is raised.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import httpx

from tidegate.domain import Evidence, Gate, Secret, Verdict
from tidegate.probes.caller import UNREACHABLE, Caller, Reply
from tidegate.probes.replies import Chat, StreamFault, is_error_reply, parse_chat, parse_models, read_stream
from tidegate.probes.target import ProbeTarget

IDENTITY_CHECKS = frozenset({"identity.digest", "identity.fingerprint"})
PROBE_CHECKS = frozenset(
    {
        "probe.health",
        "probe.chat",
        "probe.stream",
        "probe.too_long_prompt",
        "probe.unknown_model",
        "probe.wrong_key",
    }
)

RELEASE_HEADER = "x-tidegate-release"
FINGERPRINT_PROMPT = "What is the capital of France?"
FINGERPRINT_TOKENS = 16
TOO_LONG_FACTOR = 8
"""Words sent per token of context: a server that shares one cache between its slots may hold several contexts."""
NOT_THERE = frozenset({502, 503, 504})
NOT_THERE_TRIES = 10
NOT_THERE_PAUSE_S = 0.1
UNKNOWN_MODEL = "tidegate-no-such-model"
WRONG_KEY = Secret("tidegate-probe-with-a-wrong-key")
REFUSALS_OF_LENGTH = frozenset({400, 413, 422})


@dataclass(frozen=True)
class Finding:
    """What one check saw."""

    verdict: Verdict
    summary: str
    remedy: str = ""
    data: dict[str, Any] = field(default_factory=dict[str, Any])


def probe_endpoint(
    target: ProbeTarget,
    timeout_s: float = 10.0,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    transport: httpx.BaseTransport | None = None,
) -> list[Evidence]:
    """Ask the endpoint everything and return the rows of `IDENTITY_CHECKS` and `PROBE_CHECKS`, in that order.

    Each request is bounded by `timeout_s`; there are at most nine.
    """
    with Caller(target, timeout_s, transport) as caller:
        look = _Look(target, caller)
        return [_row(gate, check, run, caller, now) for gate, check, run in look.checks()]


def _row(
    gate: Gate, check: str, run: Callable[[], Finding], caller: Caller, now: Callable[[], datetime]
) -> Evidence:
    try:
        found = run()
    except UNREACHABLE as error:
        reason = caller.without_key(str(error)) or "no details"
        found = Finding(
            Verdict.ERROR,
            f"Could not ask the endpoint: {type(error).__name__}: {reason}.",
            "See whether the set is ready and the gateway has a route to it, then probe again.",
        )
    return Evidence(
        gate=gate,
        check=check,
        verdict=found.verdict,
        summary=found.summary,
        remedy=found.remedy,
        data=found.data,
        taken_at=now(),
    )


class _Look:
    """One visit to an endpoint: the first answer serves several checks, so it is asked once."""

    def __init__(self, target: ProbeTarget, caller: Caller):
        self._target = target
        self._caller = caller

    def checks(self) -> list[tuple[Gate, str, Callable[[], Finding]]]:
        return [
            (Gate.IDENTITY, "identity.digest", self.digest),
            (Gate.IDENTITY, "identity.fingerprint", self.fingerprint),
            (Gate.PROBES, "probe.health", self.health),
            (Gate.PROBES, "probe.chat", self.chat),
            (Gate.PROBES, "probe.stream", self.stream),
            (Gate.PROBES, "probe.too_long_prompt", self.too_long_prompt),
            (Gate.PROBES, "probe.unknown_model", self.unknown_model),
            (Gate.PROBES, "probe.wrong_key", self.wrong_key),
        ]

    @cached_property
    def first_answer(self) -> Reply:
        """A set that was started a moment ago is healthy at the gateway before each of its threads knows it: an answer
        that says "not there" is asked for again, and at last says nothing about the file (measured: 60 ms)."""
        reply = self._caller.chat(self._body())
        for _ in range(NOT_THERE_TRIES):
            if reply.status not in NOT_THERE:
                return reply
            time.sleep(NOT_THERE_PAUSE_S)
            reply = self._caller.chat(self._body())
        if reply.status in NOT_THERE:
            raise httpx.ReadError(f"HTTP {reply.status}: {reply.excerpt}")
        return reply

    def _body(self, prompt: str = FINGERPRINT_PROMPT, **changes: Any) -> dict[str, Any]:
        return {
            "model": self._target.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": FINGERPRINT_TOKENS,
            "temperature": 0,
            "seed": 0,
            # A cached prefix changes the first logits of llama.cpp, so greedy text could differ.
            "cache_prompt": False,
            **changes,
        }

    def digest(self) -> Finding:
        """The engine itself names its model in each reply, the gateway names the release."""
        reply = self.first_answer
        chat = parse_chat(reply.text)
        served = chat.model if chat else None
        release = reply.headers.get(RELEASE_HEADER)
        data = {"served": served, "release": release, "expected": self._target.expected_digest}
        if reply.status != 200 or served != self._target.expected_digest:
            return _fail(
                f"Replies name the model '{served or 'none'}' (HTTP {reply.status}), "
                f"not {_short(self._target.expected_digest)}.",
                "The wrong artifact is served, or another set answered: look at the set's status and the pin.",
                data,
            )
        if self._target.expected_release is not None and release != self._target.expected_release:
            return _fail(
                f"The reply came from release '{release or 'none'}', not '{self._target.expected_release}'.",
                "The gateway sent the probe to another set: check the pin header and the route.",
                data,
            )
        return _pass(f"The engine reports {_short(self._target.expected_digest)}, the one expected.", data)

    def fingerprint(self) -> Finding:
        """The same greedy question twice; a model that answers nothing, or differently, is not sound."""
        replies = [self.first_answer, self._caller.chat(self._body())]
        chats = [parse_chat(reply.text) for reply in replies]
        texts = [
            chat.text if chat and reply.status == 200 else ""
            for chat, reply in zip(chats, replies, strict=True)
        ]
        hashes = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        data = {"sha256": hashes[0], "characters": len(texts[0])}
        if not all(texts):
            return _fail(
                "A fixed greedy question got no text.", "Read the set's log; validate the file again.", data
            )
        if hashes[0] != hashes[1]:
            return _fail(
                "A fixed greedy question got two different answers.",
                "See whether two sets share this route, or whether the file holds NaN weights.",
                {**data, "second_sha256": hashes[1]},
            )
        return _pass(
            f"A fixed greedy question got the same answer twice (text hash {_short(hashes[0])}).", data
        )

    def health(self) -> Finding:
        reply = self._caller.get("models")
        names = parse_models(reply.text)
        if reply.status != 200 or names is None:
            return _fail(f"GET /models answered HTTP {reply.status}: {reply.excerpt}", "Read the set's log.")
        if self._target.expected_digest not in names:
            return _fail(
                f"GET /models does not list {_short(self._target.expected_digest)}.",
                "The wrong artifact is served, or another set answered.",
                {"models": names[:10]},
            )
        return _pass("GET /models answers and lists the digest.", {"models": names[:10]})

    def chat(self) -> Finding:
        reply = self.first_answer
        chat = parse_chat(reply.text)
        fault = _fault_of(chat) if reply.status == 200 else f"HTTP {reply.status}"
        if fault or chat is None:
            return _fail(f"A chat completion failed ({fault}): {reply.excerpt}", "Read the set's log.")
        tokens = chat.usage.completion_tokens if chat.usage else 0
        return _pass(f"A chat completion gave {tokens} tokens and ended with '{chat.finish_reason}'.")

    def stream(self) -> Finding:
        """Well-formed events, an end that says so, and the text that the same question gave unstreamed."""
        try:
            reply = self._caller.chat(self._body(stream=True))
            kind = reply.headers.get("content-type", "")
            if reply.status != 200 or not kind.startswith("text/event-stream"):
                return _fail(f"A stream answered HTTP {reply.status} with type '{kind}': {reply.excerpt}")
            streamed = read_stream(reply.body)
        except httpx.RemoteProtocolError as error:
            return _fail(
                f"The stream broke off: {self._caller.without_key(str(error))}.", "Read the set's log."
            )
        except StreamFault as fault:
            return _fail(
                f"The stream is malformed: {fault}.", "See what stands between the engine and the client."
            )
        if not streamed.is_done or streamed.finish_reason is None:
            return _fail(
                f"The stream ended without {'[DONE]' if not streamed.is_done else 'a finish reason'}.",
                "The connection was cut or the engine stopped: clients would see a truncated answer.",
            )
        whole = parse_chat(self.first_answer.text)
        if whole is None or streamed.text != whole.text:
            return _fail(
                "Streamed and whole answers to the same greedy question differ.", "Read the set's log."
            )
        return _pass(
            f"A stream of {streamed.chunks} chunks ended properly with the same text as the whole answer."
        )

    def too_long_prompt(self) -> Finding:
        words = TOO_LONG_FACTOR * self._target.context_tokens
        try:
            reply = self._caller.chat(self._body("tide " * words, max_tokens=1))
        except (httpx.ReadTimeout, httpx.WriteTimeout):
            return _fail("A prompt far above the context made the endpoint hang.", "Set a prompt limit.")
        if reply.status in REFUSALS_OF_LENGTH and is_error_reply(reply.text):
            return _pass(f"A prompt of {words} words was refused with HTTP {reply.status} and a reason.")
        chat = parse_chat(reply.text) if reply.status == 200 else None
        if chat is not None:
            seen = chat.usage.prompt_tokens if chat.usage else 0
            how = f"silently cut to {seen} tokens" if seen < words else f"answered ({seen} tokens)"
            return _fail(
                f"A prompt of {words} words was {how}, above the context of {self._target.context_tokens} tokens.",
                "Turn context shift off and serve the context length that the set was given.",
            )
        return _fail(
            f"A prompt of {words} words got HTTP {reply.status}, not a clean refusal: {reply.excerpt}"
        )

    def unknown_model(self) -> Finding:
        """llama-server answers any name; that is sound only while the reply still names what truly served.

        An engine that echoes the name asked for would make every identity check worthless.
        """
        reply = self._caller.chat(self._body(model=UNKNOWN_MODEL, max_tokens=1))
        if 400 <= reply.status < 500 and is_error_reply(reply.text):
            return _pass(f"An unknown model name was refused with HTTP {reply.status}.")
        chat = parse_chat(reply.text) if reply.status == 200 else None
        if chat is not None and chat.model == self._target.expected_digest:
            return _pass("An unknown model name was answered under the true digest.")
        served = chat.model if chat else None
        return _fail(
            f"An unknown model name got HTTP {reply.status} from model '{served or 'none'}'.",
            "The engine must refuse it or name the digest that it serves: start it with the digest as its alias.",
        )

    def wrong_key(self) -> Finding:
        reply = self._caller.chat(self._body(max_tokens=1), key=WRONG_KEY)
        if reply.status in (401, 403):
            return _pass(f"A wrong key was refused with HTTP {reply.status}.")
        return _fail(
            f"A wrong key got HTTP {reply.status}, not 401 or 403.",
            "Close the endpoint at the gateway before it carries traffic.",
        )


def _fault_of(chat: Chat | None) -> str:
    """What a whole answer lacks, empty when it is sound."""
    if chat is None:
        return "the reply is not JSON of the right shape"
    if not chat.text:
        return "no text"
    if chat.finish_reason not in ("stop", "length"):
        return f"finish reason '{chat.finish_reason}'"
    return "" if chat.usage and chat.usage.completion_tokens > 0 else "no token counts"


def _pass(summary: str, data: dict[str, Any] | None = None) -> Finding:
    return Finding(Verdict.PASS, summary, "", data or {})


def _fail(summary: str, remedy: str = "", data: dict[str, Any] | None = None) -> Finding:
    return Finding(Verdict.FAIL, summary, remedy, data or {})


def _short(digest: str) -> str:
    return digest[:12]
