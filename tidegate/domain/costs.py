"""What sets cost at a vendor: billed where the vendor has billed it, estimated only for what it has not. Pure.

A vendor's bill lags. What lies before the settled hour counts as billed, even where nothing was: a set that was
stopped costs nothing. After it, the larger of bill and estimate counts; the difference is what is not billed yet.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

SETTLED_AFTER = timedelta(hours=2)
"""RunPod's records lag by up to an hour."""
NOTHING, CENT, TOLERANCE = Decimal(0), Decimal("0.01"), Decimal("1.05")


@dataclass(frozen=True)
class Resource:
    """Something at a vendor that a set is, or was, made of. The price is the most that it can cost per hour."""

    set_name: str
    id: str
    kind: str
    since: datetime
    usd_per_hour: Decimal
    until: datetime | None = None


@dataclass(frozen=True)
class Charge:
    """What a vendor billed for one resource in one span of time."""

    resource_id: str
    start: datetime
    end: datetime
    usd: Decimal


@dataclass(frozen=True)
class Cost:
    """Billed, and estimated for what is not billed yet; and the most that it can have been."""

    billed_usd: Decimal = NOTHING
    estimated_usd: Decimal = NOTHING
    most_usd: Decimal = NOTHING

    @property
    def total_usd(self) -> Decimal:
        return self.billed_usd + self.estimated_usd

    @property
    def is_exceeded(self) -> bool:
        """More was billed than it can have cost: somebody else uses it, or a price was misread. Disks and rounding
        are no reason to say so."""
        return self.billed_usd > self.most_usd * TOLERANCE + CENT

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.billed_usd + other.billed_usd,
            self.estimated_usd + other.estimated_usd,
            self.most_usd + other.most_usd,
        )

    def __str__(self) -> str:
        more = f" and about {self.estimated_usd:.2f} not billed yet" if self.estimated_usd else ""
        return f"{self.billed_usd:.2f} USD billed{more}"


def month_start(now: datetime) -> datetime:
    """The beginning of the calendar month, in UTC."""
    return now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def in_turn(resources: Iterable[Resource]) -> list[Resource]:
    """Resources of one set, each until the next one took its place: a pod that moved to another machine."""
    ordered = sorted(resources, key=lambda one: (one.since, one.id))
    moved = [
        replace(one, until=min(filter(None, (one.until, following.since))))
        for one, following in pairwise(ordered)
    ]
    return [*moved, *ordered[-1:]]


def cost_of(
    resource: Resource,
    charges: Sequence[Charge] | None,
    *,
    since: datetime,
    now: datetime,
    settled_after: timedelta = SETTLED_AFTER,
) -> Cost:
    """The cost of one resource from `since` until now. Without `charges` (None) all of it is estimated."""
    begin, end = max(since, resource.since), min(now, resource.until or now)
    most = _estimate(resource, begin, end)
    if charges is None:
        return Cost(NOTHING, most, most)
    settled = max(since, (now - settled_after).replace(minute=0, second=0, microsecond=0))
    own = [one for one in charges if one.resource_id == resource.id and one.end > since and one.start < now]
    before = sum((one.usd for one in own if one.start < settled), start=NOTHING)
    after = sum((one.usd for one in own if one.start >= settled), start=NOTHING)
    expected = _estimate(resource, max(begin, settled), end)
    return Cost(before + after, max(NOTHING, expected - after), most)


def _estimate(resource: Resource, begin: datetime, end: datetime) -> Decimal:
    hours = Decimal(max(0.0, (end - begin).total_seconds())) / 3600
    return (hours * resource.usd_per_hour).quantize(Decimal("0.000001"))
