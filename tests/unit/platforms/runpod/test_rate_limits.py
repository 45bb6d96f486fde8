"""Rate-limit headers: read when they can be, ignored when not, never a failure."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tidegate.platforms.runpod.rate_limits import MAX_SECONDS, parse_rate_limits, parse_retry_after

LIMIT = '"minute";r=0;t=34, "hour";r=2999;t=120, "day";r=0;t=5'
POLICY = '"minute";q=60;w=60, "hour";q=3000;w=3600, "day";q=50000;w=86400'
numbers = st.integers(min_value=0, max_value=600_000)
names = st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)


def test_the_longest_window_that_is_used_up_decides_the_wait() -> None:
    limits = parse_rate_limits(LIMIT, POLICY)

    assert limits.wait_s == 34
    assert [(one.name, one.remaining, one.quota, one.length_s) for one in limits.windows] == [
        ("minute", 0, 60, 60),
        ("hour", 2999, 3000, 3600),
        ("day", 0, 50000, 86400),
    ]


@given(st.dictionaries(names, st.tuples(numbers, numbers, numbers, numbers), max_size=4))
def test_what_is_written_is_what_is_read(windows: dict[str, tuple[int, int, int, int]]) -> None:
    limit = ", ".join(f'"{name}";r={r};t={t}' for name, (r, t, _, _) in windows.items())
    policy = ",".join(f'"{name}"; q={q} ;w={w}' for name, (_, _, q, w) in windows.items())

    parsed = parse_rate_limits(limit, policy)

    found = {one.name: (one.remaining, one.resets_in_s, one.quota, one.length_s) for one in parsed.windows}
    assert found == windows


@given(st.text(), st.text())
def test_no_header_makes_reading_fail_or_wait_for_ever(limit: str, policy: str) -> None:
    assert 0 <= parse_rate_limits(limit, policy).wait_s <= MAX_SECONDS
    retry = parse_retry_after(limit)
    assert retry is None or 0 <= retry <= MAX_SECONDS


@given(numbers)
def test_retry_after_is_read_in_seconds(seconds: int) -> None:
    assert parse_retry_after(str(seconds)) == seconds


def test_retry_after_is_read_as_a_date() -> None:
    now = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)

    assert parse_retry_after("Thu, 26 Nov 2026 12:00:30 GMT", now) == 30
    assert parse_retry_after("Thu, 26 Nov 2026 11:00:00 GMT", now) == 0
    assert parse_retry_after("soon", now) is None
    assert parse_retry_after(None, now) is None
    assert parse_retry_after("inf", now) is None
    assert parse_retry_after("-3", now) is None
