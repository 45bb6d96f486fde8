"""The schedule: everything drawn before the run, the same for every arm."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.benchmark.arrivals import NS, Mode
from tidegate.benchmark.bodies import body_of
from tidegate.benchmark.plan import Arm, Endpoint, LoadPlan
from tidegate.benchmark.schedule import draw_schedule
from tidegate.benchmark.trace import TraceRow
from tidegate.domain import InvalidInput, Secret

BLUE = Arm("blue", "http://gate/org/svc/v1/", Secret("k"), {"x-tidegate-pin": "b"}, "m")
GREEN = Arm("green", "http://gate/org/svc/v1", Secret("k"), {"x-tidegate-pin": "g"}, "m")
OPEN = LoadPlan(prompt_words=9, mode=Mode.POISSON, rate=20.0, requests=None, duration_s=6.0, blocks=3)


@given(st.integers(1, 200), st.integers(1, 20))
@settings(max_examples=40)
def test_blocks_cut_the_requests_without_loss_or_repeat(requests: int, blocks: int):
    blocks = min(blocks, requests)
    plan = LoadPlan(prompts=("p",), requests=requests, blocks=blocks, warmup_requests=0)
    schedule = draw_schedule(plan)
    assert [request.index for request in schedule.measured] == list(range(requests))
    assert all(block.measured for block in schedule.blocks)


def test_the_same_plan_gives_the_same_requests_and_another_seed_gives_others():
    first, again, other = (
        draw_schedule(plan) for plan in (OPEN, OPEN, LoadPlan.from_dict(OPEN.as_dict() | {"seed": 1}))
    )
    assert first == again
    assert first.digest == again.digest != other.digest


@pytest.mark.parametrize(
    "plan",
    [
        OPEN,
        LoadPlan(prompts=("é", "b"), requests=7, blocks=2, extra={"top_k": 1}, cache_prompt=None),
        LoadPlan(
            mode=Mode.TRACE,
            trace=(TraceRow(0, "a"), TraceRow(5, input_tokens=9, output_tokens=3, hash_ids=(1, 2))),
            requests=None,
            blocks=1,
            speed=2.0,
        ),
    ],
    ids=["open loop", "closed loop", "trace"],
)
def test_a_plan_read_back_from_json_gives_the_same_schedule(plan: LoadPlan):
    stored = json.loads(json.dumps(plan.as_dict() | {"digest": "of another key"}))
    assert LoadPlan.from_dict(stored) == plan
    assert draw_schedule(LoadPlan.from_dict(stored)).digest == draw_schedule(plan).digest


def test_every_block_draws_anew_and_fills_its_window():
    blocks = draw_schedule(OPEN).blocks
    gaps = [tuple(request.at_ns for request in block.measured) for block in blocks]
    assert len(set(gaps)) == 3
    for block in blocks:
        assert block.window_ns == 2 * NS
        assert all(0 <= (request.at_ns or 0) < 2 * NS for request in block.measured)


def test_rounds_of_blocks_ask_what_all_blocks_in_one_go_ask():
    def asked(blocks: int, first_block: int) -> list[tuple[object, ...]]:
        plan = LoadPlan(prompts=tuple("abc"), requests=5 * blocks, blocks=blocks, first_block=first_block)
        return [(one.prompt, one.seed) for one in draw_schedule(plan).measured]

    assert asked(6, 0) == asked(2, 0) + asked(3, 2) + asked(1, 5)
    assert LoadPlan(prompts=("a",), first_block=1).arm_order(0, 2) == [1, 0]


def test_a_number_of_requests_lasts_that_many_gaps():
    plan = LoadPlan(prompts=("p",), mode=Mode.CONSTANT, rate=10.0, requests=20, blocks=2)
    for block in draw_schedule(plan).blocks:
        assert [request.at_ns for request in block.measured] == [k * NS // 10 for k in range(10)]
        assert block.window_ns == NS


@pytest.mark.parametrize(
    "plan", [OPEN, LoadPlan(prompts=("one two three", "four five six"), requests=40, warmup_most=60)]
)
def test_warm_up_asks_nothing_that_is_measured(plan: LoadPlan):
    schedule = draw_schedule(plan)
    measured = {request.prompt for request in schedule.measured}
    warmup = {request.prompt for block in schedule.blocks for request in block.warmup}
    assert warmup
    assert not warmup & measured
    words = {len(prompt.split()) for prompt in warmup}
    assert words == {len(next(iter(measured)).split())}


def test_made_up_prompts_are_all_different_and_as_long_as_asked():
    prompts = [request.prompt for request in draw_schedule(OPEN).measured]
    assert len(set(prompts)) == len(prompts) > 60
    assert {len(prompt.split()) for prompt in prompts} == {9}


def test_given_prompts_are_asked_equally_often_in_random_order():
    plan = LoadPlan(prompts=tuple("abcdefgh"), requests=32, blocks=1)
    asked = "".join(request.prompt for request in draw_schedule(plan).measured)
    assert all(sorted(asked[start : start + 8]) == list("abcdefgh") for start in range(0, 32, 8))
    assert asked != "abcdefgh" * 4


def test_a_closed_loop_by_the_clock_has_more_than_enough_to_send():
    plan = LoadPlan(prompt_words=2000, requests=None, duration_s=30.0, blocks=2)
    blocks = draw_schedule(plan).blocks
    assert [block.window_ns for block in blocks] == [15 * NS, 15 * NS]
    assert all(len(block.measured) == 1000 for block in blocks)


@pytest.mark.parametrize(
    "plan",
    [
        LoadPlan(prompt_words=100_000, requests=1000),
        LoadPlan(prompt_words=9000, mode=Mode.POISSON, rate=100.0, requests=None, duration_s=60.0),
        LoadPlan(mode=Mode.TRACE, trace=(TraceRow(0, input_tokens=200_000),) * 300, requests=None, blocks=1),
    ],
    ids=["closed", "open", "trace"],
)
def test_prompts_that_would_fill_the_memory_are_refused(plan: LoadPlan):
    with pytest.raises(InvalidInput, match="words together"):
        draw_schedule(plan)


def test_a_replay_keeps_gaps_lengths_and_shared_prefixes():
    rows = (
        TraceRow(0, input_tokens=1400, output_tokens=5, hash_ids=(1, 2, 3)),
        TraceRow(NS, input_tokens=1400, output_tokens=7, hash_ids=(1, 2, 9)),
        TraceRow(4 * NS, messages='[{"role": "system", "content": "s"}]'),
    )
    plan = LoadPlan(mode=Mode.TRACE, trace=rows, requests=None, blocks=1, speed=2.0, max_tokens=11)
    (block,) = draw_schedule(plan).blocks
    first, second, third = block.measured
    assert [request.at_ns for request in block.measured] == [0, NS // 2, 2 * NS]
    assert [request.max_tokens for request in block.measured] == [5, 7, 11]
    assert len(first.prompt.split()) == len(second.prompt.split()) == 1077
    shared = len([1 for a, b in zip(first.prompt.split(), second.prompt.split(), strict=True) if a == b])
    assert 788 <= shared < 900
    assert json.loads(body_of(plan, BLUE, third))["messages"] == [{"role": "system", "content": "s"}]


def test_every_arm_is_asked_the_same():
    plan = LoadPlan(prompts=("p", "q"))
    for request in draw_schedule(plan).measured:
        assert body_of(plan, BLUE, request) == body_of(plan, GREEN, request)


def test_a_body_says_what_the_plan_says():
    plan = LoadPlan(prompts=("p",), max_tokens=5, extra={"top_k": 1})
    request = next(draw_schedule(plan).measured)
    assert json.loads(body_of(plan, BLUE, request)) == {
        "model": "m",
        "messages": [{"role": "user", "content": "p"}],
        "max_tokens": 5,
        "temperature": 0.0,
        "seed": request.seed,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
        "cache_prompt": False,
        "top_k": 1,
    }


def test_a_strict_endpoint_is_sent_only_what_openai_knows():
    plan = LoadPlan(
        prompts=("p",), stream=False, ignore_eos=False, cache_prompt=None, endpoint=Endpoint.COMPLETIONS
    )
    request = next(draw_schedule(plan).measured)
    body = json.loads(body_of(plan, BLUE, request))
    assert set(body) == {"model", "prompt", "max_tokens", "temperature", "seed", "stream"}
    assert body["stream"] is False


def test_a_queue_job_wraps_what_is_asked_and_ends_by_itself():
    plan = LoadPlan(prompts=("p",), stream=False, endpoint=Endpoint.QUEUE, request_timeout_s=60.0)
    body = json.loads(body_of(plan, BLUE, next(draw_schedule(plan).measured)))
    assert body["input"]["openai_route"] == "/v1/chat/completions"
    assert body["input"]["openai_input"]["messages"][0]["content"] == "p"
    assert body["policy"] == {"executionTimeout": 60_000, "ttl": 60_000}
