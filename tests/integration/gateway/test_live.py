"""What clients got, as the real Envoy measured it: every way in which an answer can go counts once, as what it is."""

import contextlib
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tidegate.domain import LiveBatch, Mirror
from tidegate.domain.live import ALL, COUNTED, LARGE, PLAIN, SHADOW, SMALL, STREAM, Histogram, Timing, total
from tidegate.domain.live_edges import EDGES_S
from tidegate.gateway.admin import Admin
from tidegate.gateway.boots import boots
from tidegate.gateway.refused import read_refused

PROBE = {"authorization": "Bearer probe-key-of-the-tests"}
DONE = "data: [DONE]\n\n"
ONE_GOOD = {**dict.fromkeys(COUNTED, 0), "requests": 1, "attempts": 1}


def event(text: str | None = None, finish: str | None = None, **more: Any) -> str:
    delta = {"role": "assistant", "content": None} if text is None and finish is None else {"content": text}
    chunk = {"choices": [{"delta": delta if text or not finish else {}, "finish_reason": finish}], **more}
    return f"data: {json.dumps(chunk)}\n\n"


def answer(text: str, **more: Any) -> str:
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice], "usage": {"completion_tokens": 3, "prompt_tokens": 9}, **more})


def named(name: str, **fields: Any) -> str:
    """An event of the interfaces that name theirs and have no [DONE], as llama-server writes them."""
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n"


MESSAGES = [
    named("message_start", message={"content": [], "stop_reason": None, "usage": {"output_tokens": 0}}),
    named("content_block_start", content_block={"type": "text", "text": ""}),
    named("content_block_delta", delta={"type": "text_delta", "text": "Paris"}),
    named("content_block_stop", index=0),
    named("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 3}),
    named("message_stop"),
]
RESPONSES = [
    named("response.created", response={"status": "in_progress"}),
    named("response.output_text.delta", item_id="m", delta="Paris"),
    named("response.output_text.done", item_id="m", text="Paris"),
    named("response.completed", response={"status": "completed", "usage": {"output_tokens": 3}}),
]
HEALTHY = [
    ["say", event()],
    ["wait", 0.2],
    *[act for number in range(5) for act in (["say", event(f"w{number} ")], ["wait", 0.02])],
    ["say", event(finish="length")],
    ["say", event(finish=None, text="", usage={"completion_tokens": 42, "prompt_tokens": 7})],
    ["say", DONE],
]
CASES: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "a healthy stream": ({"stream": True, "script": HEALTHY}, {}),
    "a healthy answer": ({"script": [["say", answer("yes")]]}, {}),
    "a stream cut in its middle": (
        {"stream": True, "script": [["say", event("a")], ["wait", 0.05], ["say", event("b")], ["break"]]},
        {"failed": 1, "truncated": 1, "attempts_failed": 1},
    ),
    "a stream that ends in order without its end mark": (
        {"stream": True, "script": [["say", event("a")], ["say", event("b")]]},
        {"failed": 1, "truncated": 1},
    ),
    "a stream that stalls": (
        {"stream": True, "script": [["say", event("a")], ["wait", 0.8], ["say", event("b")], ["say", DONE]]},
        {"stalled": 1},
    ),
    "a stream that stalls until it is cut": (
        {"stream": True, "script": [["say", event("a")], ["wait", 0.8], ["break"]]},
        {"stalled": 1, "failed": 1, "truncated": 1, "attempts_failed": 1},
    ),
    "a stream without content": (
        {"stream": True, "script": [["say", event()], ["say", event(finish="stop")], ["say", DONE]]},
        {"empty": 1},
    ),
    "an answer without content": ({"script": [["say", answer("")]]}, {"empty": 1}),
    "a stream with an event that is no JSON": (
        {"stream": True, "script": [["say", event("a")], ["say", 'data: {"choices": [{\n\n'], ["say", DONE]]},
        {"malformed": 1},
    ),
    "an answer that is no JSON": ({"script": [["say", answer("yes")[:-1]]]}, {"malformed": 1}),
    "an error inside a stream": (
        {"stream": True, "script": [["say", event("a")], ["say", 'data: {"error":{"code":500}}\n\n'], ["say", DONE]]},
        {"failed": 1},
    ),
    "a failure": ({"stream": True, "status": 500, "script": [["say", "{}"]]}, {"failed": 1, "attempts_failed": 1}),
    "a stream of messages": ({"stream": True, "script": [["say", one] for one in MESSAGES]}, {}),
    "a stream of messages that is cut": (
        {"stream": True, "script": [*(["say", one] for one in MESSAGES[:4]), ["wait", 0.05], ["break"]]},
        {"failed": 1, "truncated": 1, "attempts_failed": 1},
    ),
    "a stream of messages without content": (
        {"stream": True, "script": [["say", one] for one in (*MESSAGES[:2], *MESSAGES[3:])]},
        {"empty": 1},
    ),
    "a stream of responses": ({"stream": True, "script": [["say", one] for one in RESPONSES]}, {}),
    "a stream of responses that ends in order without its end": (
        {"stream": True, "script": [["say", one] for one in RESPONSES[:-1]]},
        {"failed": 1, "truncated": 1},
    ),
    "a failure inside a stream of responses": (
        {"stream": True, "script": [["say", RESPONSES[1]], ["say", named("response.failed")], ["say", DONE]]},
        {"failed": 1},
    ),
    "a stream with an event of 200 KB": (
        {
            "stream": True,
            "script": [["say", event("a")], ["say", event("b" * 200_000)[:90_000]], ["wait", 0.05],
                       ["say", event("b" * 200_000)[90_000:]], ["say", DONE]],
        },
        {},
    ),
    "an event in three parts": (
        {
            "stream": True,
            "script": [["say", event("a")[:9]], ["wait", 0.05], ["say", event("a")[9:30]], ["wait", 0.05],
                       ["say", event("a")[30:] + DONE]],
        },
        {},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def measuring(start_gateway):
    return start_gateway(
        "measuring", stall_ms=500.0, live_window_s=0.2, live_grace_s=0.4, live_keep_bytes=80_000
    )


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return iter(range(1, 1000))


@pytest.fixture
def tenant(measuring, numbers):
    made = measuring.service(f"live-{next(numbers)}")
    yield made
    measuring.await_generation(measuring.source.remove(made.org))


@pytest.fixture
def engine(tenant, old_and_new) -> Any:
    """A set of this organization alone, as sets are."""
    return replace(old_and_new[0], name=f"set-of-{tenant.org}")


@pytest.fixture
def batches(measuring, tenant, eventually) -> Callable[..., list[LiveBatch]]:
    """What was reported about this organization, once so many requests of a slice were."""

    def wait(
        requests: int, slice_name: str = ALL, *, attempts: int = 0, is_probe: bool = False
    ) -> list[LiveBatch]:
        """An attempt and its request are two lines, which may end in two windows."""

        def look() -> list[LiveBatch]:
            return [
                one
                for one in list(measuring.source.batches.values())
                if (one.org, one.slice, one.is_probe) == (tenant.org, slice_name, is_probe)
            ]

        return eventually(
            look,
            lambda seen: (
                total(seen)["requests"] + total(seen)["lost"] >= requests
                and total(seen)["attempts"] >= attempts
            ),
            f"{requests} requests",
        )

    return wait


def ended(batches: list[LiveBatch]) -> Counter[str]:
    return sum((Counter(one.codes) for one in batches), Counter())


def of(batches: list[LiveBatch], name: str) -> Histogram:
    return Histogram.sum(getattr(batch, name) for batch in batches)


def test_each_way_an_answer_can_go_is_counted_once_as_what_it_is(measuring, tenant, old_and_new, eventually):
    """Each case has a service and a set of its own; all sets are the same engine."""
    services = {name: f"case-{number}" for number, name in enumerate(CASES)}
    for service in services.values():
        route = tenant.route({replace(old_and_new[0], name=service): 100})
        generation = measuring.source.put(route.model_copy(update={"service": service}))
    measuring.await_generation(generation)

    for name, (body, _) in CASES.items():
        with contextlib.suppress(httpx.HTTPError):
            url = f"{measuring.url}/{tenant.org}/{services[name]}/v1/chat/completions"
            measuring.client.post(url, json=body, headers=tenant.auth)

    def counted() -> dict[str, dict[str, int]]:
        by_set = measuring.source.live_totals()
        return {name: by_set[set_name] for name, set_name in services.items() if set_name in by_set}

    # An attempt and its request are two lines, which may end in two windows.
    seen = eventually(
        counted,
        lambda cases: (
            len(cases) == len(CASES)
            and all(min(counts["requests"], counts["attempts"]) >= 1 for counts in cases.values())
        ),
        "all cases",
    )
    for name, (_, special) in CASES.items():
        # On a busy machine any stream may stall.
        stalled = special.get("stalled", seen[name]["stalled"])
        assert (name, seen[name]) == (name, {**ONE_GOOD, "stalled": stalled, **special})


def test_times_lengths_and_stop_reasons_are_those_of_the_stream(tenant, engine, batches):
    tenant.switch({engine: 100})

    tenant.ask({"stream": True, "script": HEALTHY, "prompt": "x" * 20_000})
    tenant.ask({"script": [["wait", 0.2], ["say", answer("yes")]]})

    (all_of, large, small) = (batches(2), batches(1, LARGE), batches(1, SMALL))
    stream, plain = batches(1, STREAM), batches(1, PLAIN)
    stops = {name: count for batch in all_of for name, count in batch.stops.items()}
    assert stops == {"length": 1, "stop": 1}
    assert [of(one, "tokens").quantile(1) for one in (stream, plain)] == pytest.approx([42, 3], rel=0.06)
    assert [of(one, "tokens") for one in (large, small)] == [of(one, "tokens") for one in (stream, plain)]
    # A busy machine makes them longer, never shorter.
    assert of(all_of, "ttft_ms").quantile(0.01) >= 190
    assert of(stream, "gap_ms").quantile(1) >= 19
    assert of(stream, "itl_ms").n == 1
    assert of(plain, "itl_ms").n == 0
    assert ended(all_of) == {"2xx": 2}
    assert (sum(one.tokens_in for one in all_of), sum(one.tokens_out for one in all_of)) == (16, 45)
    times = {name: [one.timings.get(name, Timing()) for one in all_of] for name in EDGES_S}
    timed = {name: sum(sum(one.counts.values()) for one in found) for name, found in times.items()}
    assert timed == {"ttft_ms": 2, "itl_ms": 1, "total_ms": 2}
    assert sum(one.sum_s for one in times["total_ms"]) >= 0.4


def test_a_log_that_grows_is_renamed_and_no_line_of_it_is_lost(
    measuring, tenant, engine, batches, eventually
):
    tenant.switch({engine: 100})
    boot = boots(measuring.config)[-1]
    first, count = inode(boot.log), 0

    def ask() -> None:
        tenant.ask(
            {"script": [["say", answer("a secret of the answer")]], "prompt": "a secret of the prompt"}
        )

    while inode(boot.log) in (None, first):
        for _ in range(20):
            ask()
        count += 20
        # More than is kept would be lost, and that is not what is asked here.
        batches(count)
        assert count < 400, "the log was never renamed"
    ask()
    count += 1

    counts = total(batches(count))
    assert (counts["requests"], counts["lost"]) == (count, 0)
    assert "secret" not in boot.log.read_text()
    eventually(boot.aside.exists, lambda exists: not exists, "the former file goes")


def inode(file: Path) -> int | None:
    """None: it was renamed, and the next one comes with the next line."""
    try:
        return file.stat().st_ino
    except FileNotFoundError:
        return None


def test_a_client_that_hangs_up_is_no_failure_of_the_set(measuring, tenant, engine, batches):
    tenant.switch({engine: 100})
    body = {"stream": True, "script": [["say", event("a")], ["until", "never-told"]]}

    with measuring.client.stream("POST", tenant.url, json=body, headers=tenant.auth) as reply:
        next(reply.iter_lines())

    counts = total(batches(1, attempts=1))
    assert counts == {**ONE_GOOD, "clients_left": 1, "stalled": counts["stalled"]}
    assert ended(batches(1)) == {"cancelled": 1}


def test_a_client_that_gives_up_before_the_first_word_leaves_its_silence_behind(
    measuring, tenant, engine, batches
):
    """A set that hangs fails nobody: its clients go, and what they waited is a stall of the set."""
    tenant.switch({engine: 100})
    body = {"stream": True, "script": [["until", "never-told"]]}

    with pytest.raises(httpx.ReadTimeout):
        measuring.client.post(tenant.url, json=body, headers=tenant.auth, timeout=0.8)

    seen = batches(1)
    assert total(seen) == {**ONE_GOOD, "clients_left": 1, "stalled": 1}
    assert of(seen, "gap_ms").n == 1
    assert total(batches(1, STREAM))["stalled"] == 1


def test_a_client_that_hangs_up_after_the_end_mark_got_its_whole_answer(measuring, tenant, engine, batches):
    tenant.switch({engine: 100})
    body = {
        "stream": True,
        "script": [
            ["say", event("a")],
            ["say", event(finish="stop")],
            ["say", DONE],
            ["until", "never-told"],
        ],
    }

    with measuring.client.stream("POST", tenant.url, json=body, headers=tenant.auth) as reply:
        for line in reply.iter_lines():
            if "[DONE]" in line:
                break

    counts = total(batches(1, attempts=1))
    assert counts == {**ONE_GOOD, "stalled": counts["stalled"]}


def test_attempts_that_a_retry_hid_are_counted_for_the_set_that_failed(
    tenant, fresh_set, engine, batches, eventually
):
    dead = fresh_set("set-loading")
    tenant.switch({engine: 50, dead: 50})
    dead.behave("busy")

    answers = [tenant.ask() for _ in range(20)]

    assert {one.status_code for one in answers} == {200}
    reported = eventually(
        lambda: batches(20),
        lambda seen: any(one.set_name == dead.name for one in seen),
        "the failed attempts",
    )
    by_set = {
        name: total(one for one in reported if one.set_name == name) for name in (engine.name, dead.name)
    }
    assert (by_set[engine.name]["requests"], by_set[engine.name]["failed"]) == (20, 0)
    assert by_set[engine.name]["attempts_failed"] == 0
    assert by_set[dead.name]["requests"] == 0
    assert by_set[dead.name]["attempts_failed"] == by_set[dead.name]["attempts"] > 0


def test_a_set_of_which_nobody_is_left_is_blamed_although_nothing_was_sent_to_it(tenant, fresh_set, batches):
    gone = fresh_set("set-gone")
    tenant.switch({gone: 100})
    gone.kill()

    answers = [tenant.ask() for _ in range(3)]

    assert {one.status_code for one in answers} == {503}
    counts = total(batches(3))
    assert (counts["requests"], counts["failed"], counts["lost"]) == (3, 3, 0)
    assert ended(batches(3)) == {"5xx": 3}


def test_what_the_gateway_refuses_by_itself_is_told_by_its_reason(measuring, tenant, engine, eventually):
    tenant.switch({engine: 100})
    assert tenant.ask(authorization="Bearer nobody").status_code == 401

    def refused() -> dict[tuple[str, str, str], int]:
        with Admin(measuring.config.admin_socket) as admin:
            return {labels: count for labels, count in read_refused(admin).items() if labels[0] == tenant.org}

    seen = eventually(refused, bool, "a refusal")
    assert [(labels[2], count) for labels, count in seen.items()] == [("auth", 1)]


def test_our_own_probes_are_kept_apart_from_clients(tenant, engine, batches):
    tenant.switch({engine: 100})

    tenant.ask(**PROBE, x_tidegate_pin=engine.name)
    tenant.ask()

    assert total(batches(1, is_probe=True))["requests"] == 1
    assert total(batches(1))["requests"] == 1


def test_copies_are_measured_apart_and_harm_no_client(measuring, tenant, engine, old_and_new, batches):
    old, new = engine, old_and_new[1]
    route = tenant.route({old: 100, new: 0})
    mirrored = route.model_copy(update={"mirror": Mirror(set_name="set-new", percent=100)})
    measuring.await_generation(measuring.source.put(mirrored))
    for engine, mode in ((old, "ok"), (new, "broken")):
        engine.behave(mode)
    try:
        answers = [tenant.ask() for _ in range(5)]
        shadow = batches(5, SHADOW)
    finally:
        new.behave("ok")

    assert {(one.status_code, one.headers["x-tidegate-set"]) for one in answers} == {(200, old.name)}
    assert {one.set_name for one in shadow} == {"set-new"}
    assert total(shadow)["failed"] == 5
    assert {one.set_name for one in batches(5)} == {old.name}
    assert total(batches(5))["failed"] == 0


def test_streams_of_a_set_that_lost_its_traffic_end_by_themselves_and_are_counted_for_it(
    measuring, tenant, fresh_set, old_and_new, batches, eventually
):
    old, new = fresh_set("set-leaving"), old_and_new[1]
    tenant.switch({old: 100})
    body = {"stream": True, "script": [["say", event("a")], ["until", "go-on"], ["say", event("b") + DONE]]}
    with measuring.client.stream("POST", tenant.url, json=body, headers=tenant.auth) as reply:
        lines = reply.iter_lines()
        next(lines)
        tenant.switch({new: 100})
        eventually(
            lambda: measuring.source.status.active_requests.get(old.name, 0),
            lambda count: count == 1,
            "one request in flight at the set that left",
        )
        old.behave("go-on")
        assert list(lines)[-2] == "data: [DONE]"

    counts = total(one for one in batches(1) if one.set_name == old.name)
    assert (counts["requests"], counts["truncated"], counts["failed"]) == (1, 0, 0)
    eventually(
        lambda: measuring.source.status.active_requests.get(old.name, 0),
        lambda count: count == 0,
        "it is idle",
    )


def test_what_an_envoy_took_with_it_when_it_was_killed_is_reported_as_lost(
    measuring, tenant, engine, batches, eventually
):
    tenant.switch({engine: 100})
    tenant.ask()
    batches(1)
    body = {"stream": True, "script": [["say", event("a")], ["until", "never-told"]]}
    with (
        contextlib.suppress(httpx.HTTPError),
        measuring.client.stream("POST", tenant.url, json=body, headers=tenant.auth) as reply,
    ):
        lines = reply.iter_lines()
        next(lines)
        # It is known that one is in flight.
        state = measuring.config.path("live-read.json")
        place = f'"{tenant.org}/chat/{engine.name}": 2'
        eventually(state.read_text, lambda text: place in text, "the count of requests")
        os.kill(measuring.envoy_pid, signal.SIGKILL)
        list(lines)

    counts = eventually(lambda: total(batches(1)), lambda seen: seen["lost"] > 0, "the loss")
    assert (counts["requests"], counts["lost"], counts["failed"]) == (1, 1, 0)
    answers: list[int] = []

    def serves() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            answers.append(tenant.ask().status_code)
        return 200 in answers

    eventually(serves, bool, "the new Envoy serves")
    assert total(batches(2 + len(answers)))["requests"] == 1 + len(answers), "the new Envoy's lines"
