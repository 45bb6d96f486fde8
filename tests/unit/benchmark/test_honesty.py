"""When a client's own figures make its measurement worthless, and when they do not."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.benchmark import timerfd
from tidegate.benchmark.honesty import ClientSample, ClientWatch, Send, judge_client

MS = 1_000_000
SOUND = ClientSample(loop_lags_ns=[MS] * 200, read_lags_ns=[MS // 10] * 50, cpu_share=0.4)


def sends(count: int = 200, late_ms: float = 0.5, slip_ms: float = 0.0, gap_ms: float = 10.0) -> list[Send]:
    """A constant rate; every request is late by `late_ms`, and each later one by `slip_ms` more."""
    planned = [round(number * gap_ms * MS) for number in range(count)]
    return [(at, at + round((late_ms + number * slip_ms) * MS)) for number, at in enumerate(planned)]


def test_a_sound_client_is_honest_and_says_its_figures():
    found = judge_client(SOUND, sends())
    assert (found.verdict, found.reasons) == ("honest", ())
    assert found.late_send_p99_ms == pytest.approx(0.5)
    assert found.loop_lag_p99_ms == pytest.approx(1)
    assert found.read_lag_p99_ms == pytest.approx(0.1)
    assert found.planned_rate == pytest.approx(100)
    assert found.achieved_rate == pytest.approx(100, rel=0.001)


@pytest.mark.parametrize(
    ("sample", "requests", "ttft_ms", "reason"),
    [
        (SOUND, sends(late_ms=6), None, "sent late: p99 6.0 ms, more than 5.0 ms"),
        (SOUND, sends(late_ms=12), 200.0, "sent late: p99 12.0 ms, more than 10.0 ms"),
        (SOUND, sends(slip_ms=0.2), 10_000.0, "only 98.0 of 100.0 planned requests per second"),
        (SOUND, [*sends()[:190], *((at, None) for at, _ in sends()[190:])], None, "only 95.0 of 100.0"),
        (SOUND, [(at, None) for at, _ in sends()], None, "only 0.0 of 100.0"),
        (ClientSample(loop_lags_ns=[6 * MS] * 3 + [0] * 100), (), None, "woke late: p99 6.0 ms"),
        (ClientSample(cpu_share=0.81), (), None, "used 81% of a core"),
    ],
)  # fmt: skip
def test_each_sign_alone_makes_a_client_bound(
    sample: ClientSample, requests: list[Send], ttft_ms: float | None, reason: str
):
    found = judge_client(sample, requests, ttft_ms)
    assert found.verdict == "client-bound"
    assert len(found.reasons) == 1
    assert reason in found.reasons[0]


@pytest.mark.parametrize(
    ("sample", "requests", "ttft_ms"),
    [
        (SOUND, sends(late_ms=6), 200.0),
        (SOUND, sends(count=20, late_ms=4.9), None),
        (ClientSample(loop_lags_ns=[500 * MS] + [0] * 199), (), None),
        (ClientSample(cpu_share=0.8), (), None),
        (ClientSample(), (), None),
    ],
    ids=["late within 5 % of the TTFT", "a few, a little late", "one hiccup in two hundred", "80 %", "nothing seen"],
)  # fmt: skip
def test_what_stays_inside_the_limits_is_honest(
    sample: ClientSample, requests: list[Send], ttft_ms: float | None
):
    assert judge_client(sample, requests, ttft_ms).verdict == "honest"


@given(st.lists(st.tuples(st.integers(0, 10**12), st.none() | st.integers(0, 10**13)), max_size=30))
def test_any_requests_are_judged(requests: list[Send]):
    found = judge_client(ClientSample(), requests)
    if found.planned_rate is not None:
        assert found.achieved_rate is not None
        assert 0 <= found.achieved_rate <= found.planned_rate * 1.0000001


def test_a_blocked_loop_counts_for_as_long_as_it_was_blocked():
    """The clock jumps by one second between two looks at it: fifty ticks were missed, not one."""
    readings = itertools.chain([0, 0], itertools.repeat(1_000 * MS))

    async def watch() -> ClientSample:
        async with ClientWatch(lambda: next(readings)) as watching:
            pass
        return watching.between([(0, 10_000 * MS)])

    sample = asyncio.run(watch())
    assert len(sample.loop_lags_ns) == 50
    assert max(sample.loop_lags_ns) == 980 * MS
    assert sorted(sample.loop_lags_ns)[25] == 500 * MS


@pytest.mark.parametrize("has_timers", [True, False])
def test_a_watch_sees_ticks_lag_and_processor_time_of_its_windows_only(
    has_timers: bool, monkeypatch: pytest.MonkeyPatch
):
    if not has_timers:
        monkeypatch.setattr(timerfd.sys, "platform", "other")

    async def watch() -> tuple[ClientSample, ClientSample]:
        async with ClientWatch() as watching:
            while len(watching.between([(0, 2**62)]).loop_lags_ns) < 5:  # noqa: ASYNC110 (a tick tells nobody)
                await asyncio.sleep(0.001)
        return watching.between([(0, 2**62)]), watching.between([(0, 1)])

    everything, nothing = asyncio.run(watch())
    assert everything.cpu_share is not None
    assert 0 < everything.cpu_share < 2
    assert min(everything.loop_lags_ns) >= 0
    assert nothing == ClientSample([], [], None)
