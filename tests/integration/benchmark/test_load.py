"""The load generator against a server with known truth."""

import asyncio
import socket
from statistics import mean

import pytest

from tests.integration.benchmark.truth import Behaviour, TruthServer, truth_server
from tidegate.benchmark import (
    PERFORMANCE_CHECKS,
    Arm,
    LoadPlan,
    Outcome,
    RunRecord,
    judge_performance,
    measure,
    summarise,
)
from tidegate.benchmark.schedule import draw_schedule
from tidegate.domain import Gate, Secret, Verdict, fold
from tidegate.domain.policy import LatencyMargin, LatencyMargins, LoadDesign, PerformancePolicy

PLAN = LoadPlan(prompts=("a", "b", "c"), requests=12, blocks=4, warmup_requests=1, max_tokens=16)


def arm(server: TruthServer, name: str) -> Arm:
    return Arm(name, server.url(name), Secret("k"), {}, "m")


def run(plan: LoadPlan, *arms: Arm) -> dict[str, RunRecord]:
    """On a busy machine the client may call itself the limit, which is tested elsewhere."""
    found = asyncio.run(measure(arms, plan))
    return {name: record.model_copy(update={"honesty": None}) for name, record in found.items()}


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(ttft_ms=40, gap_ms=8),
        Behaviour(ttft_ms=40, gap_ms=8, per_chunk=4),
        Behaviour(ttft_ms=40, gap_ms=8, line_end="\r\n", slice_bytes=7),
    ],
    ids=["token by token", "four tokens in a chunk", "cut inside characters and CRLF"],
)
def test_figures_agree_with_what_the_server_wrote(behaviour: Behaviour):
    with truth_server(a=behaviour) as server:
        found = run(PLAN, arm(server, "a"))["a"]
        written = {entry.seed: entry for entry in server.seen("a") if entry.was_whole}
    summary = summarise(found)
    assert (summary.requests.sent, summary.requests.ok, summary.tokens.output) == (12, 12, 12 * 16)
    seeds = {request.index: request.seed for request in draw_schedule(PLAN).measured}
    ttft, itl, ttft_late, itl_late = [], [], [], []
    for request in found.measured():
        entry = written[seeds[request.index]]
        first, last = request.chunk_ns[0], request.chunk_ns[-1]
        assert len(request.chunk_ns) == len(entry.written_ns)
        ttft.append((first - (request.sent_ns or 0)) / 1e6)
        itl.append((last - first) / 1e6 / (PLAN.max_tokens - behaviour.per_chunk))
        ttft_late.append(ttft[-1] - entry.ttft_ms)
        itl_late.append(abs(itl[-1] - entry.itl_ms(behaviour.per_chunk)))
    assert summary.ttft.mean == pytest.approx(mean(ttft), abs=0.01)
    assert summary.itl.mean == pytest.approx(mean(itl), rel=0.01)
    # On a busy machine what was written is read late, and never before; one that nobody kept waiting agrees.
    assert 0 < min(ttft_late) < 10
    assert min(itl_late) < 0.15 * behaviour.gap_ms
    assert {request.set_name for request in found.requests} == {"set-a"}
    assert {request.release for request in found.requests} == {"rel-a"}


def test_warm_up_is_sent_but_not_counted_and_both_arms_get_the_same_requests_in_alternating_blocks():
    with truth_server(a=Behaviour(2, 1), b=Behaviour(2, 1)) as server:
        found = run(PLAN, arm(server, "a"), arm(server, "b"))
        log = [(entry.path, entry.seed) for entry in server.log]
    assert [len(result.measured()) for result in found.values()] == [12, 12]
    assert len(log) == 2 * (12 + 4)
    assert sorted(seed for path, seed in log if path == "a") == sorted(
        seed for path, seed in log if path == "b"
    )
    blocks = [log[start][0] for start in range(0, len(log), 4)]
    assert blocks == ["a", "b", "b", "a", "a", "b", "b", "a"]


def test_a_stall_is_visible():
    with truth_server(a=Behaviour(5, 1, stall_ms=400)) as server:
        summary = summarise(run(PLAN, arm(server, "a"))["a"])
    assert summary.gap.maximum is not None
    assert summary.gap.maximum >= 395


@pytest.mark.parametrize(
    ("behaviour", "outcome", "error"),
    [
        (Behaviour(2, 1, status=503), Outcome.FAILED, "HTTP 503"),
        (Behaviour(2, 1, reset_after=3), Outcome.FAILED, "reset"),
        (Behaviour(2, 1, reset_after=0), Outcome.FAILED, "reset"),
        (Behaviour(2, 1, stop_after=3), Outcome.TRUNCATED, "finish reason"),
    ],
    ids=["status", "reset in the middle", "reset before text", "quiet end"],
)
def test_broken_answers_are_counted_as_what_they_are(behaviour: Behaviour, outcome: Outcome, error: str):
    with truth_server(a=behaviour) as server:
        found = run(PLAN, arm(server, "a"))["a"]
    assert {request.outcome for request in found.requests} == {outcome}
    assert all(error in request.error for request in found.requests)
    rows = judge_performance(found, None, PerformancePolicy())
    assert fold(Gate.PERFORMANCE, rows, PERFORMANCE_CHECKS).verdict is Verdict.FAIL


def test_a_server_that_is_not_there_fails_every_request():
    with socket.socket() as silent:
        # Held, so that nobody else listens there, and never listened to.
        silent.bind(("127.0.0.1", 0))
        found = run(PLAN, Arm("a", f"http://127.0.0.1:{silent.getsockname()[1]}/v1", Secret("k")))["a"]
    assert {request.outcome for request in found.requests} == {Outcome.FAILED}


def test_a_hanging_server_ends_at_the_deadline_and_is_not_judged():
    plan = LoadPlan(prompts=("a",), requests=12, blocks=4, deadline_s=0.5)
    with truth_server(a=Behaviour(hangs=True)) as server:
        found = run(plan, arm(server, "a"))["a"]
    assert {request.outcome for request in found.requests} == {Outcome.NOT_SENT}
    assert {row.verdict for row in judge_performance(found, None, PerformancePolicy())} == {
        Verdict.NOT_JUDGED
    }


def unwatched(found: dict[str, RunRecord]) -> dict[str, RunRecord]:
    """A busy machine makes any client late, and a late one decides nothing: that is tested with the client's watch."""
    return {name: record.model_copy(update={"honesty": None}) for name, record in found.items()}


def test_a_candidate_ten_times_slower_fails_and_an_equal_one_does_not():
    policy = PerformancePolicy(
        metrics=LatencyMargins(
            ttft_p50=LatencyMargin(max_slowdown=0.5, floor_ms=10),
            ttft_p95=None,
            itl_p50=LatencyMargin(max_slowdown=0.5, floor_ms=4),
        ),
        design=LoadDesign(block_pairs=6, requests_per_block=4, max_tokens=8),
    )
    plan = LoadPlan.from_policy(policy, ["a", "b"])
    with truth_server(live=Behaviour(8, 2), same=Behaviour(8, 2), slow=Behaviour(80, 20)) as server:
        found = unwatched(run(plan, *(arm(server, name) for name in ("live", "same", "slow"))))
    same = judge_performance(found["same"], found["live"], policy)
    slow = judge_performance(found["slow"], found["live"], policy)
    assert Verdict.FAIL not in {row.verdict for row in same}
    failed = {row.check for row in slow if row.verdict is Verdict.FAIL}
    assert {"performance.ttft", "performance.itl"} <= failed


def test_progress_is_told_up_to_the_end():
    told: list[tuple[int, int]] = []
    with truth_server(a=Behaviour(1, 1)) as server:
        asyncio.run(measure([arm(server, "a")], PLAN, lambda done, planned: told.append((done, planned))))
    assert told[-1] == (12, 12)
