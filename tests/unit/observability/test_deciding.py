"""What a channel is told and when: pure decisions, as properties."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.domain.channel import Channel, Digest, QuietHours, Rate
from tidegate.domain.deliveries import Standing, Told
from tidegate.domain.events import Event, EventKind, Severity
from tidegate.observability.notifications.deciding import (
    LATE,
    MAX_ATTEMPTS,
    MAX_RETRY_S,
    URGENT_SPACING,
    decide,
    horizon,
    next_try,
    tokens,
)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
NIGHT = QuietHours(start=time(22), end=time(7), timezone="Europe/Berlin")


def channel(**fields: object) -> Channel:
    return Channel.model_validate({"kind": "chat", "address": "chat-url", **fields})


def event(number: int = 1, **fields: object) -> Event:
    values = {
        "number": number,
        "key": f"k{number}",
        "kind": EventKind.HOLD,
        "severity": Severity.WARNING,
        "org": "acme",
        "topic": f"t{number}",
        "title": f"event {number}",
        "at": NOW,
    }
    return Event.model_validate(values | fields)


def numbers(bundles) -> list[list[int]]:
    return [[one.number for one in bundle.events] for bundle in bundles]


moments = st.integers(0, 2 * 365 * 86400).map(
    lambda gone: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=gone)
)
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
quiets = st.builds(
    lambda start, end, zone: QuietHours(start=start, end=end, timezone=zone),
    st.times(max_value=time(11, 59)),
    st.times(min_value=time(12)),
    zones,
) | st.builds(
    lambda start, end, zone: QuietHours(start=start, end=end, timezone=zone),
    st.times(min_value=time(12)),
    st.times(max_value=time(11, 59)),
    zones,
)
events = st.builds(
    event,
    st.integers(1, 10**6),
    severity=st.sampled_from(list(Severity)),
    is_resolved=st.booleans(),
    at=st.integers(0, 10**5).map(lambda ago: NOW - timedelta(seconds=ago)),
    trouble=st.sampled_from(["", "disk", "drift"]),
    group=st.sampled_from(["", "g1", "g2"]),
)
waitings = st.lists(events, max_size=12, unique_by=lambda one: one.number).map(tuple)
histories = st.lists(st.integers(0, 7200), max_size=40).map(
    lambda ages: tuple(NOW - timedelta(seconds=age) for age in sorted(ages, reverse=True))
)
channels = st.builds(
    lambda burst, per_hour, after, minutes, quiet: channel(
        rate={"burst": burst, "per_hour": per_hour},
        digest={"after": after, "minutes": minutes},
        quiet_hours=quiet,
    ),
    st.integers(1, 20),
    st.floats(0.5, 3600),
    st.integers(1, 10),
    st.floats(0.5, 120),
    st.none() | quiets,
)


# ---- what holds for every decision


@given(channels, waitings, histories)
def test_no_event_is_in_two_messages_and_none_is_told_and_dropped(one, waiting, messages):
    made = decide(one, Standing(waiting, messages), NOW)
    told = [event.number for bundle in made.bundles for event in bundle.events]
    dropped = [event.number for event in made.dropped]
    assert len(told) == len(set(told))
    assert not set(told) & set(dropped)
    assert set(told) | set(dropped) <= {event.number for event in waiting}


@given(channels, waitings, histories)
def test_what_is_urgent_waits_for_nothing_but_the_spacing(one, waiting, messages):
    made = decide(one, Standing(waiting, messages), NOW)
    told = {event.number for bundle in made.bundles for event in bundle.events}
    left = [event for event in waiting if event.is_urgent and event.number not in told]
    left = [event for event in left if event not in made.dropped]
    if left:
        latest = NOW if made.bundles else messages[-1]
        assert NOW - latest < URGENT_SPACING


@given(channels, waitings, histories)
def test_a_storm_is_never_more_messages_at_once_than_the_bucket_and_one(one, waiting, messages):
    made = decide(one, Standing(waiting, messages), NOW)
    assert len(made.bundles) <= one.rate.burst + 1


@given(channels, waitings, histories)
def test_the_same_look_twice_decides_the_same(one, waiting, messages):
    standing = Standing(waiting, messages)
    assert decide(one, standing, NOW) == decide(one, standing, NOW)


@settings(max_examples=30)
@given(channels, waitings.filter(bool))
def test_everything_is_told_or_dropped_when_time_goes_on(one, waiting):
    """Nothing waits for ever: the loop ends with nothing left, and each event was in exactly one message."""
    left, sent, told, now = waiting, [], [], NOW
    for _ in range(200):
        made = decide(one, Standing(left, tuple(sent)), now)
        told += [event.number for bundle in made.bundles for event in bundle.events]
        told += [event.number for event in made.dropped]
        sent += [now] * len(made.bundles)
        left = tuple(event for event in left if event.number not in told)
        if not left:
            break
        now += timedelta(minutes=13)
        if one.rate.per_hour < 5:
            now += timedelta(hours=2)
    assert not left
    assert sorted(told) == sorted(event.number for event in waiting)


@pytest.mark.parametrize("every_ms", [100, 1300])
def test_in_a_storm_each_urgent_event_is_told_within_the_spacing_and_one_look(every_ms):
    """Five minutes of it at a channel with the usual limits, looked at twice a second."""
    one, look = channel(), timedelta(milliseconds=500)
    storm = [
        event(number, severity=Severity.CRITICAL, at=NOW + number * timedelta(milliseconds=every_ms))
        for number in range(1, 300_000 // every_ms)
    ][:600]
    waiting, sent, slowest, now = [], [], timedelta(0), NOW
    while storm or waiting:
        waiting += [found for found in storm if found.at <= now]
        storm = [found for found in storm if found.at > now]
        recent = tuple(moment for moment in sent if moment >= now - horizon(one))
        made = decide(one, Standing(tuple(waiting), recent), now)
        for bundle in made.bundles:
            sent.append(now)
            slowest = max(slowest, *(now - found.at for found in bundle.events))
            waiting = [found for found in waiting if found not in bundle.events]
        now += look
    assert slowest <= URGENT_SPACING + look


# ---- repeats


def test_the_same_trouble_within_the_window_is_told_once():
    waiting = (event(1, trouble="disk"), event(2, trouble="disk", at=NOW + timedelta(minutes=59)))
    made = decide(channel(), Standing(waiting), NOW)
    assert (numbers(made.bundles), [one.number for one in made.dropped]) == ([[1]], [2])


@pytest.mark.parametrize(
    "second",
    [
        {"at": NOW + timedelta(minutes=61)},
        {"severity": Severity.CRITICAL},
        {"is_resolved": True},
        {"trouble": "other"},
        {"trouble": ""},
    ],
)
def test_later_worse_other_or_ended_trouble_is_no_repeat(second):
    told = {"disk": Told(NOW, Severity.WARNING, is_resolved=False)}
    again = event(2, **{"trouble": "disk"} | second)
    made = decide(channel(), Standing((again,), told=told), NOW)
    assert numbers(made.bundles) == [[2]]


def test_trouble_that_came_back_after_it_was_said_to_be_over_is_told():
    told = {"disk": Told(NOW, Severity.WARNING, is_resolved=True)}
    made = decide(channel(), Standing((event(3, trouble="disk"),), told=told), NOW)
    assert numbers(made.bundles) == [[3]]


def test_news_that_was_overtaken_while_it_waited_is_not_told():
    """In the night a trouble ended and came back: the morning does not say that it is over."""
    told = {"disk": Told(NOW, Severity.CRITICAL, is_resolved=False, number=3)}
    over = event(2, trouble="disk", is_resolved=True, severity=Severity.CRITICAL)
    made = decide(channel(), Standing((over, event(4, trouble="disk", is_resolved=True)), told=told), NOW)
    assert ([one.number for one in made.dropped], numbers(made.bundles)) == ([2], [[4]])


# ---- a clock that was ahead, and was put right


AHEAD = NOW + timedelta(days=400)


def test_messages_that_were_made_ahead_of_time_hold_nothing_back():
    small = channel(rate={"burst": 1, "per_hour": 1}, digest={"after": 1})
    waiting = (event(1), event(2, severity=Severity.CRITICAL))
    made = decide(small, Standing(waiting[:1], (AHEAD, AHEAD)), NOW)
    urgent = decide(small, Standing(waiting[1:], (AHEAD, AHEAD)), NOW)
    assert (numbers(made.bundles), numbers(urgent.bundles)) == ([[1]], [[2]])


def test_what_was_told_ahead_of_time_makes_no_repeat_of_what_comes_now():
    told = {"disk": Told(AHEAD, Severity.WARNING, is_resolved=False)}
    made = decide(channel(), Standing((event(2, trouble="disk"),), told=told), NOW)
    assert numbers(made.bundles) == [[2]]


def test_no_rate_asks_for_messages_from_before_all_calendars():
    assert NOW - horizon(channel(rate={"burst": 1000, "per_hour": 1e-9})) < NOW


# ---- quiet hours


@given(quiets, moments)
def test_quiet_hours_end_after_now_and_the_end_is_not_quiet(quiet, at):
    end = quiet.ends_after(at)
    assert at < end <= at + timedelta(hours=26)
    assert not quiet.holds(end)


@given(quiets, moments)
def test_from_within_quiet_hours_everything_up_to_their_end_is_quiet(quiet, at):
    """But for the two hours of a year that do not exist, or exist twice."""
    if quiet.holds(at) and (quiet.ends_after(at) - at) > timedelta(minutes=1):
        zone = ZoneInfo(quiet.timezone)
        end = quiet.ends_after(at)
        if at.astimezone(zone).utcoffset() == end.astimezone(zone).utcoffset():
            assert quiet.holds(end - timedelta(seconds=1))


def test_in_quiet_hours_only_what_is_urgent_is_told_and_the_rest_comes_together_at_their_end():
    night = datetime(2026, 11, 26, 2, tzinfo=UTC)
    quiet = channel(quiet_hours=NIGHT)
    waiting = (event(1, at=night), event(2, at=night), event(3, severity=Severity.CRITICAL, at=night))
    made = decide(quiet, Standing(waiting), night)
    assert numbers(made.bundles) == [[3]]
    morning = NIGHT.ends_after(night)
    assert morning == datetime(2026, 11, 26, 6, tzinfo=UTC)
    rest = decide(quiet, Standing(waiting[:2], (night,)), morning)
    assert numbers(rest.bundles) == [[1, 2]]


def test_the_end_of_a_critical_trouble_wakes_nobody():
    night = datetime(2026, 11, 26, 2, tzinfo=UTC)
    over = event(1, severity=Severity.CRITICAL, is_resolved=True, at=night)
    assert decide(channel(quiet_hours=NIGHT), Standing((over,)), night).bundles == ()


@pytest.mark.parametrize(
    ("day", "end_utc"), [("2026-03-29", 5), ("2026-03-28", 6), ("2026-10-24", 5), ("2026-10-25", 6)]
)
def test_quiet_hours_end_by_the_clock_on_the_wall_when_clocks_are_changed(day, end_utc):
    at = datetime.fromisoformat(f"{day}T00:30:00+00:00")
    assert NIGHT.ends_after(at) == at.replace(hour=end_utc, minute=0)


# ---- buckets and digests


@given(st.integers(1, 50), st.floats(0.1, 10_000), histories)
def test_a_bucket_is_never_fuller_than_full_and_its_debt_is_bounded(burst, per_hour, messages):
    rate = Rate(burst=burst, per_hour=per_hour)
    assert -burst <= tokens(rate, messages, NOW) <= burst


@given(st.integers(1, 20), st.floats(1, 3600), histories)
def test_to_forget_what_lies_beyond_the_horizon_holds_back_nothing_more(burst, per_hour, messages):
    one = channel(rate={"burst": burst, "per_hour": per_hour})
    recent = tuple(moment for moment in messages if moment >= NOW - horizon(one))
    assert tokens(one.rate, recent, NOW) >= tokens(one.rate, messages, NOW) - 1e-6
    if not recent:
        assert tokens(one.rate, messages, NOW) == pytest.approx(burst, abs=1e-6)


def test_an_empty_bucket_holds_back_what_is_not_urgent_until_it_fills():
    one = channel(rate={"burst": 1, "per_hour": 60}, digest={"after": 100, "minutes": 1})
    waiting = (event(1),)
    assert decide(one, Standing(waiting, (NOW,)), NOW + timedelta(seconds=59)).bundles == ()
    assert numbers(decide(one, Standing(waiting, (NOW,)), NOW + timedelta(seconds=61)).bundles) == [[1]]


def test_after_so_many_messages_the_rest_of_that_time_comes_as_one():
    one = channel(digest={"after": 3, "minutes": 10})
    sent = tuple(NOW - timedelta(minutes=age) for age in (9, 5, 1))
    waiting = tuple(event(number, at=NOW - LATE) for number in (1, 2))
    assert decide(one, Standing(waiting, sent), NOW).bundles == ()
    later = decide(one, Standing(waiting, sent), NOW + timedelta(minutes=1, seconds=1))
    assert numbers(later.bundles) == [[1, 2]]


def test_more_at_once_than_a_digest_allows_are_one_message():
    one = channel(digest=Digest(after=3).model_dump())
    assert numbers(decide(one, Standing(tuple(map(event, range(1, 4)))), NOW).bundles) == [[1], [2], [3]]
    assert numbers(decide(one, Standing(tuple(map(event, range(1, 5)))), NOW).bundles) == [[1, 2, 3, 4]]


def test_what_a_monitor_grouped_is_one_message():
    waiting = (event(1, group="g"), event(2), event(3, group="g"))
    assert numbers(decide(channel(), Standing(waiting), NOW).bundles) == [[1, 3], [2]]


# ---- retries


@given(st.text(min_size=1), st.integers(1, MAX_ATTEMPTS - 1), st.booleans())
def test_each_try_waits_longer_within_bounds_and_always_the_same(name, attempts, urgent):
    first = next_try(name, attempts, NOW, is_urgent=urgent)
    assert first is not None
    assert first == next_try(name, attempts, NOW, is_urgent=urgent)
    base = min((1 if urgent else 5) * 2 ** (attempts - 1), MAX_RETRY_S)
    assert 0.75 * base <= (first - NOW).total_seconds() <= 1.25 * base


def test_a_message_is_given_up_in_the_end():
    assert next_try("n-1", MAX_ATTEMPTS, NOW, is_urgent=True) is None


@given(st.floats(0, 10**9))
def test_what_a_channel_asks_for_is_heard_up_to_an_hour(seconds):
    at = next_try("n-1", 1, NOW, is_urgent=True, retry_after_s=seconds)
    assert at is not None
    assert min(seconds, 3600) <= (at - NOW).total_seconds() + 1e-3
    assert (at - NOW).total_seconds() <= 3600
