"""Counting client traffic."""

import threading
from datetime import UTC, datetime

from tidegate.benchmark import Outcome
from tidegate.benchmark.tally import UNNAMED, Counts, Ended, Tally


def ended(outcome: Outcome = Outcome.OK, **more: object) -> Ended:
    facts = {"at": datetime(2026, 1, 1, tzinfo=UTC), "error": "", "is_stream": False, "elapsed_ms": 10.0}
    return Ended(outcome=outcome, **(facts | more))  # pyright: ignore[reportArgumentType]


def test_every_request_is_in_exactly_one_count():
    tally = Tally()
    for _ in range(5):
        tally.sent()
    tally.ended(ended(set_name="s1", release="r1"))
    tally.ended(ended(Outcome.FAILED, error="HTTP 503", status=503))
    tally.ended(ended(Outcome.TRUNCATED, set_name="s1", is_stream=True))
    tally.aborted()
    now = tally.snapshot()
    assert (now.sent, now.ok, now.failed, now.truncated, now.aborted, now.in_flight) == (5, 1, 1, 1, 1, 1)
    assert now.by_set == {"s1": Counts(ok=1, truncated=1), UNNAMED: Counts(failed=1)}
    assert now.by_release == {"r1": Counts(ok=1), UNNAMED: Counts(failed=1, truncated=1)}
    assert [failure.outcome for failure in now.failures] == [Outcome.FAILED, Outcome.TRUNCATED]


def test_recent_latencies_keep_streams_and_whole_answers_apart():
    tally = Tally()
    for ttft_ms, elapsed_ms in [(5.0, 100.0), (7.0, 100.0), (6.0, 100.0)]:
        tally.ended(ended(is_stream=True, ttft_ms=ttft_ms, elapsed_ms=elapsed_ms))
    tally.ended(ended(elapsed_ms=40.0))
    tally.ended(ended(Outcome.FAILED, elapsed_ms=9000.0))
    now = tally.snapshot()
    assert (now.ttft_p50_ms, now.latency_p50_ms) == (6.0, 40.0)


def test_a_snapshot_does_not_change_afterwards():
    tally = Tally()
    before = tally.snapshot()
    tally.sent()
    tally.ended(ended(set_name="s1"))
    assert (before.sent, before.by_set) == (0, {})


def test_counts_from_many_threads_are_complete():
    tally = Tally()

    def work() -> None:
        for _ in range(200):
            tally.sent()
            tally.ended(ended(set_name="s1"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    now = tally.snapshot()
    assert (now.sent, now.ok, now.in_flight, now.by_set["s1"].ok) == (800, 800, 0, 800)
