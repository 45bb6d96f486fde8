"""The plan: one value that says what is sent, and refuses what makes no sense."""

import json

import pytest

from tidegate.benchmark.arrivals import Mode
from tidegate.benchmark.plan import Arm, Endpoint, LoadPlan
from tidegate.benchmark.trace import TraceRow
from tidegate.domain import InvalidInput, Secret
from tidegate.domain.policy import LoadDesign, PerformancePolicy

BLUE = Arm("blue", "http://gate/org/svc/v1/", Secret("k"), {"x-tidegate-pin": "b"}, "m")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("HTTP 401: no such key sk-canary-0123456789", "HTTP 401: no such key ***"),
        ("HTTP 401: no such key sk-canary-012", "HTTP 401: no such key ***"),
        ("team secret-of-a-team and set blue-of-a-service", "team *** and set blue-of-a-service"),
        ("HTTP 503: busy", "HTTP 503: busy"),
    ],
)
def test_what_a_server_repeats_of_our_secrets_is_masked(said: str, kept: str):
    headers = {"x-team": "secret-of-a-team", "x-tidegate-pin": "blue-of-a-service", "x-short": "busy"}
    arm = Arm("a", "http://h/v1", Secret("sk-canary-0123456789"), headers)
    assert arm.without_secrets(said) == kept


def test_the_order_of_arms_turns_round_from_block_to_block():
    plan = LoadPlan(prompts=("p",))
    assert [plan.arm_order(block, 2) for block in range(4)] == [[0, 1], [1, 0], [0, 1], [1, 0]]


def test_an_arm_knows_its_url_and_sends_key_and_pin():
    assert BLUE.url == "http://gate/org/svc/v1/chat/completions"
    assert BLUE.url_of(Endpoint.COMPLETIONS) == "http://gate/org/svc/v1/completions"
    assert BLUE.request_headers["authorization"] == "Bearer k"
    assert BLUE.request_headers["x-tidegate-pin"] == "b"
    assert "Bearer" not in repr(BLUE)


def test_the_query_of_a_base_url_stays_behind_the_path_and_no_key_is_no_header():
    arm = Arm("a", "http://host/v1?api-version=2", Secret(""))
    assert arm.url == "http://host/v1/chat/completions?api-version=2"
    assert "authorization" not in arm.request_headers


def test_the_policy_gives_the_size_of_the_load():
    design = LoadDesign(block_pairs=6, requests_per_block=2, concurrency=3, max_tokens=8)
    plan = LoadPlan.from_policy(PerformancePolicy(design=design), ["p"])
    assert (plan.requests, plan.concurrency, plan.max_tokens, plan.blocks) == (12, 3, 8, 6)


def test_a_stored_plan_is_plain_json_and_fields_of_others_are_left_alone():
    plan = LoadPlan(
        prompts=("p",), prompt_tags={"p": ("capital", "short")}, extra={"stop": ["\n"]}, mode=Mode.GAMMA, rate=2.0,
        burstiness=0.5,
    )  # fmt: skip
    stored = json.loads(json.dumps(plan.as_dict() | {"digest": "d"}))
    assert LoadPlan.from_dict(stored) == plan


@pytest.mark.parametrize(
    "wrong", [{"mode": "soon"}, {"trace": [{"at": 1}]}, {"prompts": 5}, {"trace": 7}, {"prompt_tags": 5}]
)
def test_what_is_no_stored_plan_is_refused(wrong: dict[str, object]):
    with pytest.raises(InvalidInput):
        LoadPlan.from_dict(LoadPlan(prompts=("p",)).as_dict() | wrong)


def test_the_time_limit_follows_from_what_is_sent():
    long = LoadPlan(prompts=("p",), requests=None, duration_s=3600.0, mode=Mode.CONSTANT, rate=1.0)
    assert long.limit_s > 2 * 3600
    counted = LoadPlan(prompts=("p",), requests=3600, mode=Mode.CONSTANT, rate=1.0)
    assert counted.limit_s == long.limit_s
    assert LoadPlan(prompts=("p",), deadline_s=7.0).limit_s == 7.0
    replay = LoadPlan(
        mode=Mode.TRACE, trace=(TraceRow(0, "a"), TraceRow(10**12, "b")), requests=None, blocks=1, speed=2.0
    )
    assert replay.trace_s == 500.0
    assert replay.limit_s > 1000


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"prompts": ()}, "prompts"),
        ({"prompts": ("a", "")}, "prompts"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"requests": 0}, "requests"),
        ({"concurrency": 0}, "concurrency"),
        ({"requests": 3, "blocks": 4}, "requests"),
        ({"requests": 300_000}, "requests"),
        ({"duration_s": 5.0}, "duration_s"),
        ({"requests": None}, "duration_s"),
        ({"mode": Mode.POISSON}, "rate"),
        ({"mode": Mode.POISSON, "rate": -1.0}, "rate"),
        ({"mode": Mode.POISSON, "rate": float("nan")}, "rate"),
        ({"mode": Mode.GAMMA, "rate": 1.0, "burstiness": 0.0}, "burstiness"),
        ({"mode": Mode.TRACE}, "trace"),
        ({"mode": Mode.TRACE, "trace": (TraceRow(0, "a"),), "requests": 5}, "requests"),
        ({"trace": (TraceRow(0, "a"),)}, "trace"),
        ({"extra": {"seed": 1, "max_tokens": 2}}, "extra"),
        ({"extra": {"x": object()}}, "extra"),
        ({"extra": {"x": float("nan")}}, "extra"),
        ({"endpoint": Endpoint.QUEUE}, "stream"),
        ({"warmup_requests": -1}, "warmup_requests"),
        ({"request_timeout_s": 0.0}, "request_timeout_s"),
        ({"deadline_s": -5.0}, "deadline_s"),
        ({"most_in_flight": 0}, "most_in_flight"),
    ],
)
def test_a_plan_without_sense_is_refused_by_its_field(wrong: dict[str, object], field: str):
    with pytest.raises(InvalidInput) as caught:
        LoadPlan(**({"prompts": ("p",)} | wrong))  # pyright: ignore[reportArgumentType]
    assert field in str(caught.value.context["field"])
