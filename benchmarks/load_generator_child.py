"""One run of our load generator in a process of its own, as `tidegate bench` makes it. Prints one line of JSON."""

import asyncio
import json
import sys
import time
from pathlib import Path
from statistics import fmean
from typing import Any

from tidegate.benchmark.arrivals import Mode
from tidegate.benchmark.load import measure
from tidegate.benchmark.plan import Arm, LoadPlan
from tidegate.benchmark.record import RunRecord
from tidegate.benchmark.schedule import draw_schedule
from tidegate.domain import Secret


def main() -> None:
    url, rate, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    plan = LoadPlan(
        prompts=("hello there",),
        mode=Mode.CONSTANT,
        rate=rate,
        requests=max(20, int(rate * seconds)),
        max_tokens=64,
        blocks=1,
        warmup_requests=2,
        seed=1,
    )
    seeds = {request.index: request.seed for request in draw_schedule(plan).measured}
    cpu = time.process_time()
    run = asyncio.run(measure([Arm("truth", url, Secret(""))], plan))["truth"]
    # Before anything is computed from it: numbers about numbers are not what is measured here.
    cost = {"cpu_s": time.process_time() - cpu, "peak_rss_mb": _peak_rss_mb()}
    print(json.dumps(cost | _figures(run, seeds)))


def _figures(run: RunRecord, seeds: dict[int, int]) -> dict[str, Any]:
    measured = [one for one in run.measured() if one.is_ok and one.sent_ns is not None and one.chunk_ns]
    ttft = {one.index: (one.chunk_ns[0] - (one.sent_ns or 0)) / 1e6 for one in measured}
    itl = [
        (one.chunk_ns[-1] - one.chunk_ns[0]) / 1e6 / later
        for one in measured
        if (later := (one.tokens or 0) - round((one.tokens or 0) / len(one.chunk_ns))) > 0
    ]
    gaps = [
        (after - before) / 1e6
        for one in measured
        for before, after in zip(one.chunk_ns, one.chunk_ns[1:], strict=False)
    ]
    honesty = run.honesty
    return {
        "ttft_mean_ms": fmean(ttft.values()),
        "ttft_p95_ms": _at(list(ttft.values()), 0.95),
        "ttft_p99_ms": _at(list(ttft.values()), 0.99),
        "itl_mean_ms": fmean(itl) if itl else None,
        "late_p99_ms": honesty.late_send_p99_ms if honesty else None,
        "largest_gap_ms": max(gaps, default=None),
        "said": honesty.verdict if honesty else "",
        "ttft_by_seed": {str(seeds[index]): value for index, value in ttft.items()},
    }


def _at(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[round(share * (len(ordered) - 1))]


def _peak_rss_mb() -> float:
    """Peak of this process alone; what `getrusage` says begins with that of the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


if __name__ == "__main__":
    main()
