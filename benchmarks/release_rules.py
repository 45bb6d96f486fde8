"""Who notices a bad release, how soon, and how often a good one is stopped: our rule, Flagger's and Argo's, same traces.

    python -m benchmarks.release_rules [--rounds 100] [--out release-rules.json]

A trace is an hour of requests: when each came, and what each set would have answered it. Every rule drives its own
ladder through the same trace and sees only what it routed. Flagger: a check every 60 s of "99 % succeed" and "p99 below
500 ms", steps of 10 % to 50 %, then promotion; failed checks add up and never reset; one ends it (its default) or ten
(its documentation's example). Argo Rollouts: steps of 20 %, five minutes each, with the background analysis of its
documentation: every five minutes "95 % succeed", given up on the fourth failure (`failureLimit: 3`), or on the first (the
default, 0); p95 below 500 ms beside it. Neither compares with the old set nor reads the answers. Ours: `live:` with its
defaults on the ladder 10, 50, 100 and a bake; not decided within half an hour is a hold, which is no promotion.
"""

import argparse
import json
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.release_rules_trace import HORIZON_S, Part, Scenario, Trace, draw
from tidegate.domain.policy import LivePolicy
from tidegate.release.live.metrics import rates, sizes
from tidegate.release.live.strength import CLIENTS_SHARE
from tidegate.statistics import wilson_interval
from tidegate.statistics.block_signs import MEMORY_BLOCKS, sign_path
from tidegate.statistics.concurrent import Paths, RateBlock, limit_paths, rate_paths

POLICY = LivePolicy()
LADDER = (10, 50, 100)
SHORTEST_LOOK_S = 30
LONGEST_LOOK_S = 1800
SIZE_BLOCK_S, VALUES = 1, 3


@dataclass(frozen=True)
class Outcome:
    """What a rule did with one trace."""

    ending: str
    """`stopped`, `promoted` or `held`."""
    seconds: float
    on_new: int
    """Requests on the new set until then."""
    hurt: int
    """Requests that the regression spoiled: until it was stopped, or in the whole hour."""


def flagger(trace: Trace, threshold: int) -> Outcome:
    failed, weight, parts = 0, 10, list[Part]()
    for start in range(0, HORIZON_S, 60):
        part = trace.route(start, start + 60, weight)
        parts.append(part)
        failed += not _meets(part, 0.99, 99)
        if failed >= threshold:
            return _outcome(trace, "stopped", parts)
        if _meets(part, 0.99, 99):
            if weight >= 50:
                return _outcome(trace, "promoted", parts)
            weight += 10
    return _outcome(trace, "held", parts)


def argo(trace: Trace, limit: int) -> Outcome:
    failed, parts = 0, list[Part]()
    for number, weight in enumerate((20, 40, 60, 80)):
        part = trace.route(300 * number, 300 * (number + 1), weight)
        parts.append(part)
        failed += not _meets(part, 0.95, 95)
        if failed > limit:
            return _outcome(trace, "stopped", parts)
    return _outcome(trace, "promoted", parts)


def _meets(part: Part, success: float, percentile: float) -> bool:
    """No request on the new set is no value, which both count as a failed check or leave for an error."""
    if not len(part.new_ms):
        return False
    return bool(
        1 - part.new_failed.mean() >= success and np.percentile(part.new_ms, percentile, method="lower") < 500
    )


def tidegate(trace: Trace) -> Outcome:
    tests = sum(len(_parts(metric)) for metric in (*rates(POLICY), *sizes(POLICY)) if metric.margin)
    needed = -np.log(POLICY.alpha / (len(LADDER) + 1) / tests * CLIENTS_SHARE)
    start, parts = 0, list[Part]()
    for weight in (*LADDER, 100):
        end = min(start + LONGEST_LOOK_S, HORIZON_S)
        part = trace.route(start, end, weight)
        usual = trace.route(max(0, start - 900), start, parts[-1].weight) if parts else part
        harm, good = _first(part, usual, needed)
        at = min(harm, max(good, start + SHORTEST_LOOK_S))
        parts.append(trace.route(start, int(min(at, end)), weight))
        if at == harm < end:
            return _outcome(trace, "stopped", parts)
        if at >= end:
            return _outcome(trace, "held", parts)
        start = int(at)
    return _outcome(trace, "promoted", parts)


def _parts(metric: object) -> tuple[int, ...]:
    return (0, 1) if getattr(metric, "field", "") == "tokens" else (0,)


def _first(part: Part, usual: Part, needed: float) -> tuple[float, float]:
    """Seconds of the first crossing to harm by any metric, and to "inside the margin" by all of them."""
    harm, good = float("inf"), 0.0
    inside = -np.log(POLICY.alpha)
    for ends, paths in (
        _rate(part, usual, part.new_failed, part.old_failed, POLICY.metrics.errors or 1),
        _rate(part, usual, part.new_empty, part.old_empty, POLICY.metrics.empty or 1),
        _latency(part, usual, POLICY.metrics.ttft_p50 or 1),
    ):
        harm = min(harm, _crossing(ends, paths.beyond, needed))
        good = max(good, _crossing(ends, paths.within, inside))
    return harm, good


def _crossing(ends: Sequence[int], path: Sequence[float], needed: float) -> float:
    return next((end for end, value in zip(ends, path, strict=True) if value >= needed), float("inf"))


def _rate(
    part: Part, usual: Part, new: "np.ndarray", old: "np.ndarray", margin: float
) -> tuple[list[int], Paths]:
    width = part.end - part.start
    counts = [
        np.bincount(seconds - part.start, weights=events, minlength=width).astype(int)
        for seconds, events in (
            (part.old_s, old), (part.old_s, np.ones(len(old))),
            (part.new_s, new), (part.new_s, np.ones(len(new))),
        )
    ]  # fmt: skip
    is_alone = part.weight == 100
    blocks, ends, begun = list[RateBlock](), list[int](), 0
    for second in range(width):
        if second + 1 - begun < 0.02 * begun:
            continue
        block = RateBlock(*(float(one[begun : second + 1].sum()) for one in counts))
        if block.new and (block.old or is_alone):
            blocks.append(block)
            ends.append(part.start + second + 1)
            begun = second + 1
    if not is_alone:
        return ends, rate_paths(blocks, margin)
    past = usual.old_failed if old is part.old_failed else usual.old_empty
    limit = wilson_interval(int(past.sum()), len(past)).high + margin if len(past) >= 30 else 0.05
    return ends, limit_paths([(block.new_events, block.new, True) for block in blocks], limit)


def _latency(part: Part, usual: Part, margin: float) -> tuple[list[int], Paths]:
    is_alone = part.weight == 100
    if is_alone and len(usual.old_ms) < 30:
        return [part.start], Paths((0.0,), (99.0,))
    known = float(np.median(usual.old_ms)) if is_alone else 0.0
    signs, ends, new_at, old_at, begun = list[bool](), list[int](), 0, 0, part.start
    for end in range(part.start + SIZE_BLOCK_S, part.end + 1):
        new_to, old_to = np.searchsorted(part.new_s, end), np.searchsorted(part.old_s, end)
        is_full = new_to - new_at >= VALUES and (is_alone or old_to - old_at >= VALUES)
        if is_full and end - begun >= max(SIZE_BLOCK_S, 0.02 * (begun - part.start)):
            old = known if is_alone else float(np.median(part.old_ms[old_at:old_to]))
            new = float(np.median(part.new_ms[new_at:new_to]))
            signs.append(new > old * (1 + margin) and new - old > POLICY.ttft_floor_ms)
            ends.append(end)
            new_at, old_at, begun = int(new_to), int(old_to), end
    return ends, Paths(sign_path(signs, MEMORY_BLOCKS), sign_path(not sign for sign in signs))


def _outcome(trace: Trace, ending: str, parts: Sequence[Part]) -> Outcome:
    """After a promotion the rest of the hour is served by the new set; a hold keeps its share."""
    end = parts[-1].end
    on_new = sum(len(part.new_s) for part in parts)
    hurt = sum(part.hurt for part in parts)
    if ending != "stopped" and end < HORIZON_S:
        hurt += trace.route(end, HORIZON_S, 100 if ending == "promoted" else parts[-1].weight).hurt
    return Outcome(ending, float(end), on_new, hurt)


RULES: dict[str, Callable[[Trace], Outcome]] = {
    "tidegate": tidegate,
    "flagger, threshold 1": lambda trace: flagger(trace, 1),
    "flagger, threshold 10": lambda trace: flagger(trace, 10),
    "argo, failureLimit 0": lambda trace: argo(trace, 0),
    "argo, failureLimit 3": lambda trace: argo(trace, 3),
}
SCENARIOS = (
    Scenario("healthy, 0.5 % errors"),
    Scenario("healthy, 1.5 % errors", base_errors=0.015),
    Scenario("errors 0.5 -> 1.5 %, inside the margin", errors=0.015),
    Scenario("errors 0.5 -> 5 %", errors=0.05),
    Scenario("errors 0.5 -> 10 %", errors=0.10),
    Scenario("errors 0.5 -> 30 %", errors=0.30),
    Scenario("all fail", errors=1.0),
    Scenario("10 % slower, inside the margin", slower=1.1),
    Scenario("1.5 x slower", slower=1.5),
    Scenario("2 x slower", slower=2.0),
    Scenario("5 x slower", slower=5.0),
    Scenario("empty answers 0 -> 5 %", empty=0.05),
    Scenario("empty answers 0 -> 20 %", empty=0.20),
)


def compare(rounds: int, per_s: float, seed: int) -> list[dict[str, object]]:
    """Every rule on every trace; one row a rule and scenario."""
    rows: list[dict[str, object]] = []
    for number, scenario in enumerate(SCENARIOS):
        found: dict[str, list[Outcome]] = {name: [] for name in RULES}
        for turn in range(rounds):
            trace = draw(np.random.default_rng([seed, number, turn]), scenario, per_s)
            for name, rule in RULES.items():
                found[name].append(rule(trace))
        rows += [_row(scenario, per_s, name, outcomes) for name, outcomes in found.items()]
    return rows


def _row(scenario: Scenario, per_s: float, rule: str, outcomes: list[Outcome]) -> dict[str, object]:
    def share(ending: str) -> float:
        return sum(one.ending == ending for one in outcomes) / len(outcomes)

    decided = [one.seconds for one in outcomes if one.ending != "held"]
    deciles = statistics.quantiles(decided, n=10) if len(decided) > 1 else [0.0] * 9
    requests = statistics.quantiles([one.on_new for one in outcomes], n=10)
    return {
        "scenario": scenario.name, "is_harmful": scenario.is_harmful, "requests_per_s": per_s, "rule": rule,
        **{ending: share(ending) for ending in ("stopped", "promoted", "held")},
        "seconds_p10": deciles[0], "seconds_p50": deciles[4], "seconds_p90": deciles[8],
        "on_new_p10": requests[0], "on_new_p50": requests[4], "on_new_p90": requests[8],
        "hurt_share": statistics.fmean(one.hurt for one in outcomes) / (per_s * HORIZON_S),
    }  # fmt: skip


def _table(rows: list[dict[str, object]]) -> str:
    columns = (
        "requests/s", "release", "rule", "stopped", "promoted", "held", "decided after s: p50 (p10, p90)",
        "on the new set: p50", "spoiled of the hour's requests",
    )  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [
        "| {requests_per_s:g} | {scenario} | {rule} | {stopped:.0%} | {promoted:.0%} | {held:.0%} | {seconds_p50:.0f} "
        "({seconds_p10:.0f}, {seconds_p90:.0f}) | {on_new_p50:.0f} | {hurt_share:.2%} |".format(**row)
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.release_rules")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--rates", type=float, nargs="+", default=[1.0, 10.0], help="Requests per second.")
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--out", type=Path, help="Also write everything as JSON.")
    given = parser.parse_args()
    rows = [row for rate in given.rates for row in compare(given.rounds, rate, given.seed)]
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {platform.system()} {platform.release()}, Python {platform.python_version()}",
        "command": "python -m benchmarks.release_rules " + " ".join(sys.argv[1:]),
        "rounds": given.rounds,
        "scenarios": [asdict(scenario) for scenario in SCENARIOS],
        "rows": rows,
    }
    if given.out is not None:
        given.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(_table(rows))


if __name__ == "__main__":
    main()
