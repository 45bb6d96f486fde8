"""Two runs side by side: by how much is one slower than the other, how sure is that, and what could have been seen.

Requests under load are not independent, so the block is the unit: the quantile of a candidate block against that
of the base block with the same requests, and Student's t on the log ratios (`statistics.quantile_ratio`). One
interval and one limit give the verdict: pass when the whole interval is inside, fail when it is beyond. With
several metrics the fails are corrected by Holm; the passes need none, because all must pass.
Runs without common blocks are compared by a block bootstrap, which is too narrow under load and decides nothing.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidegate.benchmark.apart import persistence, widened
from tidegate.benchmark.chunks import Chunking, chunking_of
from tidegate.benchmark.comparable import is_paired, is_side_by_side, obstacle_of, obstacles
from tidegate.benchmark.compared import BlockPair, Comparison, MetricComparison, SliceComparison
from tidegate.benchmark.figures import Share
from tidegate.benchmark.metrics import CompareLimits, Limit, Metric, by_block, metric_named
from tidegate.benchmark.record import Outcome, RequestRecord, RunRecord
from tidegate.benchmark.wording import ratio_sentence, reach_sentence
from tidegate.domain import Verdict
from tidegate.statistics import (
    RatioInterval,
    benjamini_hochberg,
    block_bootstrap_ratio,
    detectable_ratio,
    holm,
    judge_ratio,
    paired_log_ratio,
    plan_latency,
    quantile_ratio,
)
from tidegate.statistics.distributions import noncentral_t_tail

MIN_PAIRS = 3
FEWEST_FOR_BOOTSTRAP = 20
LEAST_EXCESS = 0.25
"""Share of the allowed latency as which everything below it counts where the floor decides."""
BLOCK_PAIRS, PAIRS_APART, BOOTSTRAP = "block pairs", "block pairs, widened for drift", "block bootstrap"
SHOWN_PER_SLICE = ("ttft_p50", "itl_p50")


def compare_runs(
    base: RunRecord, candidate: RunRecord, limits: CompareLimits | None = None, *, seed: int = 0
) -> Comparison:
    """Compare every metric of the limits. `seed` is for the bootstrap of runs without common blocks.

    Raises InvalidInput for a metric that does not exist.
    """
    wanted = limits or CompareLimits()
    is_beside = is_side_by_side(base, candidate)
    sides = _Sides(
        _Side.of(base), _Side.of(candidate), is_paired(base, candidate), is_beside, wanted.alpha, seed
    )
    found = obstacles(base, candidate)
    rows = [
        _not_compared(metric_named(name), found[0], wanted.alpha)
        if found
        else _compare(metric_named(name), limit, sides)
        for name, limit in wanted.metrics.items()
    ]
    rows = _correct(rows)
    return Comparison(
        base=base.id,
        candidate=candidate.id,
        base_label=base.label,
        candidate_label=candidate.label,
        verdict=_worst([row.verdict for row in rows]),
        is_paired=sides.is_paired,
        is_side_by_side=is_beside,
        obstacles=found,
        metrics=tuple(rows),
        slices=() if found or not sides.is_paired else _slices(sides),
        base_errors=_errors(base),
        candidate_errors=_errors(candidate),
        notes=_notes(sides),
    )


@dataclass(frozen=True)
class _Side:
    run: RunRecord
    requests: tuple[RequestRecord, ...]
    chunking: Chunking

    @classmethod
    def of(cls, run: RunRecord) -> "_Side":
        return cls(run, run.measured(), chunking_of(run.requests))

    def values(self, metric: Metric) -> list[float]:
        """In the order of time."""
        ordered = sorted(self.requests, key=lambda request: (request.start_ns or 0, request.index))
        return metric.values(ordered, self.chunking, self.run.is_open_loop)

    def blocks(self, metric: Metric, tag: str | None = None) -> dict[int, list[float]]:
        chosen = [request for request in self.requests if tag is None or tag in request.tags]
        return {
            block: metric.values(requests, self.chunking, self.run.is_open_loop)
            for block, requests in by_block(chosen).items()
        }

    def ok_in(self, blocks: Collection[int]) -> int:
        return sum(request.is_ok and request.block in blocks for request in self.requests)


@dataclass(frozen=True)
class _Sides:
    base: _Side
    candidate: _Side
    is_paired: bool
    is_side_by_side: bool
    alpha: float
    seed: int

    def pairs(
        self, metric: Metric, tag: str | None = None
    ) -> tuple[list[int], list[list[float]], list[list[float]]]:
        """Blocks that hold enough values in both runs, and the values: base, candidate."""
        base, candidate = self.base.blocks(metric, tag), self.candidate.blocks(metric, tag)
        needed = metric.fewest_per_block
        shared = [
            block
            for block, values in base.items()
            if len(values) >= needed and len(candidate.get(block, ())) >= needed
        ]
        return shared, [base[block] for block in shared], [candidate[block] for block in shared]


def _compare(metric: Metric, limit: Limit, sides: _Sides) -> MetricComparison:
    if reason := obstacle_of(metric, sides.base.run, sides.candidate.run):
        return _not_compared(metric, reason, sides.alpha)
    return _by_pairs(metric, limit, sides) if sides.is_paired else _by_bootstrap(metric, limit, sides)


def _by_pairs(metric: Metric, limit: Limit, sides: _Sides) -> MetricComparison:
    blocks, base, candidate = sides.pairs(metric)
    if len(blocks) < MIN_PAIRS:
        each = f" of {metric.fewest_per_block} requests or more" if metric.fewest_per_block > 1 else ""
        text = f"{len(blocks)} blocks{each} measured on both sides, {MIN_PAIRS} needed"
        return _not_compared(metric, text, sides.alpha)
    found = quantile_ratio(candidate, base, metric.share, sides.alpha)
    levels = [[float(np.quantile(values, metric.share)) for values in side] for side in (base, candidate)]
    if not sides.is_side_by_side:
        found = widened(found, persistence(np.log(np.divide(levels[1], levels[0])).tolist()))
    base_ms = math.exp(float(np.mean(np.log(levels[0]))))
    pairs = tuple(
        BlockPair(block=block, base=ours, candidate=theirs)
        for block, ours, theirs in zip(blocks, *levels, strict=True)
    )
    requests = sum(side.ok_in(blocks) for side in (sides.base, sides.candidate))
    method = BLOCK_PAIRS if sides.is_side_by_side else PAIRS_APART
    row = _row(metric, limit, found, base_ms, requests, method=method, blocks=pairs)
    return _by_floor(row, limit, levels, sides)


def _by_floor(
    row: MetricComparison, limit: Limit, levels: Sequence[Sequence[float]], sides: _Sides
) -> MetricComparison:
    """Where the floor allows more than the share, a pass is judged by each pair's latency over what it may be.

    Ratios of latencies far below the floor are noise without end: 0.04 and 0.4 ms differ by a factor of ten, and
    are both nothing beside 4 ms. So what is below a quarter of the allowed latency counts as a quarter, which
    makes a pass rarer, never easier. A fail needs the interval of the ratio itself.
    """
    if row.verdict is Verdict.FAIL or row.allowed_ratio is None or row.allowed_ratio <= limit.max_ratio:
        return row
    excesses = [
        max(LEAST_EXCESS, theirs / max(ours * limit.max_ratio, ours + limit.floor_ms))
        for ours, theirs in zip(*levels, strict=True)
    ]
    found = paired_log_ratio(excesses, [1.0] * len(excesses), sides.alpha)
    if not sides.is_side_by_side:
        found = widened(found, persistence(np.log(excesses).tolist()))
    is_inside = judge_ratio(found, 1.0) is Verdict.PASS
    judged = row.model_copy(update={"verdict": Verdict.PASS if is_inside else Verdict.NOT_JUDGED})
    return judged.model_copy(update={"summary": f"{ratio_sentence(judged)}; {reach_sentence(judged)}"})


def _by_bootstrap(metric: Metric, limit: Limit, sides: _Sides) -> MetricComparison:
    base, candidate = sides.base.values(metric), sides.candidate.values(metric)
    fewest = max(FEWEST_FOR_BOOTSTRAP, 10 * metric.fewest_per_block)
    if min(len(base), len(candidate)) < fewest:
        text = f"{len(base)} and {len(candidate)} values, {fewest} of each needed without common blocks"
        return _not_compared(metric, text, sides.alpha)
    generator = np.random.default_rng(sides.seed)
    found = block_bootstrap_ratio(candidate, base, metric.share, generator, sides.alpha)
    base_ms = float(np.quantile(base, metric.share))
    requests = sum(sum(request.is_ok for request in side.requests) for side in (sides.base, sides.candidate))
    return _row(metric, limit, found, base_ms, requests, method=BOOTSTRAP)


def _row(
    metric: Metric, limit: Limit, found: RatioInterval, base_ms: float, requests: int, **more: Any
) -> MetricComparison:
    allowed = limit.effective(base_ms)
    row = MetricComparison(
        metric=metric.name,
        label=metric.label,
        verdict=judge_ratio(found, allowed),
        summary="",
        is_optimistic=found.is_optimistic,
        ratio=found.ratio,
        low=found.low,
        high=found.high,
        alpha=found.alpha,
        spread=None if found.is_optimistic else found.spread,
        base_ms=base_ms,
        candidate_ms=base_ms * found.ratio,
        allowed_ratio=allowed,
        max_ratio=limit.max_ratio,
        floor_ms=limit.floor_ms,
        pairs=found.pairs,
        requests=requests,
        p_beyond=None if found.is_optimistic else p_beyond(found, allowed),
        detectable_slowdown=_detectable(found),
        plan=_plan(found, allowed),
        **more,
    )
    return row.model_copy(update={"summary": f"{ratio_sentence(row)}; {reach_sentence(row)}"})


def p_beyond(found: RatioInterval, limit: float) -> float:
    """One-sided p-value of "the ratio is at most `limit`" from the t test behind the interval."""
    excess = math.log(found.ratio) - math.log(limit)
    if found.pairs < 2 or found.spread == 0:
        return float(excess <= 0)
    statistic = excess * math.sqrt(found.pairs) / found.spread
    return min(1.0, max(0.0, noncentral_t_tail(statistic, found.pairs - 1, 0.0)))


def _detectable(found: RatioInterval) -> float | None:
    if found.is_optimistic or found.pairs < 2:
        return None
    if found.spread == 0:
        return 0.0
    ratio = detectable_ratio(found.pairs, 1.0, found.spread, found.alpha)
    return ratio - 1 if math.isfinite(ratio) else None


def _plan(found: RatioInterval, allowed: float) -> str:
    """Empty where nothing varied or nothing slower is allowed."""
    if found.is_optimistic or found.spread <= 0 or allowed <= 1:
        return ""
    return plan_latency(found.pairs, allowed, found.spread, found.alpha).describe()


def _correct(rows: Sequence[MetricComparison]) -> list[MetricComparison]:
    """Fails that remain certain when all metrics could have failed by chance."""
    judged = [row for row in rows if row.p_beyond is not None]
    adjusted = dict(
        zip((row.metric for row in judged), holm([row.p_beyond or 0.0 for row in judged]), strict=True)
    )
    corrected: list[MetricComparison] = []
    for row in rows:
        if row.metric not in adjusted:
            corrected.append(row)
            continue
        changed = row.model_copy(update={"p_beyond": adjusted[row.metric]})
        if row.verdict is Verdict.FAIL and adjusted[row.metric] > row.alpha:
            changed = changed.model_copy(update={"verdict": Verdict.NOT_JUDGED})
            sentence = f"{ratio_sentence(changed)}; {reach_sentence(changed)}"
            changed = changed.model_copy(update={"summary": sentence})
        corrected.append(changed)
    return corrected


def _slices(sides: _Sides) -> tuple[SliceComparison, ...]:
    """Slices that both runs have in enough blocks, in the order of their names."""
    tags = sorted({tag for request in sides.base.requests for tag in request.tags})
    found: list[tuple[str, Metric, RatioInterval, int]] = []
    for tag in tags:
        for metric in map(metric_named, SHOWN_PER_SLICE):
            blocks, base, candidate = sides.pairs(metric, tag)
            if len(blocks) >= MIN_PAIRS and not obstacle_of(metric, sides.base.run, sides.candidate.run):
                ratio = quantile_ratio(candidate, base, metric.share, sides.alpha)
                found.append((tag, metric, ratio, sum(map(len, base)) + sum(map(len, candidate))))
    adjusted = benjamini_hochberg([p_beyond(ratio, 1.0) for _, _, ratio, _ in found]) if found else []
    return tuple(
        SliceComparison(
            tag=tag, metric=metric.name, ratio=ratio.ratio, low=ratio.low, high=ratio.high, pairs=ratio.pairs,
            requests=requests, q_slower=q_value,
        )
        for (tag, metric, ratio, requests), q_value in zip(found, adjusted, strict=True)
    )  # fmt: skip


def _not_compared(metric: Metric, reason: str, alpha: float) -> MetricComparison:
    return MetricComparison(
        metric=metric.name,
        label=metric.label,
        verdict=Verdict.NOT_JUDGED,
        summary=f"{metric.label} cannot be compared: {reason}",
        reason=reason,
        alpha=alpha,
    )


def _errors(run: RunRecord) -> Share:
    measured = run.measured()
    bad = sum(request.outcome in (Outcome.FAILED, Outcome.TRUNCATED) for request in measured)
    return Share.of(bad, sum(request.outcome is not Outcome.NOT_SENT for request in measured))


def _notes(sides: _Sides) -> tuple[str, ...]:
    base, candidate = sides.base.run, sides.candidate.run
    notes: list[str] = []
    if not sides.is_paired:
        notes.append(
            "The runs have no common blocks: intervals come from a block bootstrap, are too narrow under load, and "
            "decide nothing. Measure both in one run of alternating blocks."
        )
    elif not sides.is_side_by_side:
        notes.append(
            "The runs were not taken side by side: a change of the machine between them looks like one of the model. "
            "The intervals allow for what neighbouring blocks have in common, not for such a change."
        )
    if base.machine and candidate.machine and base.machine != candidate.machine:
        notes.append("The machines differ.")
    return tuple(notes)


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    for verdict in (Verdict.FAIL, Verdict.NOT_JUDGED):
        if verdict in verdicts:
            return verdict
    return Verdict.PASS if verdicts else Verdict.NOT_JUDGED
