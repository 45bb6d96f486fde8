"""What is seen while a benchmark runs: counts and newest percentiles, in a picture, in lines, or not at all."""

import asyncio
import io
import json
from typing import Any

from rich.console import Console

from tests.unit.benchmark.fake_wire import FakeWire
from tests.unit.benchmark.runs import MS, failed, request
from tidegate.benchmark import Arm, LoadPlan, measure
from tidegate.benchmark.exchange import Exchange
from tidegate.benchmark.record import Phase
from tidegate.cli.bench_live import CountingWire, Gathered, Lines, Nothing, line_of, watched
from tidegate.cli.bench_picture import picture
from tidegate.domain import Secret


def gathered(count: int = 40) -> Gathered:
    found = Gathered("pipit [v2]", planned=100)
    found.take(request(phase=Phase.WARMUP))
    for number in range(count):
        found.take(request(index=number, at_ms=number * 10 + 1, planned_ns=number * 10 * MS))
    found.take(failed(index=count))
    return found


def drawn(look: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    console.print(picture(look))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_counts_and_percentiles_are_those_of_measured_answers():
    look = gathered().look()
    assert (look["answered"], look["failed"], look["warm"], look["planned"]) == (40, 1, 1, 100)
    assert look["first_ms"] == [51.0, 51.0]
    assert look["token_ms"] == [10.0, 10.0]
    assert look["stage"] == "measuring"
    assert look["tokens_per_s"] > 0


def test_before_the_first_measured_answer_it_warms_up():
    found = Gathered("x", length_s=30)
    assert found.look()["stage"] == "warming up"
    assert found.look()["left_s"] == 30
    assert found.look()["first_ms"] == [None, None]


def test_a_client_that_sends_late_is_told_at_once():
    found = Gathered("x")
    for number in range(50):
        found.take(request(index=number, at_ms=number * 10 + 20, planned_ns=number * 10 * MS))
    look = found.look()
    assert look["late_ms"] == 20
    assert not look["is_honest"]
    assert "this client is 20 ms late" in line_of(look)
    assert "does not keep up" in drawn(look)


def test_the_picture_shows_everything_and_no_markup_of_a_title():
    text = drawn(gathered().look() | {"in_flight": 7, "sent": 50})
    for words in (
        "pipit [v2]",
        "measuring",
        "planned 100",
        "sent 50",
        "answered 40",
        "failed 1",
        "in flight 7",
        "keeps up",
    ):
        assert words in text


def test_a_line_for_logs_says_the_same_in_words():
    text = line_of(gathered().look())
    assert "41 of 100 done, 1 failed" in text
    assert "first token p50 51.0 p95 51.0 ms" in text
    assert "tokens/s" in text


def test_another_load_of_a_sweep_begins_with_fresh_times_and_goes_on_counting():
    found = gathered()
    found.begin_again("8 requests at once")
    look = found.look()
    assert look["stage"] == "8 requests at once"
    assert look["answered"] == 40
    assert look["first_ms"] == [None, None]


def test_requests_in_flight_are_counted_also_when_one_is_cancelled():
    class Hanging:
        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            return None

        async def post(self, *_: Any) -> Exchange:
            await asyncio.Event().wait()
            raise AssertionError

        async def get(self, *_: Any) -> Exchange:
            return Exchange()

    async def cancelled() -> tuple[int, int]:
        counts = Gathered("x")
        async with CountingWire(Hanging(), counts) as wire:
            task = asyncio.create_task(wire.post("http://x", {}, b"", 1.0))
            await asyncio.sleep(0)
            during = counts.in_flight
            task.cancel()
            await asyncio.wait({task})
            return during, counts.in_flight

    assert asyncio.run(cancelled()) == (1, 0)


def test_a_measurement_counts_what_it_sends_through_the_wire_that_it_was_given():
    counts = Gathered("x")
    plan = LoadPlan(prompts=("a",), requests=6, blocks=2, warmup_requests=1)
    arm = Arm("x", "http://127.0.0.1:9/v1", Secret(""))
    wire = FakeWire()
    asyncio.run(measure([arm], plan, wire=wire, on_event=counts.take, wrap=counts.counting))
    assert (counts.sent, counts.in_flight) == (len(wire.asked), 0)
    assert (counts.answered, counts.warm) == (6, 2)


def test_a_key_that_a_server_repeats_is_in_no_record():
    key = "sk-canary-0123456789abcdef"
    plan = LoadPlan(prompts=("a",), requests=1, blocks=1, warmup_requests=0)
    said = json.dumps({"error": {"message": f"Incorrect API key provided: {key}."}}).encode()
    wire = FakeWire(reply=lambda _: (401, said))
    runs = asyncio.run(measure([Arm("x", "http://127.0.0.1:9/v1", Secret(key))], plan, wire=wire))
    assert key not in runs["x"].model_dump_json()
    assert "***" in runs["x"].requests[0].error or "HTTP 401" in runs["x"].requests[0].error


def test_looks_are_shown_while_the_body_runs_and_end_with_it():
    shown: list[str] = []

    async def watch() -> None:
        was_shown = asyncio.Event()
        screen = Lines(lambda line: (shown.append(line), was_shown.set()))
        async with watched(gathered(), screen), asyncio.timeout(60):
            await was_shown.wait()

    asyncio.run(watch())
    assert all(line.endswith("\n") for line in shown)


def test_programs_are_shown_nothing():
    Nothing().show({})
    Nothing().close()
