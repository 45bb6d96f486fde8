"""What the load generator sends and records, over a wire without a network."""

import asyncio
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.unit.benchmark.fake_wire import Asked, FakeWire, stream
from tidegate.benchmark.arrivals import Mode
from tidegate.benchmark.load import measure, measure_until_interrupted
from tidegate.benchmark.plan import Arm, LoadPlan
from tidegate.benchmark.record import Outcome, Phase, RequestRecord, RunRecord
from tidegate.benchmark.schedule import draw_schedule
from tidegate.domain import InvalidInput, Secret

OPEN = LoadPlan(
    prompt_words=4,
    mode=Mode.POISSON,
    rate=200.0,
    requests=None,
    duration_s=0.3,
    blocks=2,
    warmup_requests=3,
)
CLOSED = LoadPlan(prompts=("a", "b"), requests=20, blocks=4, concurrency=3, warmup_requests=2)


def arm(name: str = "a") -> Arm:
    return Arm(name, f"http://host/{name}/v1", Secret("k"), {}, "m")


def run(plan: LoadPlan, wire: FakeWire, *names: str) -> dict[str, RunRecord]:
    arms = [arm(name) for name in names or ("a",)]
    return asyncio.run(measure(arms, plan, wire=wire))


async def never(_: Asked) -> None:
    await asyncio.Event().wait()


def test_an_open_loop_keeps_the_drawn_times_to_the_nanosecond_in_every_arm():
    found = run(OPEN, FakeWire(), "a", "b")
    blocks = draw_schedule(OPEN).blocks
    for name in ("a", "b"):
        record = found[name]
        assert record.plan["digest"] == draw_schedule(OPEN).digest
        for block, (start, end) in zip(blocks, record.block_windows_ns, strict=True):
            planned = [one.planned_ns for one in record.measured() if one.block == block.number]
            assert planned == [start + (request.at_ns or 0) for request in block.measured]
            assert end - start >= (block.window_ns or 0)
    assert {one.outcome for one in found["a"].measured()} == {Outcome.OK}


def test_arms_alternate_and_turn_round_from_block_to_block():
    wire = FakeWire()
    run(CLOSED, wire, "a", "b")
    order = [asked.url.split("/")[3] for asked in wire.asked]
    assert order == [name for name in "abbaabba" for _ in range(7)]


def test_a_request_bears_the_tags_of_its_prompt_and_the_load_stays_the_same():
    tagged = replace(CLOSED, prompt_tags={"a": ("capital",)})
    record = run(tagged, FakeWire())["a"]
    assert record.plan["digest"] == draw_schedule(CLOSED).digest
    prompts = [request.prompt for request in draw_schedule(tagged).measured]
    assert [one.tags for one in record.measured()] == [("capital",) if p == "a" else () for p in prompts]


def test_a_closed_loop_has_as_many_requests_in_flight_as_workers_and_no_planned_times():
    wire = FakeWire()
    record = run(CLOSED, wire)["a"]
    assert wire.most_in_flight == 3
    assert [one.index for one in record.measured()] == list(range(20))
    assert {one.planned_ns for one in record.requests} == {None}
    assert record.mode == "closed"


def test_warm_up_is_recorded_apart_and_asks_something_else():
    wire = FakeWire()
    record = run(CLOSED, wire)["a"]
    phases = [one.phase for one in record.requests]
    assert (phases.count(Phase.WARMUP), phases.count(Phase.MEASURED)) == (8, 20)
    warmup = {asked.body["messages"][0]["content"] for asked in wire.asked} - {"a", "b"}
    assert warmup
    starts = [low for low, _ in record.block_windows_ns]
    for one in record.requests:
        if one.phase is Phase.WARMUP:
            assert one.end_ns is not None
            assert one.end_ns <= starts[one.block]


def test_a_warm_up_that_is_judged_goes_on_until_the_server_is_steady():
    answers = 0

    def took_ms(_: Asked) -> int:
        # The first answers take longer and longer to come: no two windows of them agree.
        nonlocal answers
        answers += 1
        return 4 * answers if answers <= 12 else 1

    plan = LoadPlan(prompts=("a",), requests=5, blocks=1, concurrency=1, warmup_requests=6, warmup_most=500)
    record = run(plan, FakeWire(took_ms=took_ms))["a"]
    warmup = sum(one.phase is Phase.WARMUP for one in record.requests)
    assert 12 < warmup < 500
    assert record.notes == ()


def test_a_client_that_was_held_up_keeps_its_schedule_and_sends_everything():
    def hold_up(asked: Asked) -> tuple[int, bytes]:
        if asked.planned_ns is not None and not held:
            held.append(asked)
            time.sleep(0.1)
        return stream()

    held: list[Asked] = []
    plan = LoadPlan(prompts=("a",), mode=Mode.CONSTANT, rate=100.0, requests=30, blocks=1, warmup_requests=0)
    record = run(plan, FakeWire(hold_up))["a"]
    planned = [one.planned_ns or 0 for one in record.measured()]
    assert {b - a for a, b in pairwise(planned)} == {10_000_000}
    assert {one.outcome for one in record.measured()} == {Outcome.OK}
    late = max((one.sent_ns or 0) - (one.planned_ns or 0) for one in record.measured())
    assert late >= 60_000_000


def test_requests_over_the_cap_are_counted_as_never_sent_and_not_forgotten():
    plan = LoadPlan(
        prompts=("a",),
        mode=Mode.CONSTANT,
        rate=100.0,
        requests=20,
        blocks=1,
        warmup_requests=0,
        most_in_flight=4,
    )

    async def run_until_one_is_given_up() -> RunRecord:
        given_up = asyncio.Event()

        async def wait(_: Asked) -> None:
            await given_up.wait()

        def watch(record: RequestRecord) -> None:
            if record.outcome is Outcome.NOT_SENT:
                given_up.set()

        return (await measure([arm()], plan, wire=FakeWire(before=wait), on_event=watch))["a"]

    record = asyncio.run(run_until_one_is_given_up())
    unsent = [one for one in record.measured() if one.outcome is Outcome.NOT_SENT]
    assert (len(record.measured()), len(unsent)) == (20, 16)
    assert all("4 requests were in flight" in one.error for one in unsent)
    assert any("16 of 20" in note for note in record.notes)


def test_an_arm_whose_turn_never_came_has_an_empty_run():
    async def stop_in_the_first_arm() -> dict[str, RunRecord]:
        stop = asyncio.Event()

        def watch(_: RequestRecord) -> None:
            stop.set()

        return await measure([arm("a"), arm("b")], CLOSED, wire=FakeWire(), on_event=watch, stop=stop)

    found = asyncio.run(stop_in_the_first_arm())
    assert found["b"].requests == ()
    assert found["b"].notes[0].startswith("incomplete: stopped in block 0 of 4")


def test_what_is_in_flight_when_the_window_ends_is_waited_for_and_counted():
    gate: list[asyncio.Event] = []

    async def wait(asked: Asked) -> None:
        gate.append(asyncio.Event())
        if len(gate) == 10:
            asyncio.get_running_loop().call_later(0.15, lambda: [event.set() for event in gate])
        await gate[-1].wait()

    plan = LoadPlan(prompts=("a",), mode=Mode.CONSTANT, rate=100.0, requests=10, blocks=1, warmup_requests=0)
    record = run(plan, FakeWire(before=wait))["a"]
    assert [one.outcome for one in record.measured()] == [Outcome.OK] * 10
    assert all((one.end_ns or 0) > record.window_ns[1] for one in record.measured())


@pytest.mark.parametrize("plan", [OPEN, CLOSED], ids=["open", "closed"])
def test_a_person_who_stops_gets_what_was_measured_and_a_run_that_says_so(plan: LoadPlan):
    done: list[RequestRecord] = []

    async def stop_early() -> RunRecord:
        stop = asyncio.Event()

        def watch(record: RequestRecord) -> None:
            done.append(record)
            if sum(one.phase is Phase.MEASURED for one in done) == 4:
                stop.set()

        return (await measure([arm()], plan, wire=FakeWire(), on_event=watch, stop=stop))["a"]

    record = asyncio.run(stop_early())
    assert 4 <= len(record.measured()) < 20
    assert {one.outcome for one in record.measured()} == {Outcome.OK}
    assert record.notes[0].startswith("incomplete: stopped in block 1 of")


def test_a_person_who_stops_does_not_wait_for_a_server_that_hangs():
    async def stop_soon() -> RunRecord:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, stop.set)
        return (await measure([arm()], CLOSED, wire=FakeWire(before=never), stop=stop))["a"]

    assert asyncio.run(stop_soon()).measured() == ()


@pytest.mark.parametrize(
    ("mode", "rate"), [(Mode.CLOSED, None), (Mode.CONSTANT, 50.0)], ids=["closed", "open"]
)
def test_what_the_deadline_of_the_run_cut_off_is_not_held_against_the_server(mode: Mode, rate: float | None):
    plan = LoadPlan(prompts=("a",), requests=12, blocks=4, mode=mode, rate=rate, deadline_s=0.2)
    record = run(plan, FakeWire(before=never))["a"]
    assert len(record.measured()) == 12
    assert {one.outcome for one in record.measured()} == {Outcome.NOT_SENT}
    assert record.notes[0].startswith("incomplete")


def test_a_closed_loop_by_the_clock_ends_with_it():
    plan = LoadPlan(prompts=("a",), requests=None, duration_s=0.2, blocks=2, warmup_requests=1)
    record = run(plan, FakeWire())["a"]
    sent = [one.sent_ns or 0 for one in record.measured()]
    assert len(record.block_windows_ns) == 2
    assert len(sent) >= 2
    assert {one.outcome for one in record.measured()} == {Outcome.OK}


def test_a_measurement_that_is_cancelled_leaves_nothing_running():
    async def cancel() -> set[asyncio.Task[object]]:
        is_asked = asyncio.Event()

        async def hang(_: Asked) -> None:
            is_asked.set()
            await asyncio.Event().wait()

        work = asyncio.create_task(measure([arm()], OPEN, wire=FakeWire(before=hang)))
        await is_asked.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        return asyncio.all_tasks() - {asyncio.current_task()}  # pyright: ignore[reportReturnType]

    assert asyncio.run(cancel()) == set()


def test_progress_counts_to_what_was_planned():
    told: list[tuple[int, int]] = []
    asyncio.run(measure([arm()], CLOSED, lambda done, planned: told.append((done, planned)), FakeWire()))
    assert told == [(number, 20) for number in range(1, 21)]


def tokenizer(reply: bytes | None) -> Callable[[Asked], tuple[int, bytes]]:
    def answer(asked: Asked) -> tuple[int, bytes]:
        if asked.url.endswith("/tokenize"):
            assert asked.url == "http://host/a/tokenize"
            assert asked.body["content"] == "uno dos tres "
            return (404, b"") if reply is None else (200, reply)
        return stream("uno dos tres", tokens=None)

    return answer


@pytest.mark.parametrize(
    ("reply", "tokens", "source"),
    [
        (b'{"tokens": [1, 2, 3, 4, 5]}', 5, "tokenize"),
        (b'{"count": 6, "tokens": [1]}', 6, "tokenize"),
        (b"{}", 3, "chunks"),
        (None, 3, "chunks"),
    ],
    ids=["llama-server", "vLLM", "not understood", "not there"],
)
def test_tokens_that_nobody_counted_are_counted_by_the_server_or_flagged(
    reply: bytes | None, tokens: int, source: str
):
    record = run(CLOSED, FakeWire(tokenizer(reply)))["a"]
    assert {(one.tokens, one.token_source) for one in record.measured()} == {(tokens, source)}


def test_an_interrupt_ends_a_command_with_what_was_measured():
    interrupts = iter([signal.SIGINT])

    async def interrupt_then_hang(_: Asked) -> None:
        # Once: a second Ctrl-C ends the process, which here is that of all tests.
        for number in interrupts:
            signal.raise_signal(number)
        await asyncio.Event().wait()

    before = signal.getsignal(signal.SIGINT)
    found = measure_until_interrupted([arm()], OPEN, wire=FakeWire(before=interrupt_then_hang))
    assert found["a"].notes[0].startswith("incomplete: stopped")
    assert signal.getsignal(signal.SIGINT) is before


def test_an_address_that_cannot_be_asked_is_one_error_and_not_a_failure_of_every_request():
    def refuse(_: Asked) -> tuple[int, bytes]:
        raise InvalidInput("no URL", field="url")

    with pytest.raises(InvalidInput, match="no URL"):
        run(CLOSED, FakeWire(refuse))


def test_a_load_may_open_as_many_connections_as_it_is_allowed_requests():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        run(LoadPlan.from_dict(CLOSED.as_dict() | {"concurrency": 700}), FakeWire())
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (956, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
