"""What the records mean: times, explained failures, and whether all went as it must. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegate.demo.narration import first_line
from tidegate.demo.scenario import Outcome, failed_topics
from tidegate.demo.story import ActRecord, Counts, Failure, ServiceStory, Story
from tidegate.domain import JournalEntry, ReleaseState

BUSY_ADVICE = (
    "A release that could not be judged waits for a person: is this machine busy with something else?"
)


@dataclass(frozen=True)
class ActSummary:
    """The figures of one release. Times are None when the thing did not happen."""

    service: str
    version: str
    expected: Outcome
    outcome: Outcome
    reason: str
    seconds: float
    requests: int
    failed: int
    truncated: int
    explained: int
    unexplained: int
    switch_s: float | None
    rollback_s: float | None
    detection_s: float | None
    topics: dict[str, str]
    problem: str

    @property
    def is_as_expected(self) -> bool:
        return not self.problem

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "service": self.service,
            "version": self.version,
            "expected": self.expected.value,
            "outcome": self.outcome.value,
            "as_expected": self.is_as_expected,
            "problem": self.problem,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
            "requests": self.requests,
            "failed": self.failed,
            "truncated": self.truncated,
            "explained": self.explained,
            "unexplained": self.unexplained,
            "switch_s": self.switch_s,
            "rollback_s": self.rollback_s,
            "kill_to_rollback_s": self.detection_s,
            "lost_topics": self.topics,
        }


@dataclass(frozen=True)
class StorySummary:
    """The figures of the whole demonstration."""

    acts: tuple[ActSummary, ...]
    totals: Counts
    explained: int
    unexplained: int
    problems: tuple[str, ...]

    @property
    def headline(self) -> str:
        """The whole result in one sentence."""
        if self.problems:
            return "Not everything went as it must."
        lost = f", except {self.explained} in flight on a set that we killed" if self.explained else ""
        return f"Every release ended as it must, and no client request was lost{lost}."

    @property
    def exit_code(self) -> int:
        return 1 if self.problems else 0

    def as_dict(self) -> dict[str, Any]:
        return {
            "as_expected": not self.problems,
            "problems": list(self.problems),
            "requests": self.totals.sent,
            "ok": self.totals.ok,
            "failed": self.totals.failed,
            "truncated": self.totals.truncated,
            "explained_by_the_kill": self.explained,
            "unexplained": self.unexplained,
            "releases": [act.as_dict() for act in self.acts],
        }


def summarise(story: Story, expected_acts: int) -> StorySummary:
    """Fold the story. Whatever is missing is a problem: silence is never a success (S7)."""
    acts = [_act(service, number) for service in story.services for number in range(len(service.acts))]
    failures = [failure for service in story.services for failure in service.failures]
    unexplained = sum(not failure.explained for failure in failures)
    problems = [f"{service.service}: {service.problem}" for service in story.services if service.problem]
    problems += [f"{act.service} {act.version}: {act.problem}" for act in acts if act.problem]
    problems += [
        f"{service.service}: {len(service.acts)} of {expected_acts} releases were made."
        for service in story.services
        if len(service.acts) != expected_acts and not service.problem
    ]
    problems += [
        f"{service.service}: no client request was sent."
        for service in story.services
        if not service.totals.sent
    ]
    if unexplained:
        problems.append(f"{_requests(unexplained)} failed or broke off without an explanation.")
    return StorySummary(
        acts=tuple(acts),
        totals=_sum(service.totals for service in story.services),
        explained=len(failures) - unexplained,
        unexplained=unexplained,
        problems=tuple(problems),
    )


def _act(service: ServiceStory, number: int) -> ActSummary:
    act = service.acts[number]
    during = _failures_during(service, number)
    explained = sum(failure.explained for failure in during)
    topics = failed_topics(act.evidence)
    rollback = seconds_between(act.entries, ReleaseState.ROLLING_BACK, "traffic")
    return ActSummary(
        service=service.service,
        version=act.version,
        expected=act.expected,
        outcome=act.outcome,
        reason=reason_of(act),
        seconds=(act.entries[-1].at - act.entries[0].at).total_seconds() if act.entries else 0.0,
        requests=act.traffic.sent,
        failed=sum(failure.outcome == "failed" for failure in during),
        truncated=sum(failure.outcome == "truncated" for failure in during),
        explained=explained,
        unexplained=len(during) - explained,
        switch_s=switch_s(act.entries) if act.outcome is Outcome.LIVE else None,
        rollback_s=rollback if act.outcome is Outcome.ROLLED_BACK else None,
        detection_s=_detection_s(act),
        topics=topics,
        problem=_problem(act, topics),
    )


def _problem(act: ActRecord, topics: dict[str, str]) -> str:
    """Why this release did not show what it must; empty when it did."""
    if act.outcome is not act.expected:
        advice = f" {BUSY_ADVICE}" if act.outcome is Outcome.HELD else ""
        return f"expected {act.expected.value}, but {act.outcome.value}: {reason_of(act)}{advice}"
    if act.expected is Outcome.REFUSED and not topics:
        return f"refused, but not for lost topics: {act.release.reason}"
    if act.expected is Outcome.ROLLED_BACK and act.kill is None:
        return f"rolled back before its set could be killed: {act.release.reason}"
    return ""


def reason_of(act: ActRecord) -> str:
    """Why it ended as it did: the reason given when the decision fell, not when the tidying was over."""
    deciding = {
        Outcome.REFUSED: (ReleaseState.ROLLING_BACK, ReleaseState.REJECTED),
        Outcome.ROLLED_BACK: (ReleaseState.ROLLING_BACK,),
    }.get(act.outcome, ())
    for entry in act.entries:
        if entry.kind == "entered" and entry.name in deciding and entry.data.get("reason"):
            return first_line(str(entry.data["reason"]))
    return first_line(act.release.reason)


def seconds_between(entries: Iterable[JournalEntry], state: ReleaseState, observed: str) -> float | None:
    """From entering `state` (the last time) to reading back `observed` after it."""
    start: datetime | None = None
    found: float | None = None
    for entry in entries:
        if entry.kind == "entered" and entry.name == state.value:
            start, found = entry.at, None
        elif entry.kind == "observed" and entry.name == observed and start is not None and found is None:
            found = (entry.at - start).total_seconds()
    return found


def switch_s(entries: tuple[JournalEntry, ...]) -> float | None:
    """From deciding on the last step to all traffic until every gateway has confirmed it."""
    shifting = [
        position
        for position, entry in enumerate(entries)
        if entry.kind == "entered" and entry.name == ReleaseState.SHIFTING.value
    ]
    if not shifting:
        return None
    rest = entries[shifting[-1] :]
    until_left = [rest[0]]
    for entry in rest[1:]:
        if entry.kind == "entered":
            break
        until_left.append(entry)
    return seconds_between(until_left, ReleaseState.SHIFTING, "weights")


def _detection_s(act: ActRecord) -> float | None:
    """From just before the kill to the decision to go back: rather too long than too short."""
    if act.kill is None:
        return None
    for entry in act.entries:
        if entry.kind == "entered" and entry.name == ReleaseState.ROLLING_BACK.value:
            return (entry.at - act.kill.begun_at).total_seconds()
    return None


def _failures_during(service: ServiceStory, number: int) -> list[Failure]:
    """Requests sent after this release began and before the next: one may end only after its release did."""
    starts = [act.release.created_at for act in service.acts]
    begin, end = starts[number], starts[number + 1] if number + 1 < len(starts) else None
    return [
        failure
        for failure in service.failures
        if begin <= failure.sent_at and (end is None or failure.sent_at < end)
    ]


def _sum(counts: Iterable[Counts]) -> Counts:
    total = Counts()
    for one in counts:
        total = Counts(**{name: getattr(total, name) + value for name, value in one.model_dump().items()})
    return total


def _requests(number: int) -> str:
    return "1 request" if number == 1 else f"{number} requests"
