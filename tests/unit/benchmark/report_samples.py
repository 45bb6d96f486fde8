"""Benchmarks to report on: a run, two runs, a sweep and a search, all made up, with text of a hostile server."""

import random
from datetime import timedelta
from functools import cache

from tests.unit.benchmark.runs import MS, PLAN, TAKEN_AT, failed, not_sent, request, run
from tidegate.benchmark.compare import compare_runs
from tidegate.benchmark.goodput import Slo
from tidegate.benchmark.record import ClientHonesty, Phase, RunRecord
from tidegate.benchmark.report.document import BenchmarkReport, MeasuredRun, SearchLevel, SearchResult
from tidegate.benchmark.summary import summarise

HOSTILE = "HTTP 503 </script><script>alert(1)</script> \x1b[31m\u202e| *bold* [a](javascript:b) =1+1"
SLO = Slo(ttft_ms=80.0, itl_ms=20.0)
HONEST = ClientHonesty(
    loop_lag_p99_ms=0.4, read_lag_p99_ms=0.1, late_send_p99_ms=0.6, late_send_max_ms=1.2, planned_rate=50.0,
    achieved_rate=49.9, cpu_share=0.31,
)  # fmt: skip
BOUND = HONEST.model_copy(
    update={"verdict": "client-bound", "reasons": ("the client woke late: p99 9.0 ms",)}
)


def sample_run(
    count: int = 240,
    seed: int = 1,
    slower: float = 1.0,
    blocks: int = 6,
    id_: str = "load-sample1",
    **changes,
) -> RunRecord:
    """An open loop of 50 requests a second with a few failures and one stall."""
    draw = random.Random(seed)
    rows = [
        request(index=number, at_ms=number * 20, phase=Phase.WARMUP, planned_ns=number * 20 * MS)
        for number in range(5)
    ]
    for index in range(count):
        at_ms = 200 + 20 * index
        fields = {"index": index, "block": index * blocks // count, "planned_ns": at_ms * MS}
        if index % 60 == 59:
            rows.append(failed(at_ms=at_ms + 1, error=HOSTILE, **fields))
        elif index % 97 == 96:
            rows.append(not_sent(**fields))
        else:
            ttft = slower * draw.lognormvariate(3.9, 0.2)
            rows.append(request(at_ms=at_ms + 1, ttft_ms=ttft, gap_ms=slower * draw.uniform(9, 11), **fields))
    values = {
        "id": id_, "label": "pipit v2", "target": "http://user:secret@127.0.0.1:8080/v1?key=secret", "model": "pipit",
        "mode": "constant", "plan": {**PLAN, "rate": 50.0}, "window_ns": (200 * MS, (200 + 20 * count) * MS),
        "honesty": HONEST, "cache_prompt": False,
    }  # fmt: skip
    return run(rows, **(values | changes))


@cache
def run_report(**changes) -> BenchmarkReport:
    return BenchmarkReport.of_run(sample_run(**changes), SLO)


@cache
def pair_report(slower: float = 1.02) -> BenchmarkReport:
    base = sample_run(seed=1, id_="load-base", label="v1")
    candidate = sample_run(seed=2, id_="load-cand", label="v2", slower=slower)
    return BenchmarkReport(
        id="pair-sample1",
        what="pair",
        label="v2 against v1",
        created_at=TAKEN_AT,
        runs=tuple(MeasuredRun(run=one, summary=summarise(one)) for one in (base, candidate)),
        comparison=compare_runs(base, candidate),
    )


@cache
def _levels() -> tuple[MeasuredRun, ...]:
    found = []
    for number, load in enumerate((5.0, 10.0, 20.0)):
        one = sample_run(
            seed=number, slower=1 + number, blocks=1, id_=f"load-at{load:g}", label="v2", plan={**PLAN, "rate": load},
            created_at=TAKEN_AT + timedelta(minutes=number),
        )  # fmt: skip
        overload = "9 answers/s of 20 requests/s: the queue grows" if load == 20 else ""
        found.append(MeasuredRun(load=load, overload=overload, run=one, summary=summarise(one, SLO)))
    return tuple(found)


@cache
def sweep_report() -> BenchmarkReport:
    return BenchmarkReport(
        id="sweep-sample1", what="sweep", label="v2", created_at=TAKEN_AT, slo=SLO, load_unit="requests/s", runs=_levels()
    )  # fmt: skip


@cache
def search_report(answer: str = "between") -> BenchmarkReport:
    levels = (SearchLevel(load=5, good=230, planned=240, low=0.92, high=0.98, verdict="holds"),)
    result = SearchResult(
        answer=answer, holds=5.0, misses=10.0, sentence="between 5 and 10 requests/s (done)", levels=levels
    )
    return BenchmarkReport(
        id="search-sample1", what="search", label="v2", created_at=TAKEN_AT, slo=SLO, load_unit="requests/s",
        runs=_levels()[:2], search=result,
    )  # fmt: skip


REPORTS = {"run": run_report, "pair": pair_report, "sweep": sweep_report, "search": search_report}
