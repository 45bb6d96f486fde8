import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.platforms.runpod.emulator.billing import (
    SERVERLESS,
    buckets,
    cost,
    product_records,
    product_totals,
    volume_usd_per_s,
)
from tidegate.platforms.runpod.emulator.state import Usage

NOW = 1_795_000_000.0
sizes = st.sampled_from(["hour", "day", "week", "month", "year"])
spans = st.tuples(st.floats(0, 40 * 86400), st.floats(0, 40 * 86400)).map(sorted)


def usage(started_at, ended_at, name="endpoint", usd_per_s=0.001):
    return Usage("u", "org", SERVERLESS, name, "gpu", usd_per_s, started_at, ended_at)


@given(spans, sizes)
def test_buckets_follow_each_other_and_cover_what_was_asked(span, size):
    start, end = NOW + span[0], NOW + span[1]
    made = list(buckets(start, end, size))
    if start < end:
        assert made[0].start <= start
        assert made[-1].end >= end
    assert all(one.end == other.start for one, other in itertools.pairwise(made))


@given(st.lists(spans, max_size=6), sizes)
def test_no_second_is_billed_twice_or_never_whatever_the_bucket(times, size):
    usages = [usage(NOW + start, NOW + end, f"e{number % 2}") for number, (start, end) in enumerate(times)]
    end = NOW + 41 * 86400
    rows = product_records(SERVERLESS, usages, buckets(NOW, end, size), end)
    expected = sum(one.usd_per_s * ((one.ended_at or end) - one.started_at) for one in usages)
    assert product_totals(SERVERLESS, rows)["totalAmount"] == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_an_open_span_costs_until_now():
    assert cost(usage(NOW, None), 0, NOW * 2, NOW + 10) == pytest.approx(0.01)


def test_billing_that_lags_does_not_know_the_last_seconds():
    assert cost(usage(NOW, None), 0, NOW * 2, NOW - 10) == 0


def test_large_volumes_cost_less_per_gigabyte():
    assert volume_usd_per_s(2000) < 2 * volume_usd_per_s(1000)
