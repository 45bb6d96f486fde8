"""Runs what `tidegate bench` was asked for, with a screen beside it, and makes one document of it."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tidegate.cli.bench_live import Gathered, Screen, watched
from tidegate.cli.bench_options import Load
from tidegate.cli.bench_target import Target

if TYPE_CHECKING:
    from tidegate.benchmark import LoadPlan
    from tidegate.benchmark.goodput import Slo
    from tidegate.benchmark.metrics import CompareLimits
    from tidegate.benchmark.record import RunRecord
    from tidegate.benchmark.report.document import BenchmarkReport, MeasuredRun

FIRST_RATE, FIRST_CONCURRENCY = 1.0, 1.0
MOST_RATE, MOST_CONCURRENCY = 1024.0, 512.0


@dataclass(frozen=True)
class Job:
    """One benchmark as it was asked for."""

    target: Target
    plan: "LoadPlan"
    load: Load
    label: str
    against: Target | None = None
    slo: "Slo | None" = None
    wanted_share: float = 0.95
    limits: "CompareLimits | None" = None
    notes: tuple[str, ...] = ()
    """What was found out before the run and belongs into its record."""

    @property
    def unit(self) -> str:
        return "requests/s" if self.plan.mode.is_open else "requests at once"


def measure_job(job: Job, screen: Screen) -> "BenchmarkReport":
    """Until it is done, or until Ctrl-C: then with what was measured so far."""
    try:
        return asyncio.run(_measured(job, screen))
    finally:
        screen.close()


async def _measured(job: Job, screen: Screen) -> "BenchmarkReport":
    gathered = Gathered(title=job.label or job.target.base_url)
    async with _stopping() as stop, watched(gathered, screen):
        if job.against is not None:
            return await _pair(job, gathered, stop)
        if job.load.is_search:
            return await _search(job, gathered, stop)
        if job.load.levels:
            return await _sweep(job, gathered, stop)
        return await _single(job, gathered, stop)


async def _single(job: Job, gathered: Gathered, stop: asyncio.Event) -> "BenchmarkReport":
    from tidegate.benchmark import measure

    _expect(gathered, job.plan, 1)
    arm = job.target.arm(job.label or "run")
    runs = await measure(
        [arm], job.plan, gathered.progress, on_event=gathered.take, stop=stop, wrap=gathered.counting
    )
    # Not earlier: what reports need is not to take the load's memory, or its time.
    from tidegate.benchmark.report.document import BenchmarkReport

    run = _named(runs[arm.name], job)
    return BenchmarkReport.of_run(run, job.slo, job.wanted_share)


async def _pair(job: Job, gathered: Gathered, stop: asyncio.Event) -> "BenchmarkReport":
    from tidegate.benchmark import measure

    assert job.against is not None, "asked for by the caller"
    names = ("base", job.label if job.label and job.label != "base" else "candidate")
    arms = [job.against.arm(names[0]), job.target.arm(names[1])]
    _expect(gathered, job.plan, 2)
    runs = await measure(
        arms, job.plan, gathered.progress, on_event=gathered.take, stop=stop, wrap=gathered.counting
    )
    from tidegate.benchmark.compare import compare_runs

    base, candidate = (runs[name] for name in names)
    comparison = compare_runs(base, candidate, job.limits)
    return _document(job, "pair", [_told(base, job), _told(candidate, job)], comparison=comparison)


async def _sweep(job: Job, gathered: Gathered, stop: asyncio.Event) -> "BenchmarkReport":
    from tidegate.benchmark.levels import sweep

    arm = job.target.arm(job.label or "run")
    found: list[MeasuredRun] = []
    gathered.stage = f"{job.load.levels[0]:g} {job.unit}"
    async for level in sweep(
        arm, job.plan, job.load.levels, on_event=gathered.take, stop=stop, wrap=gathered.counting
    ):
        found.append(_told(level.run, job, load=level.level, overload=level.overload))
        after = [one for one in job.load.levels if one > level.level]
        gathered.begin_again(f"{after[0]:g} {job.unit}" if after else "done")
    return _document(job, "sweep", found, load_unit=job.unit)


async def _search(job: Job, gathered: Gathered, stop: asyncio.Event) -> "BenchmarkReport":
    from tidegate.benchmark.goodput import attainment
    from tidegate.benchmark.levels import find_highest
    from tidegate.benchmark.report.document import SearchLevel, SearchResult
    from tidegate.benchmark.search import Probe, SearchPlan
    from tidegate.domain import Transient

    slo = job.slo
    assert slo is not None, "checked with the options"
    is_open = job.plan.mode.is_open
    search_plan = SearchPlan(
        start=(job.load.rate or FIRST_RATE) if is_open else FIRST_CONCURRENCY,
        most=MOST_RATE if is_open else MOST_CONCURRENCY,
        wanted=job.wanted_share,
        is_whole=not is_open,
    )
    arm = job.target.arm(job.label or "run")
    runs: list[MeasuredRun] = []

    def count_good(run: "RunRecord") -> tuple[int, int]:
        found = attainment(run, slo)
        return found.good, found.planned

    def on_probe(probe: Probe, run: "RunRecord") -> None:
        runs.append(
            _told(run, job, load=probe.level, overload="" if probe.verdict == "holds" else probe.verdict)
        )
        gathered.begin_again(f"searching; {probe.level:g} {job.unit} {probe.verdict}")

    def on_unjudged(level: float, run: "RunRecord") -> None:
        runs.append(_told(run, job, load=level, overload="client-bound"))

    gathered.stage = "searching"
    found = await find_highest(
        arm,
        job.plan,
        search_plan,
        count_good,
        on_event=gathered.take,
        on_probe=on_probe,
        on_unjudged=on_unjudged,
        stop=stop,
        wrap=gathered.counting,
    )
    if not runs:
        raise Transient(
            f"The search ended before a load was judged: {found.why}.",
            remedy="Let it run for longer.",
        )
    levels = tuple(
        SearchLevel(
            load=one.level,
            good=one.good,
            planned=one.planned,
            low=one.low,
            high=one.high,
            verdict=one.verdict,
        )
        for one in found.probes
    )
    result = SearchResult(
        answer=found.answer,
        holds=found.holds,
        misses=found.misses,
        sentence=found.describe(job.unit),
        levels=levels,
    )
    return _document(job, "search", runs, load_unit=job.unit, search=result)


def _expect(gathered: Gathered, plan: "LoadPlan", arms: int) -> None:
    if plan.duration_s is not None:
        gathered.length_s = plan.duration_s * arms


def _told(run: "RunRecord", job: Job, *, load: float | None = None, overload: str = "") -> "MeasuredRun":
    from tidegate.benchmark.report.document import MeasuredRun
    from tidegate.benchmark.summary import summarise

    named = _named(run, job)
    return MeasuredRun(load=load, overload=overload, run=named, summary=summarise(named, job.slo))


def _named(run: "RunRecord", job: Job) -> "RunRecord":
    """Two arms keep their names."""
    label = run.label if job.against is not None else job.label
    return run.model_copy(update={"label": label, "notes": (*job.notes, *run.notes)})


def _document(job: Job, what: str, runs: "list[MeasuredRun]", **more: Any) -> "BenchmarkReport":
    from tidegate.benchmark.report.document import BenchmarkReport
    from tidegate.domain import Transient

    if not runs:
        raise Transient("It was stopped before anything was measured.", remedy="Let it run.")
    return BenchmarkReport.model_validate(
        {
            "id": f"{what}-{uuid4().hex[:12]}",
            "what": what,
            "label": job.label,
            "created_at": datetime.now(UTC),
            "slo": job.slo,
            "wanted_share": job.wanted_share,
            "runs": tuple(runs),
            **more,
        }
    )


@contextlib.asynccontextmanager
async def _stopping() -> AsyncGenerator[asyncio.Event]:
    """Ctrl-C and SIGTERM end it with what was measured; a second one ends it at once."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def end() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)
        stop.set()

    with contextlib.suppress(RuntimeError, ValueError):
        # Only the main thread may say so; elsewhere nobody presses Ctrl-C.
        for number in numbers:
            loop.add_signal_handler(number, end)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
