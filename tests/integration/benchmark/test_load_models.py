"""Load models against a server with known truth, in a process of its own."""

import asyncio
from collections.abc import Iterator

import pytest

from tidegate.benchmark import (
    Arm,
    Endpoint,
    LoadPlan,
    Mode,
    RunRecord,
    Slo,
    find_highest,
    good_under,
    measure,
)
from tidegate.benchmark.levels import Level, sweep
from tidegate.benchmark.record import Outcome, Phase
from tidegate.benchmark.schedule import draw_schedule
from tidegate.benchmark.search import SearchPlan
from tidegate.benchmark.trace import TraceRow
from tidegate.benchmark.truth import RunningTruth, Shape, start_truth_server
from tidegate.domain import Secret

FAST = Shape(ttft=5.0, gap=1.0)
SHAPES = {
    "": FAST,
    "uncounted": FAST.model_copy(update={"usage": "none"}),
    "pauses": Shape(ttft=2.0, gap=1.0, pause_every_s=1.0, pause_ms=600.0),
    "one": Shape(ttft=20.0, gap=1.0, slots=1),
    "slow-one": Shape(ttft=100.0, gap=1.0, slots=1),
}
OPEN = LoadPlan(
    prompt_words=8,
    mode=Mode.POISSON,
    rate=80.0,
    requests=None,
    duration_s=0.5,
    blocks=1,
    warmup_requests=4,
    max_tokens=8,
)


@pytest.fixture(scope="module")
def truth() -> Iterator[RunningTruth]:
    with start_truth_server(SHAPES) as running:
        yield running


def run(truth: RunningTruth, plan: LoadPlan, shape: str = "") -> RunRecord:
    url = truth.url_of(shape) if shape else truth.url
    truth.forget()
    return asyncio.run(measure([Arm("a", url, Secret("k"))], plan))["a"]


@pytest.mark.parametrize("mode", [Mode.CONSTANT, Mode.GAMMA])
def test_the_server_gets_exactly_the_requests_that_were_drawn(truth: RunningTruth, mode: Mode):
    plan = LoadPlan.from_dict(OPEN.as_dict() | {"mode": mode.value, "burstiness": 0.5})
    record = run(truth, plan)
    drawn = [request.seed for request in draw_schedule(plan).measured]
    warmup = sum(one.phase is Phase.WARMUP for one in record.requests)
    received = [entry.seed for entry in truth.truth()]
    assert len(received) == warmup + len(drawn)
    assert set(drawn) <= set(received)
    assert {one.outcome for one in record.measured()} == {Outcome.OK}
    assert {(one.tokens, one.token_source) for one in record.measured()} == {(8, "usage")}


@pytest.mark.parametrize("endpoint", [Endpoint.CHAT, Endpoint.COMPLETIONS])
@pytest.mark.parametrize("stream", [True, False])
def test_both_endpoints_are_asked_for_streams_and_for_plain_answers(
    truth: RunningTruth, endpoint: Endpoint, stream: bool
):
    plan = LoadPlan(prompts=("a", "b"), requests=6, blocks=1, endpoint=endpoint, stream=stream, max_tokens=5)
    record = run(truth, plan)
    assert {one.outcome for one in record.measured()} == {Outcome.OK}
    assert {(one.tokens, one.is_streamed) for one in record.measured()} == {(5, stream)}
    assert {(entry.path, entry.is_stream) for entry in truth.truth()} == {
        ("/v1/completions" if endpoint is Endpoint.COMPLETIONS else "/v1/chat/completions", stream)
    }


def test_tokens_that_no_answer_counts_are_counted_by_the_servers_tokenizer(truth: RunningTruth):
    record = run(truth, LoadPlan(prompts=("a",), requests=4, blocks=1, max_tokens=6), "uncounted")
    assert {(one.tokens, one.token_source) for one in record.measured()} == {(6, "tokenize")}


def test_a_trace_is_replayed_with_its_own_times_and_lengths(truth: RunningTruth):
    rows = tuple(TraceRow(at * 40_000_000, input_tokens=20, output_tokens=2 + at) for at in range(8))
    record = run(
        truth, LoadPlan(mode=Mode.TRACE, trace=rows, requests=None, blocks=1, speed=2.0, warmup_requests=1)
    )
    planned = [one.planned_ns or 0 for one in record.measured()]
    assert [at - planned[0] for at in planned] == [at * 20_000_000 for at in range(8)]
    assert [one.tokens for one in record.measured()] == list(range(2, 10))


def test_an_open_loop_counts_a_stop_of_the_server_for_all_who_came_meanwhile(truth: RunningTruth):
    """Six tenths of every second nothing moves, and who comes in the first half of it waits longer than the other."""
    plan = OPEN.as_dict() | {"mode": "constant", "rate": 50.0, "duration_s": 1.0, "max_tokens": 2}
    record = run(truth, LoadPlan.from_dict(plan), "pauses")
    waits = [(one.chunk_ns[0] - (one.planned_ns or 0)) / 1e6 for one in record.measured() if one.chunk_ns]
    assert len(waits) == 50
    assert sum(wait > 290 for wait in waits) >= 0.25 * len(waits)


def test_a_sweep_ends_where_the_server_does_not_keep_up(truth: RunningTruth):
    """One slot and at least 20 ms for each answer: 50 requests per second are more than it can."""
    plan = LoadPlan.from_dict(OPEN.as_dict() | {"max_tokens": 2, "warmup_requests": 1})

    async def levels() -> list[Level]:
        target = Arm("a", truth.url_of("one"), Secret("k"))
        return [level async for level in sweep(target, plan, [10.0, 200.0, 400.0])]

    found = asyncio.run(levels())
    assert found[-1].overload
    assert found[-1].level < 400


def test_the_highest_load_under_a_service_level_is_below_what_the_server_can_do(truth: RunningTruth):
    """One request at once takes 100 ms and a second one has to wait for it: 150 ms cannot be kept."""
    plan = LoadPlan(prompts=("a",), requests=20, blocks=1, warmup_requests=1, max_tokens=2)
    search = SearchPlan(start=1, most=8, is_whole=True, wanted=0.5, most_probes=6)
    target = Arm("a", truth.url_of("slow-one"), Secret("k"))
    # On a busy machine even one at once may take longer; two at once always do.
    found = asyncio.run(
        find_highest(target, plan, search, good_under(Slo(ttft_ms=150.0)), trusts_client=True)
    )
    assert found.misses is not None
    assert found.misses <= 2
