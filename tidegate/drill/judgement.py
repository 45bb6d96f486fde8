"""What a drill saw, and whether that was what must come of it. Pure: values in, a verdict out.

The invariant of every drill: no client-visible failure wherever a healthy way to an answer existed. A failure is
allowed only by what the drill says beforehand (`Path`), and then only inside the moments it names.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from tidegate.domain import JournalEntry, Release, ReleaseState
from tidegate.drill.scenario import Drill, Path

MIN_ANSWERS = 5
"""Fewer answers than this while the fault lasted and after it prove nothing."""
BUSY_LOAD_PER_CORE = 2.0
"""On a machine that does twice what it can, seconds say more about the machine than about the product."""


class Verdict(StrEnum):
    KEPT = "kept"
    BROKEN = "broken"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True)
class Loss:
    """One request that did not end well, as its client saw it."""

    sent_at: datetime
    ended_at: datetime
    outcome: str
    error: str
    set_name: str | None = None
    is_stream: bool = False


@dataclass(frozen=True)
class Sighting:
    """Everything that the drill saw."""

    began_at: datetime
    """Just before the fault."""
    done_at: datetime
    """The fault was made."""
    lifted_at: datetime
    """A lasting fault ended; the same as `done_at` for a blow."""
    recovered_at: datetime | None
    """What was hit works again; None when it did not within the drill's patience."""
    answering_at: datetime | None
    """The first whole answer that was asked for after `lifted_at`."""
    sent: int
    answered: int
    aborted: int
    answered_since: int
    """Whole answers from the fault to the end of the traffic."""
    losses: tuple[Loss, ...] = ()
    hit_sets: tuple[str, ...] = ()
    release: Release | None = None
    entries: tuple[JournalEntry, ...] = ()
    load_per_core: float = 0.0
    problem: str = ""
    """Why the drill could not be played to its end; empty when it could."""


@dataclass(frozen=True)
class Report:
    """The outcome of one drill."""

    drill: Drill
    verdict: Verdict
    reasons: tuple[str, ...]
    sent: int = 0
    answered: int = 0
    failed: int = 0
    truncated: int = 0
    allowed: int = 0
    """Of the failed and truncated, those that the drill allows."""
    recovery_s: float | None = None
    outage_s: float | None = None
    """From the fault to the first whole answer that was asked for after it; only where no other way existed."""
    ended: str = ""
    did: tuple[str, ...] = ()
    """What the system did, from its journal."""
    took_s: float = 0.0
    losses: tuple[Loss, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {
            "drill": self.drill.name,
            "fault": self.drill.fault,
            "expected": self.drill.expected,
            "verdict": self.verdict.value,
            "reasons": list(self.reasons),
            "requests": {
                "sent": self.sent,
                "answered": self.answered,
                "failed": self.failed,
                "truncated": self.truncated,
                "allowed_to_fail": self.allowed,
            },
            "recovery_s": self.recovery_s,
            "promised_s": self.drill.promised_s,
            "outage_s": self.outage_s,
            "release_ended": self.ended,
            "system_did": list(self.did),
            "took_s": self.took_s,
            "losses": [
                {
                    "sent_at": loss.sent_at.isoformat(),
                    "ended_at": loss.ended_at.isoformat(),
                    "outcome": loss.outcome,
                    "error": loss.error,
                    "set": loss.set_name,
                    "stream": loss.is_stream,
                }
                for loss in self.losses
            ],
        }


@dataclass
class _Findings:
    broken: list[str] = field(default_factory=list[str])
    unjudged: list[str] = field(default_factory=list[str])


def judge(drill: Drill, seen: Sighting, took_s: float = 0.0) -> Report:
    """Compare what was seen with what must come of it. What is shown to be broken outweighs what is not judged."""
    allowed = [loss for loss in seen.losses if is_allowed(drill, seen, loss)]
    found = _Findings()
    _judge_losses(drill, seen, len(seen.losses) - len(allowed), found)
    _judge_recovery(drill, seen, found)
    _judge_release(drill, seen, found)
    if seen.problem:
        found.unjudged.append(seen.problem)
    verdict = Verdict.BROKEN if found.broken else Verdict.NOT_JUDGED if found.unjudged else Verdict.KEPT
    truncated = sum(loss.outcome == "truncated" for loss in seen.losses)
    return Report(
        drill,
        verdict,
        tuple(found.broken + found.unjudged),
        sent=seen.sent,
        answered=seen.answered,
        failed=len(seen.losses) - truncated,
        truncated=truncated,
        allowed=len(allowed),
        recovery_s=_seconds(seen.lifted_at, seen.recovered_at),
        outage_s=_seconds(seen.began_at, seen.answering_at) if drill.path is Path.NONE else None,
        ended=seen.release.state.value if seen.release else "",
        did=journal_lines(seen.entries, seen.began_at),
        took_s=round(took_s, 1),
        losses=seen.losses,
    )


def not_played(drill: Drill, why: str, took_s: float = 0.0) -> Report:
    """A drill that could not be played proves nothing."""
    return Report(drill, Verdict.NOT_JUDGED, (why,), took_s=round(took_s, 1))


def worst(reports: list[Report] | tuple[Report, ...]) -> Verdict:
    """One broken promise outweighs everything; one that was not judged keeps the whole from being kept."""
    found = {report.verdict for report in reports}
    for verdict in (Verdict.BROKEN, Verdict.NOT_JUDGED):
        if verdict in found:
            return verdict
    return Verdict.KEPT if reports else Verdict.NOT_JUDGED


def is_allowed(drill: Drill, seen: Sighting, loss: Loss) -> bool:
    """A loss that nobody could have prevented, by what the drill said beforehand.

    A reply without the header of a set (its connection broke before any header) may have been at the hit one.
    """
    was_under_way = loss.sent_at <= seen.done_at and loss.ended_at >= seen.began_at
    match drill.path:
        case Path.ALWAYS:
            return False
        case Path.BUT_IN_FLIGHT:
            return was_under_way and loss.set_name in (*seen.hit_sets, None)
        case Path.NONE:
            end = max(seen.lifted_at, seen.answering_at or seen.lifted_at)
            return loss.sent_at <= end and loss.ended_at >= seen.began_at


def _judge_losses(drill: Drill, seen: Sighting, unexplained: int, found: _Findings) -> None:
    if unexplained:
        found.broken.append(
            f"{unexplained} client requests were lost although a healthy way to an answer existed"
        )
    if seen.answered_since < MIN_ANSWERS:
        if drill.path is Path.NONE and seen.answering_at is None:
            found.broken.append("no client was answered again after the fault")
        else:
            found.unjudged.append(
                f"only {seen.answered_since} requests were answered since the fault: too few to prove anything"
            )
    if seen.aborted:
        found.unjudged.append(f"{seen.aborted} requests were still in flight when the drill ended")


def _judge_recovery(drill: Drill, seen: Sighting, found: _Findings) -> None:
    """That it recovers is judged anywhere, how fast only where seconds mean something."""
    if seen.recovered_at is None:
        if not seen.problem:
            found.broken.append("what was hit did not come back while the drill waited")
        return
    took_s = (seen.recovered_at - seen.lifted_at).total_seconds()
    if took_s <= drill.promised_s:
        return
    late = f"recovered after {took_s:.1f} s; promised were {drill.promised_s:g} s"
    if seen.load_per_core > BUSY_LOAD_PER_CORE:
        found.unjudged.append(
            f"{late}, on a machine with {seen.load_per_core:.1f} times the work that it can do"
        )
    else:
        found.broken.append(late)


def _judge_release(drill: Drill, seen: Sighting, found: _Findings) -> None:
    if not drill.ends:
        return
    if seen.release is None:
        found.unjudged.append("no release was under way when the fault came")
        return
    if seen.release.state not in drill.ends:
        wanted = " or ".join(sorted(state.value for state in drill.ends))
        text = f"the release is {seen.release.state.value}, not {wanted}: {seen.release.reason or 'no reason given'}"
        if seen.release.state is ReleaseState.HOLD and is_for_want_of_evidence(seen.entries):
            found.unjudged.append(text)
        else:
            found.broken.append(text)
    if wrong := stale_writes(seen.entries):
        found.broken.append(
            f"an owner that was replaced wrote after its successor (row {wrong[0].seq} of the journal, "
            f"epoch {wrong[0].epoch})"
        )


def is_for_want_of_evidence(entries: tuple[JournalEntry, ...]) -> bool:
    """The release holds since a gate was not judged: a person is asked, as the policy says, and nothing is wrong."""
    entered = [entry for entry in entries if entry.kind == "entered"]
    return bool(entered) and "not judged" in str(entered[-1].data.get("reason", "")).replace("_", " ")


def stale_writes(entries: tuple[JournalEntry, ...]) -> list[JournalEntry]:
    """Rows with an epoch below one that was written before (S6: at most one epoch writes). What people write, wishes
    and notes, has none."""
    stale: list[JournalEntry] = []
    highest = 0
    for entry in sorted(entries, key=lambda entry: entry.seq):
        if 0 < entry.epoch < highest:
            stale.append(entry)
        highest = max(highest, entry.epoch)
    return stale


def journal_lines(entries: tuple[JournalEntry, ...], since: datetime) -> tuple[str, ...]:
    """What the release did from the fault on: seconds after it, epoch, state or effect."""
    lines: list[str] = []
    for entry in entries:
        if entry.at < since or entry.kind == "intent":
            continue
        reason = str(entry.data.get("reason") or "")
        text = f"+{(entry.at - since).total_seconds():.1f} s  epoch {entry.epoch}  {entry.kind} {entry.name}"
        lines.append(f"{text}: {reason}" if reason else text)
    return tuple(lines)


def _seconds(begin: datetime, end: datetime | None) -> float | None:
    return None if end is None else round(max(end - begin, timedelta()).total_seconds(), 2)
