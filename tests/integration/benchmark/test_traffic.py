"""Client traffic against a server with known truth: its counts are the server's counts."""

import threading
import time
from collections.abc import Callable

import pytest

from tests.integration.benchmark.truth import Behaviour, TruthServer, truth_server
from tidegate.benchmark import Outcome
from tidegate.benchmark.traffic import TrafficClient, TrafficSnapshot
from tidegate.domain import InvalidInput, Secret

DEADLINE_S = 60.0


def client(server: TruthServer, name: str, **changes: object) -> TrafficClient:
    values: dict[str, object] = {"short_workers": 2, "stream_workers": 2, "rate_per_s": 80.0}
    return TrafficClient(server.url(name), Secret("k"), ["a", "b"], **(values | changes))  # pyright: ignore[reportArgumentType]


def wait_for(traffic: TrafficClient, holds: Callable[[TrafficSnapshot], bool]) -> TrafficSnapshot:
    end, tick = time.monotonic() + DEADLINE_S, threading.Event()
    while time.monotonic() < end:
        now = traffic.snapshot()
        if holds(now):
            return now
        tick.wait(0.02)
    pytest.fail(f"never happened; last seen {traffic.snapshot()}")


def test_sound_traffic_is_all_ok_and_counted_by_set_and_release():
    with truth_server(a=Behaviour(4, 1)) as server:
        traffic = client(server, "a")
        traffic.start()
        live = wait_for(traffic, lambda now: now.ok >= 30)
        final = traffic.stop()
        served = server.seen("a")
    assert live.ttft_p50_ms is not None
    assert live.latency_p50_ms is not None
    assert (final.failed, final.truncated, final.aborted, final.in_flight) == (0, 0, 0, 0)
    assert final.sent == final.ok == len(served) == sum(entry.was_whole for entry in served)
    assert {entry.is_stream for entry in served} == {True, False}
    assert final.by_set["set-a"].ok == final.by_release["rel-a"].ok == final.ok


@pytest.mark.parametrize(
    ("behaviour", "outcome", "error"),
    [
        (Behaviour(2, 1, stop_after=2), Outcome.TRUNCATED, "finish reason"),
        (Behaviour(2, 1, status=503), Outcome.FAILED, "HTTP 503"),
    ],
)
def test_what_did_not_end_properly_is_never_ok_and_is_recorded(
    behaviour: Behaviour, outcome: Outcome, error: str
):
    with truth_server(a=behaviour) as server:
        traffic = client(server, "a")
        traffic.start()
        wait_for(traffic, lambda now: len(now.failures) >= 12)
        final = traffic.stop()
    assert final.ok == 0
    assert len(final.failures) == final.sent
    for failure in final.failures:
        assert failure.outcome is outcome
        assert error in failure.error
        assert failure.status == behaviour.status
        assert (failure.set_name, failure.release) == ("set-a", "rel-a")


def test_a_reset_is_a_failure_with_the_set_that_did_it():
    with truth_server(a=Behaviour(2, 1, reset_after=2)) as server:
        traffic = client(server, "a", short_workers=0)
        traffic.start()
        wait_for(traffic, lambda now: now.failed >= 6)
        final = traffic.stop()
    assert final.ok == 0
    assert all(failure.error.startswith("reset") for failure in final.failures)
    assert final.by_set["set-a"].failed == final.failed


def test_the_pace_bounds_what_is_sent():
    with truth_server(a=Behaviour(1, 1)) as server:
        traffic = client(server, "a", rate_per_s=50.0)
        began = time.monotonic()
        traffic.start()
        wait_for(traffic, lambda now: now.sent >= 25)
        final = traffic.stop()
        lasted_s = time.monotonic() - began
    # Half a second of lateness may be caught up after a stall of this machine.
    assert final.sent <= 50.0 * (lasted_s + 0.5) + 1


def test_stopping_cuts_off_hanging_requests_as_aborted_and_not_as_failed():
    with truth_server(a=Behaviour(hangs=True)) as server:
        traffic = client(server, "a")
        traffic.start()
        wait_for(traffic, lambda now: now.in_flight == 4)
        final = traffic.stop(drain_s=0.1)
    assert (final.sent, final.aborted, final.failed, final.in_flight) == (4, 4, 0, 0)


def test_stopping_lets_a_stream_in_flight_end():
    with truth_server(a=Behaviour(300, 1)) as server:
        traffic = client(server, "a", short_workers=0, stream_workers=1)
        traffic.start()
        wait_for(traffic, lambda now: now.in_flight == 1)
        final = traffic.stop()
    # On a busy machine one may have ended, and the next begun, before the stop.
    assert (final.ok, final.aborted) == (final.sent, 0)
    assert final.sent >= 1


def test_a_client_without_work_is_refused():
    with pytest.raises(InvalidInput):
        TrafficClient("http://127.0.0.1:9/v1", Secret("k"), [])
    with pytest.raises(InvalidInput):
        TrafficClient("http://127.0.0.1:9/v1", Secret("k"), ["a"], rate_per_s=0)
