"""Several levels of load: a sweep that ends in overload, and a search with real runs behind its probes."""

import asyncio
from datetime import UTC, datetime

from tests.unit.benchmark.fake_wire import Asked, FakeWire, Reply, stream
from tidegate.benchmark.goodput import Slo
from tidegate.benchmark.levels import Level, find_highest, good_under, judged_level, sweep
from tidegate.benchmark.plan import Arm, LoadPlan
from tidegate.benchmark.record import Outcome, Phase, RequestRecord, RunRecord
from tidegate.benchmark.search import Answer, HighestLoad, SearchPlan
from tidegate.domain import Secret

TARGET = Arm("a", "http://host/v1", Secret("k"))
CLOSED = LoadPlan(prompts=("a",), requests=30, blocks=1, warmup_requests=1)
SECOND = 10**9


def run(
    mode: str, ttft_s: float, *, each_s: float, count: int = 100, planned_every_s: float = 0.01
) -> RunRecord:
    """A window of one second in which an answer ends every `each_s`."""
    requests = tuple(
        RequestRecord(
            index=index,
            planned_ns=None if mode == "closed" else (at := round(index * planned_every_s * SECOND)),
            sent_ns=(at := round(index * planned_every_s * SECOND)),
            chunk_ns=(at + round(ttft_s * SECOND),),
            end_ns=max(at + round(ttft_s * SECOND), round((index + 1) * each_s * SECOND)),
            outcome=Outcome.OK,
        )
        for index in range(count)
    )
    return RunRecord(
        id="r", created_at=datetime.now(UTC), mode=mode, window_ns=(0, SECOND), requests=requests
    )


def judged(mode: str, ttft_s: float, each_s: float, before: list[Level] | None = None) -> Level:
    return judged_level(1.0, run(mode, ttft_s, each_s=each_s), before or [])


def test_a_server_that_keeps_up_is_not_overloaded():
    level = judged("poisson", 0.004, 0.01)
    assert (level.overload, level.completed_rate, level.ttft_ms) == ("", 99, 4.0)


def test_a_queue_that_grows_is_overload():
    assert "the queue grows" in judged("poisson", 0.004, 0.02).overload


def test_a_wait_many_times_that_of_the_lowest_level_is_overload():
    first = judged("poisson", 0.004, 0.01)
    assert "11 times that of the lowest level" in judged("poisson", 0.044, 0.01, [first]).overload
    assert judged("poisson", 0.036, 0.01, [first]).overload == ""


def test_more_requests_at_once_that_bring_no_more_are_overload_in_a_closed_loop():
    levels = [judged("closed", 0.004, each_s) for each_s in (0.04, 0.02)]
    assert judged("closed", 0.1, 0.02, levels).overload == ""
    levels.append(judged("closed", 0.1, 0.02, levels))
    assert "no more" in judged("closed", 0.2, 0.02, levels).overload


def test_a_sweep_measures_every_level_by_itself_and_ends_behind_the_first_overload():
    def reply(asked: Asked) -> Reply:
        prompts.add(asked.body["seed"])
        return stream() if len(prompts) <= 62 else (503, b"")

    async def levels() -> list[Level]:
        return [level async for level in sweep(TARGET, CLOSED, [4, 1, 2, 8], wire=FakeWire(reply))]

    prompts: set[int] = set()
    found = asyncio.run(levels())
    assert [(level.level, level.overload) for level in found] == [
        (1, ""), (2, ""), (4, "no request succeeded"),
    ]  # fmt: skip
    assert [level.run.plan["concurrency"] for level in found] == [1, 2, 4]
    assert len({level.run.plan_digest for level in found}) == 3
    assert all(any(one.phase is Phase.WARMUP for one in level.run.requests) for level in found)


def highest(limit_s: float = 60.0, *, stop: bool = False) -> HighestLoad:
    def count_good(record: RunRecord) -> tuple[int, int]:
        planned = len(record.measured())
        return (planned if record.plan["concurrency"] <= 5 else 0), planned

    async def search() -> HighestLoad:
        event = asyncio.Event()
        if stop:
            event.set()
        plan = SearchPlan(start=1, most=64, is_whole=True, wanted=0.8)
        return await find_highest(
            TARGET,
            CLOSED,
            plan,
            count_good,
            wire=FakeWire(),
            limit_s=limit_s,
            stop=event,
            trusts_client=True,
        )

    return asyncio.run(search())


def test_a_search_finds_between_which_levels_the_service_level_breaks():
    found = highest()
    assert (found.answer, found.holds, found.misses) == (Answer.BETWEEN, 5, 6)


def test_what_is_good_is_said_by_the_service_level():
    assert good_under(Slo(ttft_ms=5.0))(run("poisson", 0.004, each_s=0.01)) == (100, 100)
    assert good_under(Slo(ttft_ms=3.0))(run("poisson", 0.004, each_s=0.01)) == (0, 100)


def test_a_search_without_time_begins_no_probe_and_one_that_is_stopped_ends():
    assert (highest(0.0).answer, highest(0.0).probes) == (Answer.UNDECIDED, ())
    assert highest(stop=True).why == "it was stopped"
