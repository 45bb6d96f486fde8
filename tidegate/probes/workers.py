"""Asks a set until every one of its workers has answered: which digest it reports, and what it says.

The front door of a vendor chooses the worker. So questions go out several at once, which spreads them, and again until
each worker was heard. Where replies do not name their worker, as many are asked as reach all of them by chance.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from tidegate.probes.caller import UNREACHABLE, Caller, Reply
from tidegate.probes.endpoint import RELEASE_HEADER
from tidegate.probes.fingerprint import Fingerprint, fingerprint_request, read_fingerprint
from tidegate.probes.replies import parse_chat
from tidegate.probes.target import ProbeTarget

WORKER_HEADER = "x-runpod-worker-id"
MOST_AT_ONCE = 16
MOST_BATCHES = 4
MISSED_BY_CHANCE = 1e-3
"""Chance that one of the workers was never asked although all that is said below was asked."""


@dataclass(frozen=True)
class WorkerAnswer:
    """One reply. `worker` is empty where the reply does not say who gave it; `problem` says why it is none."""

    worker: str = ""
    digest: str | None = None
    release: str | None = None
    said: Fingerprint | None = None
    problem: str = ""


@dataclass(frozen=True)
class Heard:
    """All replies of one round to a set of `expected` workers."""

    answers: tuple[WorkerAnswer, ...]
    expected: int

    @property
    def answered(self) -> tuple[WorkerAnswer, ...]:
        return tuple(one for one in self.answers if not one.problem)

    @property
    def workers(self) -> frozenset[str]:
        return frozenset(one.worker for one in self.answered)

    @property
    def missing(self) -> str:
        """What was not heard; empty when every worker was."""
        if not self.answered:
            return next((one.problem for one in self.answers), "nobody was asked")
        named = self.workers - {""}
        if named:
            return "" if len(named) >= self.expected else f"{len(named)} of {self.expected} workers answered"
        needed, count = questions_by_chance(self.expected), len(self.answered)
        asked = max(needed, len(self.answers))
        if count < needed or (self.expected > 1 and count < len(self.answers)):
            # Nobody knows who failed: it may be the same worker every time, and then nobody heard it.
            return f"{count} of {asked} questions were answered"
        return ""


def questions_by_chance(workers: int) -> int:
    """Questions after which all of so many workers were asked, but for `MISSED_BY_CHANCE`, if each is as likely.

    P(one is missed) <= w (1 - 1/w)^n, the union bound: n = ln(p / w) / ln(1 - 1/w).
    """
    return 1 if workers <= 1 else math.ceil(math.log(MISSED_BY_CHANCE / workers) / math.log(1 - 1 / workers))


def hear_workers(
    target: ProbeTarget,
    prompt: str,
    tokens: int,
    expected: int,
    *,
    timeout_s: float = 30.0,
    transport: httpx.BaseTransport | None = None,
) -> Heard:
    """Ask until all workers were heard, or so often that one must be silent. Never raises for what they say."""
    at_once = 1 if expected <= 1 else min(MOST_AT_ONCE, 2 * expected)
    most = max(MOST_BATCHES * at_once, questions_by_chance(expected) + at_once)
    heard = Heard((), expected)
    with Caller(target, timeout_s, transport) as caller, ThreadPoolExecutor(at_once) as pool:

        def ask(_: int) -> WorkerAnswer:
            return _ask(caller, target, prompt, tokens)

        while heard.missing and len(heard.answers) < most:
            heard = Heard((*heard.answers, *pool.map(ask, range(at_once))), expected)
    return heard


def _ask(caller: Caller, target: ProbeTarget, prompt: str, tokens: int) -> WorkerAnswer:
    try:
        reply = caller.chat(fingerprint_request(target.model, prompt, tokens))
        if reply.status == 400:
            # An engine that knows no log-probabilities still has its text.
            reply = caller.chat(fingerprint_request(target.model, prompt, tokens, with_numbers=False))
    except UNREACHABLE as error:
        reason = caller.without_key(str(error)) or "no details"
        return WorkerAnswer(problem=f"could not be asked: {type(error).__name__}: {reason}")
    return _answer(reply)


def _answer(reply: Reply) -> WorkerAnswer:
    worker = reply.headers.get(WORKER_HEADER, "")
    if reply.status != 200:
        return WorkerAnswer(worker, problem=f"HTTP {reply.status}: {reply.excerpt}")
    chat = parse_chat(reply.text)
    return WorkerAnswer(
        worker,
        digest=chat.model if chat else None,
        release=reply.headers.get(RELEASE_HEADER),
        said=read_fingerprint(reply.text),
    )


def liars(
    answers: Sequence[WorkerAnswer], digest: str, release: str, reference: Fingerprint
) -> dict[str, str]:
    """Workers that serve something else, with what. One sound answer proves a worker's file: another file has none.

    A reported digest or release that is not the expected one is enough by itself.
    """
    found: dict[str, str] = {}
    sound = {one.worker for one in answers if one.said and not one.said.difference(reference)}
    for one in answers:
        name = one.worker
        if one.digest != digest:
            found[name] = f"it reports {(one.digest or 'no file')[:12]}, not {digest[:12]}"
        elif one.release is not None and one.release != release:
            found[name] = f"release {one.release} answered, not {release}"
        elif one.said is None:
            found.setdefault(name, "it says nothing to a fixed question")
        elif (name == "" or name not in sound) and (why := one.said.difference(reference)):
            found.setdefault(name, f"it reports the right digest and {why}")
    return found
