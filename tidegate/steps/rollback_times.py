"""How long each part of a way back took, read from the journal. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegate.domain import JournalEntry, Release, ReleaseState

TIMES = "rollback times"
"""Note in the journal: what was measured of the way back."""
CONFIRMED = ("traffic", "weights")
"""Journal rows that say: every living gateway has the weights. A stopped release writes the first, a release of an
older digest the second."""


@dataclass(frozen=True)
class Phases:
    """Moments of one way back. None: not reached, or not measured."""

    decided: datetime
    published: datetime | None = None
    acknowledged: datetime | None = None
    traffic: datetime | None = None
    """From here at least 99 % of new requests went to the target, as asked through a gateway."""
    over: datetime | None = None

    def seconds(self) -> dict[str, float]:
        """Each moment, counted from the decision. Clocks of several hosts are involved: never below zero."""
        moments = {
            "published": self.published,
            "acknowledged": self.acknowledged,
            "traffic_99": self.traffic,
            "over": self.over,
        }
        return {
            name: round(max(0.0, (at - self.decided).total_seconds()), 4)
            for name, at in moments.items()
            if at is not None
        }


def phases_of(release: Release, entries: Sequence[JournalEntry]) -> Phases | None:
    """None for a release that is not on a way back, and was not."""
    begun = _decision(release, entries)
    if begun is None:
        return None
    later = [entry for entry in entries if entry.at >= begun]
    confirmed = next((entry for entry in later if entry.kind == "observed" and entry.name in CONFIRMED), None)
    noted = next((entry for entry in reversed(later) if entry.name == TIMES), None)
    ended = next((entry for entry in later if entry.kind == "entered" and _is_end(entry.name)), None)
    return Phases(
        decided=begun,
        published=_moment(confirmed.data.get("published_at")) if confirmed else None,
        acknowledged=confirmed.at if confirmed else None,
        traffic=_moment(noted.data.get("traffic")) if noted else None,
        over=ended.at if ended else None,
    )


def _decision(release: Release, entries: Sequence[JournalEntry]) -> datetime | None:
    """A person's or a monitor's wish; else the moment at which the release itself decided."""
    if release.request.trigger == "rollback":
        return release.created_at
    wish = next((entry for entry in entries if entry.kind == "abort"), None)
    turned = next(
        (e for e in entries if e.kind == "entered" and e.name == ReleaseState.ROLLING_BACK.value), None
    )
    first = wish or turned
    return first.at if first else None


def _is_end(name: str) -> bool:
    return name in (ReleaseState.DONE.value, ReleaseState.ROLLED_BACK.value, ReleaseState.REJECTED.value)


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None
