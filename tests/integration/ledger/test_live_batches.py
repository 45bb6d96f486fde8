"""What clients got, second by second: kept once, read by set, time and slice, and gone after a day, on both databases."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from tidegate.domain.live import ALL, SHADOW, STREAM, Histogram, LiveBatch
from tidegate.ledger.live import KEEP_LIVE
from tidegate.ledger.tables import LiveBatchRow


@pytest.fixture
def ledger(open_ledger, clock):
    return open_ledger(clock=clock)


def batch(at: datetime, **changes: Any) -> LiveBatch:
    given: dict[str, Any] = {
        "gateway": "gateway-1", "org": "acme", "service": "chat", "set_name": "green",
        "started_at": at, "ended_at": at + timedelta(seconds=1), "requests": 2, "failed": 1, "attempts": 3,
        "stops": {"stop": 1}, "ttft_ms": Histogram.of([90.0, 110.0]), "tokens": Histogram.of([64.0]),
    }  # fmt: skip
    return LiveBatch(**(given | changes))


def rows(ledger) -> int:
    with ledger._database.read() as session:
        return session.scalar(select(func.count()).select_from(LiveBatchRow)) or 0


def test_a_batch_comes_back_whole_and_sending_it_again_changes_nothing(ledger, clock):
    whole = batch(clock() - timedelta(seconds=9), is_probe=True, slice=STREAM)
    ledger.record_live([whole])
    ledger.record_live([whole, whole.model_copy(update={"requests": 99})])
    assert ledger.live("green", whole.started_at) == [whole]


def test_what_is_zero_takes_no_room(ledger, clock):
    ledger.record_live(
        [batch(clock(), failed=0, attempts=0, stops={}, ttft_ms=Histogram(), tokens=Histogram())]
    )
    with ledger._database.read() as session:
        kept = session.scalars(select(LiveBatchRow.data)).one()
    assert kept.keys() == {
        "gateway", "org", "service", "set_name", "started_at", "ended_at", "requests",
    }  # fmt: skip


def test_only_the_set_the_time_and_the_slices_that_are_asked_for_are_read(ledger, clock):
    start = clock() - timedelta(minutes=5)
    seconds = [start + timedelta(seconds=number) for number in range(4)]
    kept = [batch(at, slice=name) for at in seconds for name in (ALL, SHADOW, STREAM)]
    ledger.record_live([*kept, *(batch(at, set_name="blue") for at in seconds)])

    assert ledger.live("green", seconds[1], seconds[3]) == kept[3:9]
    assert ledger.live("green", start, slices=(ALL,)) == kept[::3]
    assert ledger.live("green", start, slices=(ALL, SHADOW)) == [one for one in kept if one.slice != STREAM]


def test_a_day_of_batches_is_kept_and_no_more_however_long_the_traffic_lasts(ledger, clock):
    for _ in range(60):
        ledger.record_live([batch(clock() - timedelta(seconds=2))])
        clock.now += timedelta(hours=1)
    oldest = ledger.live("green", datetime(2000, 1, 1, tzinfo=UTC))[0]
    assert rows(ledger) == 24
    assert oldest.ended_at > clock() - KEEP_LIVE - timedelta(hours=1)
