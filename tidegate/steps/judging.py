"""What the block pairs of a release show so far, and whether more must be measured. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.benchmark import RunRecord, judge_performance
from tidegate.benchmark.chunks import chunking_of
from tidegate.benchmark.metrics import by_block, metric_named
from tidegate.domain import Evidence, Verdict
from tidegate.domain.policy import PerformancePolicy
from tidegate.statistics import percentile
from tidegate.steps.looks import Look, alpha_of_early_fail, excesses, look_after, most_pairs, stops_early
from tidegate.steps.rounds import Pairs, Round


@dataclass(frozen=True)
class Judged:
    """Rows of the last look, empty before there was one."""

    rows: tuple[Evidence, ...]
    is_over: bool
    """Nothing more is to be measured: it is decided, or the budget is spent."""
    look: Look | None = None


def judge_rounds(rounds: Sequence[Round], policy: PerformancePolicy, *, is_spent: bool) -> Judged:
    """Judge as if each pair had been looked at when it came: how they were cut into rounds changes nothing.

    `is_spent`: nothing more can be measured, so that what is not decided now is not judged.
    """
    pairs = Pairs.of(rounds, tolerated_lag_ms(policy)).first(most_pairs(policy))
    if pairs.candidate is None:
        return Judged((), is_spent)
    if pairs.live is None:
        # There is no comparison to look at: the candidate's own limits are judged once, at the end.
        is_over = is_spent or pairs.count >= policy.design.block_pairs
        rows = judge_performance(pairs.candidate, None, policy) if is_over else []
        return Judged(tuple(rows), is_over)
    return _judge_pairs(pairs, policy, is_spent=is_spent)


def tolerated_lag_ms(policy: PerformancePolicy) -> float:
    """Lag of the client that cannot decide: differences below the smallest floor of a wait are ignored anyway.

    Compared with the tail of the lag, while a median feels its median, which is far smaller. Times between tokens are
    means over an answer, in which a late reading counts once at each end.
    """
    waits = [
        margin.floor_ms for name, margin in policy.metrics.declared() if name.startswith(("ttft", "e2e"))
    ]
    return min(waits, default=0.0)


def _judge_pairs(pairs: Pairs, policy: PerformancePolicy, *, is_spent: bool) -> Judged:
    found = excesses_of(pairs, policy)
    standing: dict[str, Evidence] = {}
    last = Judged((), is_spent)
    for count in range(1, pairs.count + 1):
        look = look_after(count, policy, is_spent=is_spent and count == pairs.count)
        if look is None:
            continue
        if look.kind == "early":
            if rows := _decided_early(pairs, [values[:count] for values in found], policy, look):
                return Judged(tuple(rows), is_over=True, look=look)
            continue
        rows = [
            standing.get(row.check, row) if row.verdict is Verdict.NOT_JUDGED else row
            for row in _judge(pairs, policy, look, look.alpha)
        ]
        last = Judged(tuple(rows), is_spent or _is_decided(rows), look)
        if _is_decided(rows):
            return last
        standing |= {row.check: row for row in rows if row.verdict is Verdict.PASS}
    return last


def _decided_early(
    pairs: Pairs, found: list[list[float]], policy: PerformancePolicy, look: Look
) -> list[Evidence]:
    """Rows of an early look that decides; none where it does not."""
    said = stops_early(look, found, policy)
    if said == "" and not _has_too_many_errors(pairs, policy, look.pairs):
        return []
    alpha = look.alpha if said == "pass" else alpha_of_early_fail(look, policy) or look.alpha
    rows = _judge(pairs, policy, look, alpha)
    if said == "pass":
        return rows if all(row.verdict is Verdict.PASS for row in rows) else []
    return rows if any(row.verdict is Verdict.FAIL for row in rows) else []


def _has_too_many_errors(pairs: Pairs, policy: PerformancePolicy, count: int) -> bool:
    """More requests failed than all planned ones together may: nothing that follows can help."""
    assert pairs.candidate is not None
    bad = sum(not request.is_ok for request in pairs.candidate.measured() if request.block < count)
    return bad > policy.limits.max_error_share * policy.design.requests_per_arm


def _judge(pairs: Pairs, policy: PerformancePolicy, look: Look, alpha: float) -> list[Evidence]:
    """Rows of the gate at this look, which say at which one they were judged."""
    until = pairs.first(look.pairs)
    assert until.candidate is not None
    rows = judge_performance(until.candidate, until.live, policy.model_copy(update={"alpha": alpha}))
    said = {"look": {"kind": look.kind, "pairs": look.pairs, "alpha": alpha}}
    return [row.model_copy(update={"data": {**row.data, **said}}) for row in rows]


def _is_decided(rows: Sequence[Evidence]) -> bool:
    verdicts = {row.verdict for row in rows}
    return Verdict.FAIL in verdicts or verdicts == {Verdict.PASS}


def excesses_of(pairs: Pairs, policy: PerformancePolicy) -> list[list[float]]:
    """Per gating metric, each pair's latency over what it may be. One that a block lacks makes all of them unknown:
    an early look must not pass by what it does not see."""
    if pairs.candidate is None or pairs.live is None:
        return []
    found: list[list[float]] = []
    for name, margin in policy.metrics.declared():
        ours, theirs = (_of_blocks(arm, name) for arm in (pairs.candidate, pairs.live))
        if not all(block in ours and block in theirs for block in range(pairs.count)):
            return []
        blocks = range(pairs.count)
        found.append(excesses([ours[block] for block in blocks], [theirs[block] for block in blocks], margin))
    return found


def _of_blocks(run: RunRecord, name: str) -> dict[int, float]:
    """A quantile of each block that has values for it."""
    metric, chunking = metric_named(name), chunking_of(run.requests)
    values = {
        block: metric.values(requests, chunking, run.is_open_loop)
        for block, requests in by_block(run.measured()).items()
    }
    found = {block: percentile(own, metric.share) for block, own in values.items() if own}
    return {block: value for block, value in found.items() if value is not None}
