"""The truth server in a process of its own: what it says it wrote is what a client reads, and not before."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tidegate.benchmark.stream import json_object, parse_exchange
from tidegate.benchmark.truth import Fault, FaultKind, RequestTruth, RunningTruth, Shape, start_truth_server
from tidegate.benchmark.truth.__main__ import main
from tidegate.benchmark.wire import Exchange, open_wire

DEADLINE_S = 60.0
QUICK: dict[str, Any] = {"ttft": 2, "gap": 1, "tokens": 8}
counter = iter(range(10**6))


@pytest.fixture(scope="module")
def truth() -> Iterator[RunningTruth]:
    with start_truth_server(Shape(**QUICK)) as running:
        yield running


def serve(truth: RunningTruth, **changes: Any) -> tuple[str, str]:
    """Name and base URL of a new shape."""
    name = f"shape{next(counter)}"
    return name, truth.put_shape(name, Shape(**(QUICK | changes)))


async def _ask_all(base: str, count: int, timeout_s: float, at_once: bool, **changes: Any) -> list[Exchange]:
    body = {"messages": [{"role": "user", "content": "a b c"}], "stream": True, **changes}
    raw = json.dumps(body | {"stream_options": {"include_usage": True}}).encode()
    async with open_wire(keep_alive=True) as wire:
        asked = [
            wire.post(f"{base}/chat/completions", {"x-request-id": f"r{number}"}, raw, timeout_s)
            for number in range(count)
        ]
        return list(await asyncio.gather(*asked)) if at_once else [await one for one in asked]


def ask(
    base: str, count: int = 1, *, timeout_s: float = DEADLINE_S, at_once: bool = True, **changes: Any
) -> list[Exchange]:
    return asyncio.run(_ask_all(base, count, timeout_s, at_once, **changes))


def wait_for(
    truth: RunningTruth, name: str, holds: Callable[[list[RequestTruth]], bool]
) -> list[RequestTruth]:
    end = time.monotonic() + DEADLINE_S
    while not holds(records := truth.truth(name)):
        assert time.monotonic() < end, records
        time.sleep(0.01)
    return records


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tokens_per_chunk": 4},
        {"ttft": "uniform:1:5", "gap": "lognormal:1:0.5"},
        {"line_end": "\r\n", "write_bytes": 5, "comments": True},
        {"reasoning_tokens": 3, "usage": "timings"},
        {"tool_call": True, "usage": "finish", "body": "until_close"},
        {"connection": "close"},
    ],
    ids=["plain", "four tokens in a chunk", "by chance", "cut up", "reasoning", "tool call", "close"],
)  # fmt: skip
def test_a_client_reads_each_chunk_after_it_was_written_and_all_of_them(
    truth: RunningTruth, changes: dict[str, Any]
):
    name, base = serve(truth, **changes)
    found = ask(base, 5)
    records = {record.id: record for record in truth.truth(name)}
    for number, done in enumerate(found):
        parsed, record = parse_exchange(done), records[f"r{number}"]
        assert (done.error, parsed.is_whole, record.was_whole) == ("", True, True)
        assert (parsed.tokens, record.tokens) == (8, 8)
        assert len(parsed.content_ns) == len(record.content_ns)
        assert all(read > wrote for read, wrote in zip(parsed.content_ns, record.content_ns, strict=True))
        assert done.sent_ns < record.received_ns < record.content_ns[0]
        assert record.answer_ns is not None
        assert parsed.answer_ns is not None
        # Two chunks that were read together carry one stamp.
        assert parsed.content_ns[record.content_ns.index(record.answer_ns)] == parsed.answer_ns


def test_writes_never_come_before_their_time(truth: RunningTruth):
    name, base = serve(truth, ttft=20, gap=3, stall_ms=50)
    ask(base, 3)
    for record in truth.truth(name):
        assert record.ttft_ns is not None
        assert record.ttft_ns >= 20e6
        assert record.content_ns[-1] - record.received_ns >= (20 + 7 * 3 + 50) * 1_000_000
        assert record.largest_gap_ms is not None
        assert record.late_ns >= 0


def test_one_slot_answers_in_the_order_of_arrival(truth: RunningTruth):
    name, base = serve(truth, slots=1)
    ask(base, 6)
    records = truth.truth(name)
    for before, after in itertools.pairwise(records):
        assert before.ended_ns is not None
        assert after.started_ns is not None
        assert after.started_ns >= before.ended_ns >= before.received_ns


def test_a_client_that_leaves_gives_its_slot_or_its_place_in_the_queue_back(truth: RunningTruth):
    name, base = serve(truth, slots=1, ttft=600_000)

    async def two() -> None:
        asked: list[asyncio.Task[list[Exchange]]] = []
        for count in (1, 2):
            asked.append(asyncio.create_task(_ask_all(base, 1, 10 * DEADLINE_S, True)))
            # Before the second one the first has its slot.
            await asyncio.to_thread(wait_for, truth, name, lambda records, count=count: len(records) == count)
        # The one that waits goes first: it never gets the slot of the other.
        for left, task in enumerate(reversed(asked), 1):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.to_thread(
                wait_for,
                truth,
                name,
                lambda records, left=left: sum(one.left_early for one in records) == left,
            )

    asyncio.run(two())
    holder, waiting = truth.truth(name)
    assert holder.started_ns is not None
    assert waiting.started_ns is None
    truth.put_shape(name, Shape(**QUICK, slots=1))
    assert parse_exchange(ask(base)[0]).is_whole


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        (FaultKind.STATUS, 429, ""),
        (FaultKind.CUT, 200, "reset: the connection closed in the middle of the answer"),
        (FaultKind.RESET, 200, "reset: "),
        (FaultKind.QUIET_END, 200, ""),
        (FaultKind.HANG, None, "timeout: "),
    ],
)
def test_each_fault_reaches_the_client(truth: RunningTruth, kind: FaultKind, status: int | None, error: str):
    after = 0 if kind in (FaultKind.HANG, FaultKind.STATUS) else 2
    name, base = serve(truth, faults=(Fault(kind=kind, after=after, status=429),))
    done = ask(base, timeout_s=1.0 if kind is FaultKind.HANG else DEADLINE_S)[0]
    assert done.error.startswith(error)
    assert bool(done.error) == bool(error)
    # A reset may throw away what was not read yet.
    assert done.status == status or kind is FaultKind.RESET
    assert not parse_exchange(done).is_whole
    # The client may have given up before a busy server read what it was asked.
    assert {record.fault for record in wait_for(truth, name, bool)} == {kind.value}


def test_a_server_that_breaks_its_promise_to_keep_connections_is_survived(truth: RunningTruth):
    _, base = serve(truth, connection="close_unsaid")
    found = ask(base, 10, at_once=False)
    assert sum(done.error != "" for done in found) <= 1


def test_plain_answers_models_health_and_tokens(truth: RunningTruth):
    name, base = serve(truth)
    plain = json_object(ask(base, stream=False)[0].body)
    assert plain is not None
    assert plain["usage"]["completion_tokens"] == 8
    assert truth.truth(name)[0].is_stream is False

    async def about() -> list[Exchange]:
        async with open_wire(keep_alive=True) as wire:
            return [
                await wire.get(f"{truth.url}/models", {}, DEADLINE_S),
                await wire.get(f"{truth.origin}/health", {}, DEADLINE_S),
                await wire.post(f"{truth.origin}/tokenize", {}, b'{"content": "one two"}', DEADLINE_S),
                await wire.get(f"{truth.origin}/nothing", {}, DEADLINE_S),
                await wire.post(f"{base}/chat/completions", {}, b"[]", DEADLINE_S),
            ]

    models, health, tokens, nothing, broken = asyncio.run(about())
    assert (models.status, health.status, tokens.status) == (200, 200, 200)
    assert len((json_object(tokens.body) or {})["tokens"]) == 2
    assert (nothing.status, broken.status) == (404, 400)


def test_it_forgets_when_asked(truth: RunningTruth):
    ask(truth.url)
    assert truth.truth("") != []
    truth.forget()
    assert truth.truth() == []


@pytest.mark.parametrize("wrong", [["--fault", "explosion"], ["--ttft", "soon"], ["--slots", "0"]])
def test_the_command_refuses_what_it_cannot_do(wrong: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        main(wrong)
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err
