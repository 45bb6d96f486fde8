"""The plan: the same requests for every arm, in blocks that turn round."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.benchmark import Arm, LoadPlan
from tidegate.domain import InvalidInput, Secret
from tidegate.domain.policy import LoadDesign, PerformancePolicy

BLUE = Arm("blue", "http://gate/org/svc/v1/", Secret("k"), {"x-tidegate-pin": "b"}, "m")
GREEN = Arm("green", "http://gate/org/svc/v1", Secret("k"), {"x-tidegate-pin": "g"}, "m")


@given(st.integers(1, 200), st.integers(1, 20))
def test_blocks_cut_the_requests_without_loss_or_repeat(requests: int, blocks: int):
    blocks = min(blocks, requests)
    plan = LoadPlan(prompts=("p",), requests=requests, blocks=blocks)
    cut = [plan.block_indices(block) for block in range(blocks)]
    assert [index for block in cut for index in block] == list(range(requests))
    assert all(cut)


def test_the_order_of_arms_turns_round_from_block_to_block():
    plan = LoadPlan(prompts=("p",))
    assert [plan.arm_order(block, 2) for block in range(4)] == [[0, 1], [1, 0], [0, 1], [1, 0]]


def test_every_arm_gets_the_same_prompt_and_seed():
    plan = LoadPlan(prompts=("p", "q"), seed=100)
    assert plan.body(BLUE, 3) == plan.body(GREEN, 3)
    body = json.loads(plan.body(BLUE, 3))
    assert body["messages"][0]["content"] == "q"
    assert body["seed"] == 103
    assert body["stream_options"] == {"include_usage": True}


def test_an_arm_knows_its_url_and_sends_key_and_pin():
    assert BLUE.url == GREEN.url == "http://gate/org/svc/v1/chat/completions"
    assert BLUE.request_headers["authorization"] == "Bearer k"
    assert BLUE.request_headers["x-tidegate-pin"] == "b"
    assert "Bearer" not in repr(BLUE)


def test_the_policy_gives_the_size_of_the_load():
    design = LoadDesign(block_pairs=6, requests_per_block=2, concurrency=3, max_tokens=8)
    plan = LoadPlan.from_policy(PerformancePolicy(design=design), ["p"])
    assert (plan.requests, plan.concurrency, plan.max_tokens, plan.blocks) == (12, 3, 8, 6)


@pytest.mark.parametrize(
    "wrong", [{"prompts": ()}, {"requests": 0}, {"concurrency": 0}, {"requests": 3, "blocks": 4}]
)
def test_an_empty_plan_is_refused(wrong: dict[str, object]):
    with pytest.raises(InvalidInput):
        LoadPlan(**({"prompts": ("p",)} | wrong))  # pyright: ignore[reportArgumentType]
