"""How often a comparison of two runs errs: two servers of four slots, the same schedule, known truth.

    python -m benchmarks.evidence_simulation [--rounds 400] [--pairs 10] [--requests 60]

Nothing is sent: the waiting is computed, and whole run records go through `compare_runs` as measured ones do.
Three questions at each utilisation. Equal servers, nothing slower allowed: every fail is a false alarm, 5 % are
promised for all metrics together. A candidate exactly at its margin: every pass is an error, 5 % are promised.
Usual margins: how often an equal candidate passes and one that is 1.4 times slower fails. Requests are shuffled
and stored in parts before half of the comparisons: not one verdict may change.
"""

import argparse
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.unit.benchmark.queue_server import two_arms
from tidegate.benchmark import CompareLimits, Limit, RunRecord, compare_runs
from tidegate.domain import Verdict

UTILISATIONS = (0.05, 0.3, 0.6, 0.8, 0.9)
NOTHING_SLOWER = CompareLimits({"ttft_p50": Limit(1.0), "ttft_p95": Limit(1.0)})
USUAL = CompareLimits({"ttft_p50": Limit(1.15), "ttft_p95": Limit(1.25)})
AT_MARGIN = 1.15
"""Both arms wait for nothing at a utilisation of next to nothing: then the slowdown of the work is that of TTFT."""
SLOWER = 1.4


@dataclass
class Rates:
    """Shares of the rounds at one setting."""

    rounds: int
    alarms: Counter[str]
    verdicts: Counter[tuple[str, str, Verdict]]

    def share(self, case: str, metric: str, verdict: Verdict) -> str:
        return f"{self.verdicts[case, metric, verdict] / self.rounds:.3f}"

    def alarm(self, name: str) -> str:
        return f"{self.alarms[name] / self.rounds:.3f}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=400, help="comparisons of each kind (default 400)")
    parser.add_argument("--pairs", type=int, default=10, help="block pairs (default 10)")
    parser.add_argument("--requests", type=int, default=60, help="requests of a block (default 60)")
    arguments = parser.parse_args()
    started = time.process_time()
    error = 3 * math.sqrt(0.05 * 0.95 / arguments.rounds)
    print(
        f"{arguments.rounds} comparisons of {arguments.pairs} pairs of {arguments.requests} requests each; "
        f"three standard errors of a rate of 0.05 are {error:.3f}\n"
    )
    print(
        "| utilisation | false alarms p50 / p95 / any | equal passes p50 / p95 | 1.4 x slower fails p50 / p95 |"
    )
    print("|---|---|---|---|")
    changed = 0
    for utilisation in UTILISATIONS:
        rates, moved = _rates(utilisation, arguments.rounds, arguments.pairs, arguments.requests)
        changed += moved
        cells = (
            f"{utilisation}",
            " / ".join(rates.alarm(name) for name in ("ttft_p50", "ttft_p95", "any")),
            " / ".join(rates.share("equal", metric, Verdict.PASS) for metric in USUAL.metrics),
            " / ".join(rates.share("slower", metric, Verdict.FAIL) for metric in USUAL.metrics),
        )
        print(f"| {' | '.join(cells)} |", flush=True)
    passed, failed = _at_margin(arguments.rounds, arguments.pairs, arguments.requests)
    print(f"\nexactly at the margin of 15 % (p50, no queue): passes {passed:.3f}, fails {failed:.3f}")
    print(f"verdicts changed by shuffling and storing in parts: {changed}")
    print(f"{time.process_time() - started:.0f} s of processor time")
    return 1 if changed else 0


def _rates(utilisation: float, rounds: int, pairs: int, requests: int) -> tuple[Rates, int]:
    rates, moved = Rates(rounds, Counter(), Counter()), 0
    for seed in range(rounds):
        base, equal = two_arms(utilisation, seed, pairs=pairs, requests=requests)
        strict = compare_runs(base, equal, NOTHING_SLOWER)
        alone = {row.metric: row.low is not None and row.low > 1 for row in strict.metrics}
        rates.alarms.update(metric for metric, is_beyond in alone.items() if is_beyond)
        rates.alarms["any"] += strict.verdict is Verdict.FAIL
        again = compare_runs(base, _in_parts(equal, seed), NOTHING_SLOWER) if seed % 2 else strict
        moved += again != strict
        _count(rates, "equal", base, equal)
        _, slower = two_arms(utilisation, seed, pairs=pairs, requests=requests, slower=SLOWER)
        _count(rates, "slower", base, slower)
    return rates, moved


def _count(rates: Rates, case: str, base: RunRecord, candidate: RunRecord) -> None:
    for row in compare_runs(base, candidate, USUAL).metrics:
        rates.verdicts[case, row.metric, row.verdict] += 1


def _at_margin(rounds: int, pairs: int, requests: int) -> tuple[float, float]:
    limits = CompareLimits({"ttft_p50": Limit(AT_MARGIN)})
    verdicts = Counter(
        compare_runs(*two_arms(0.001, seed, pairs=pairs, requests=requests, slower=AT_MARGIN), limits).verdict
        for seed in range(rounds)
    )
    return verdicts[Verdict.PASS] / rounds, verdicts[Verdict.FAIL] / rounds


def _in_parts(run: RunRecord, seed: int) -> RunRecord:
    """The same requests, shuffled, and through the stored form in parts that end anywhere."""
    draw = random.Random(seed)
    requests = list(run.requests)
    draw.shuffle(requests)
    edges = sorted(draw.sample(range(1, len(requests)), 3))
    parts: Sequence[tuple[int, int]] = list(zip([0, *edges], [*edges, len(requests)], strict=True))
    stored = [run.model_copy(update={"requests": tuple(requests[a:b])}).to_bytes() for a, b in parts]
    joined = [request for data in stored for request in RunRecord.from_bytes(data).requests]
    return run.model_copy(update={"requests": tuple(joined)})


if __name__ == "__main__":
    sys.exit(main())
