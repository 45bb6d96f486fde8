"""What another policy would have made of past releases: their evidence judged again. Pure but for reading the ledger.

Only what was measured can be judged again. A policy that wants more pairs or questions than there were is judged on
what there is; a gate whose measurements were not kept keeps its verdict, and both are said.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tidegate.domain import (
    Evidence,
    Gate,
    Policy,
    Release,
    ReleaseState,
    ServiceRef,
    Verdict,
    fold,
    fold_gates,
    settle,
)
from tidegate.quality import BankResult, judge_quality
from tidegate.quality.pairwise import JUDGE_CHECK
from tidegate.steps.checks import ON_REQUEST, REQUIRED
from tidegate.steps.evaluation import QUALITY_RUNS
from tidegate.steps.judging import judge_rounds
from tidegate.steps.performance import kept_rounds
from tidegate.steps.planned import planned_policy
from tidegate.steps.ports import Ports
from tidegate.steps.rounds import Round

Outcome = Literal["promoted", "stopped", "held"]
OUTCOMES: dict[Verdict, Outcome] = {
    Verdict.PASS: "promoted",
    Verdict.NOT_JUDGED: "held",
    Verdict.FAIL: "stopped",
    Verdict.ERROR: "stopped",
}
MOST_RELEASES = 1000
LATE = "the client was later than this policy tolerates: the first verdict stays"
PROMOTED = (ReleaseState.DONE, ReleaseState.RETIRING)
STOPPED = (ReleaseState.ROLLED_BACK, ReleaseState.REJECTED, ReleaseState.ROLLING_BACK)
HELD = (ReleaseState.HOLD, ReleaseState.AWAIT_APPROVAL, ReleaseState.PARKED)
DRIFT = "drift."
NOT_KEPT = "its measurements were not kept"


@dataclass(frozen=True)
class Past:
    """What is known of a release that was judged."""

    release: Release
    policy: Policy
    rows: tuple[Evidence, ...]
    rounds: tuple[Round, ...] = ()
    candidate: BankResult | None = None
    live: BankResult | None = None


@dataclass(frozen=True)
class Change:
    """One check whose verdict is another one."""

    check: str
    then: str
    now: str
    summary: str


@dataclass(frozen=True)
class Replayed:
    """One release under both policies. `then` is how it ended, `now` what its gates say under the other one."""

    release_id: str
    service: str
    model: str
    then: Outcome
    now: Outcome
    changes: tuple[Change, ...]
    not_judged_again: tuple[str, ...]

    @property
    def is_changed(self) -> bool:
        return self.then != self.now


@dataclass(frozen=True)
class Effect:
    """All of them, and what it comes down to."""

    releases: tuple[Replayed, ...]

    def count(self, then: Outcome, now: Outcome | None = None) -> int:
        return sum(one.then == then and now in (None, one.now) for one in self.releases)

    @property
    def summary(self) -> str:
        """One sentence for a person."""
        if not self.releases:
            return "No past release was judged that far: there is nothing to compare."
        return (
            f"It would have stopped {self.count('promoted', 'stopped')} and held {self.count('promoted', 'held')} of "
            f"{self.count('promoted')} promoted releases; it would have promoted {self.count('stopped', 'promoted')} of "
            f"{self.count('stopped')} stopped and {self.count('held', 'promoted')} of {self.count('held')} held ones."
        )


def replay(past: Past, policy: Policy) -> Replayed:
    """Judge one release again. What the other policy does not touch stays as it was."""
    rows, unknown = _judged_again(past, policy)
    then = {row.check: row for row in past.rows}
    changes = tuple(
        Change(
            row.check, then[row.check].verdict if row.check in then else "absent", row.verdict, row.summary
        )
        for row in rows
        if row.check not in then or then[row.check].verdict is not row.verdict
    )
    request = past.release.request
    ended = _outcome(past.release)
    now = OUTCOMES[_verdict(rows, policy)]
    if ended == "stopped" and now == "promoted" and _verdict(past.rows, past.policy) is Verdict.PASS:
        # The gates let it through then, too: live traffic stopped it, and would again.
        now = "stopped"
        unknown = (*unknown, "live traffic: what clients saw is not judged again")
    return Replayed(
        release_id=past.release.id,
        service=str(past.release.ref),
        model=f"{request.model}:{request.version}",
        then=ended,
        now=now,
        changes=changes,
        not_judged_again=unknown,
    )


def past_releases(
    ports: Ports, ref: ServiceRef | None = None, since: datetime | None = None
) -> Iterator[Past]:
    """Releases that were judged beside a live model or alone, newest first. One at a time: each holds every request
    that was measured. What is still under way has not ended in any way yet."""
    for release in ports.ledger.list_releases(ref=ref, limit=MOST_RELEASES):
        is_old = since is not None and release.created_at < since
        if is_old or release.state not in (*PROMOTED, *STOPPED, *HELD):
            continue
        rows = tuple(ports.ledger.evidence(release.id))
        if any(row.gate in (Gate.PERFORMANCE, Gate.QUALITY) for row in rows):
            yield _past(ports, release, rows)


def _past(ports: Ports, release: Release, rows: tuple[Evidence, ...]) -> Past:
    keys = [row.data["rounds"]["key"] for row in rows if isinstance(row.data.get("rounds"), dict)]
    answers = ports.ledger.result(QUALITY_RUNS, release.id) or {}
    return Past(
        release=release,
        policy=planned_policy(ports, release),
        rows=rows,
        rounds=tuple(kept_rounds(ports, keys[0])) if keys else (),
        candidate=_bank_result(answers.get("candidate")),
        live=_bank_result(answers.get("live")),
    )


def _bank_result(data: object) -> BankResult | None:
    return None if data is None else BankResult.model_validate(data)


def _judged_again(past: Past, policy: Policy) -> tuple[list[Evidence], tuple[str, ...]]:
    """The rows under the other policy, and what could not be judged by it."""
    rows: list[Evidence] = []
    unknown: list[str] = []
    for gate in Gate:
        own = [row for row in past.rows if row.gate is gate]
        if gate is Gate.PERFORMANCE and own:
            own = _performance_again(past, policy, own, unknown)
        elif gate is Gate.QUALITY and own:
            own = _quality_again(past, policy, own, unknown)
        rows += own
    if (past.policy.artifact, past.policy.validation) != (policy.artifact, policy.validation):
        unknown.append("structure and inference: the file itself is judged by: tidegate validate")
    return rows, tuple(unknown)


def _performance_again(past: Past, policy: Policy, own: list[Evidence], unknown: list[str]) -> list[Evidence]:
    if past.policy.performance == policy.performance:
        return own
    if not past.rounds:
        unknown.append(f"performance: {NOT_KEPT}")
        return own
    measured, wanted = sum(one.pairs for one in past.rounds), policy.performance.design.block_pairs
    if measured < wanted:
        unknown.append(f"performance: judged on the {measured} block pairs there are, not {wanted}")
    rows = list(judge_rounds(past.rounds, policy.performance, is_spent=True).rows)
    if not rows:
        unknown.append(f"performance: {LATE}")
    return rows or own


def _quality_again(past: Past, policy: Policy, own: list[Evidence], unknown: list[str]) -> list[Evidence]:
    """What files and another model said is kept: neither is asked again."""
    drift = [row for row in own if row.check.startswith(DRIFT)]
    opinion = [row for row in own if row.check == JUDGE_CHECK]
    answers = [row for row in own if row not in drift and row not in opinion]
    if policy.drift != past.policy.drift:
        unknown.append("drift: it is measured on the files")
        drift = drift if policy.drift.is_declared else []
    if policy.quality.judge != past.policy.quality.judge:
        unknown.append("judge: it is not asked again")
        opinion = opinion if policy.quality.judge is not None else []
    if past.policy.quality == policy.quality:
        return answers + opinion + drift
    if past.candidate is None:
        unknown.append(f"quality: {NOT_KEPT}")
        return answers + opinion + drift
    if policy.quality.bank != past.policy.quality.bank:
        unknown.append(
            f"quality: bank {policy.quality.bank} was not asked; judged on {past.policy.quality.bank}"
        )
    return judge_quality(past.candidate, past.live, policy.quality) + opinion + drift


def _verdict(rows: Iterable[Evidence], policy: Policy) -> Verdict:
    """Of all gates together, as the release would have gone on."""
    every = list(rows)
    results = {
        gate: settle(
            fold(gate, every, REQUIRED[gate] | policy.declared_checks(gate)), policy.when_not_judged(gate)
        )
        for gate in REQUIRED
    }
    judged = {row.gate for row in every}
    return fold_gates(results, [gate for gate in REQUIRED if gate in judged or gate not in ON_REQUEST])


def _outcome(release: Release) -> Outcome:
    if release.state in HELD:
        return "held"
    return "stopped" if release.state in STOPPED else "promoted"


def effect_of(past: Iterable[Past], policy_of: Callable[[ServiceRef], Policy]) -> Effect:
    """All of them under the policy that each of their services would have."""
    return Effect(tuple(replay(one, policy_of(one.release.ref)) for one in past))
