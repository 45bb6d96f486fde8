"""Billed where it is billed, estimated only for what is not billed yet."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tidegate.domain import Charge, Cost, Resource, cost_of, in_turn, month_start

NOW = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)
MONTH = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
TWO = Decimal(2)


def resource(age_h: float, until: datetime | None = None) -> Resource:
    return Resource("set", "ep1", "endpoint", NOW - age_h * HOUR, TWO, until)


def hour(back: int, usd: str, resource_id: str = "ep1") -> Charge:
    """The charge of the whole hour so many hours before the one that runs."""
    start = NOW.replace(minute=0) - back * HOUR
    return Charge(resource_id, start, start + HOUR, Decimal(usd))


def test_what_is_settled_is_billed_even_where_nothing_was() -> None:
    """It ran for ten hours and was stopped for most of them: the estimate would be 20 USD."""
    charges = [hour(9, "1.50"), hour(8, "0.25"), hour(5, "9", "another")]

    cost = cost_of(resource(10, until=NOW - 3 * HOUR), charges, since=MONTH, now=NOW)

    assert (cost.billed_usd, cost.estimated_usd) == (Decimal("1.75"), 0)
    assert not cost.is_exceeded


def test_what_is_not_settled_yet_is_estimated_beyond_what_is_billed() -> None:
    # Settled until 10:00; since then 2.5 h at 2 USD, of which 1.20 are billed.
    cost = cost_of(resource(5), [hour(4, "2"), hour(3, "2"), hour(2, "1.20")], since=MONTH, now=NOW)

    assert cost.billed_usd == Decimal("5.20")
    assert cost.estimated_usd == Decimal("3.80")
    assert str(cost) == "5.20 USD billed and about 3.80 not billed yet"


def test_a_bill_above_the_estimate_stands() -> None:
    cost = cost_of(resource(0.5), [hour(0, "7")], since=MONTH, now=NOW)

    assert (cost.billed_usd, cost.estimated_usd) == (7, 0)
    assert cost.is_exceeded, "half an hour at 2 USD is no 7"
    assert str(cost) == "7.00 USD billed"


def test_without_a_bill_all_of_it_is_estimated() -> None:
    cost = cost_of(resource(10), None, since=MONTH, now=NOW)

    assert cost == Cost(Decimal(0), Decimal(20), Decimal(20))


def test_only_the_part_within_the_month_counts() -> None:
    started = Resource("set", "ep1", "endpoint", MONTH - HOUR * 5, TWO, MONTH + HOUR)
    before = Charge("ep1", MONTH - HOUR, MONTH, Decimal(2))
    after = Charge("ep1", MONTH, MONTH + HOUR, Decimal(2))

    assert cost_of(started, [before, after], since=MONTH, now=NOW).billed_usd == TWO
    assert cost_of(started, None, since=MONTH, now=NOW).estimated_usd == TWO


def test_a_pod_that_moved_is_paid_for_once_at_a_time() -> None:
    first = Resource("set", "p1", "pod", NOW - 4 * HOUR, TWO, NOW)
    second = Resource("set", "p2", "pod", NOW - HOUR, TWO, NOW)

    assert [one.until for one in in_turn([second, first])] == [NOW - HOUR, NOW]
    assert in_turn([]) == []


def test_a_bill_is_above_the_most_only_by_more_than_disks_and_rounding() -> None:
    assert not (Cost(Decimal("1.04"), most_usd=Decimal(1)) + Cost(most_usd=Decimal(0))).is_exceeded
    assert Cost(Decimal("1.07"), most_usd=Decimal(1)).is_exceeded


def test_a_month_begins_in_utc() -> None:
    assert month_start(NOW) == MONTH
