"""How each part of an installation is, as it was seen last: one state per health check, with its age and its remedy. Pure.

Missing evidence is `unknown` and never `ok`: what nobody looked at, what did not answer in its time, and what was seen so
long ago that it says nothing of now.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

GRACE = timedelta(seconds=60)
"""How much later than due a check may come before what it said last is no evidence any more."""
MISSED_TURNS = 3


class Health(StrEnum):
    """From good to bad in the order of `rank`: what nobody knows is worse than what somebody may put off."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    FAILED = "failed"

    @property
    def rank(self) -> int:
        return list(Health).index(self)


@dataclass(frozen=True)
class Part:
    """One thing that a check looked at: a pool, a gateway, a key."""

    name: str
    health: Health
    text: str
    remedy: str = ""


@dataclass(frozen=True)
class Judgement:
    """What a check says of everything that it looked at."""

    health: Health
    text: str
    remedy: str = ""
    parts: tuple[Part, ...] = ()
    measures: dict[str, float] = field(default_factory=dict[str, float])
    """Numbers whose trend tells something; few, and the same names each time."""

    @classmethod
    def of(cls, parts: Iterable[Part], measures: dict[str, float] | None = None) -> "Judgement":
        """The worst part speaks for all. Nothing that was looked at is no evidence of anything."""
        looked = tuple(parts)
        if not looked:
            return cls(Health.UNKNOWN, "nothing was found to look at", measures=measures or {})
        worst = max(looked, key=lambda part: part.health.rank)
        if worst.health is Health.OK:
            text = worst.text if len(looked) == 1 else f"{len(looked)} looked at, all well"
            return cls(Health.OK, text, parts=looked, measures=measures or {})
        bad = [part for part in looked if part.health is not Health.OK]
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        return cls(
            worst.health, f"{worst.name}: {worst.text}{more}", worst.remedy, looked, measures=measures or {}
        )


@dataclass(frozen=True)
class HealthState:
    """What is known of one check now."""

    check: str
    health: Health
    text: str
    remedy: str
    parts: tuple[Part, ...]
    measures: dict[str, float]
    since: datetime
    """When it became what it is."""
    checked_at: datetime
    took_s: float
    interval_s: float

    def age_s(self, now: datetime) -> float:
        return max(0.0, (now - self.checked_at).total_seconds())

    def is_stale(self, now: datetime) -> bool:
        return now - self.checked_at > timedelta(seconds=self.interval_s * MISSED_TURNS) + GRACE

    def seen_from(self, now: datetime) -> "HealthState":
        """The same, as far as it is evidence now."""
        if not self.is_stale(now):
            return self
        return HealthState(
            check=self.check,
            health=Health.UNKNOWN,
            text=f"nobody looked for {self.age_s(now):.0f} s; then it was {self.health.value}: {self.text}",
            remedy="See that the process `health` runs: tidegate status, tidegate logs health.",
            parts=(),
            measures={},
            since=self.since,
            checked_at=self.checked_at,
            took_s=self.took_s,
            interval_s=self.interval_s,
        )


@dataclass(frozen=True)
class HealthSample:
    """One moment of a check's history: a change, or one of the coarse samples between changes."""

    check: str
    health: Health
    text: str
    measures: dict[str, float]
    at: datetime
    is_change: bool


@dataclass(frozen=True)
class BackupMark:
    """The last time that a step of backups succeeded."""

    step: str
    """`made` or `verified`."""
    name: str
    at: datetime
    size_bytes: int
    took_s: float


def worst(states: Iterable[HealthState]) -> Health:
    """Of everything. Nothing at all is unknown."""
    return max((state.health for state in states), key=lambda health: health.rank, default=Health.UNKNOWN)
