"""From an interval and a margin to pass, fail or not judged: the one rule of every gate.

Pass only what is shown to be inside the limit, fail only what is shown to be beyond it. "No significant
difference" passes nothing: a small noisy test must not be the easy way through.
"""

from tidegate.domain import Verdict
from tidegate.statistics.ratios import RatioInterval


def judge_interval(low: float, high: float, limit: float) -> Verdict:
    """Verdict on a quantity of which less is better (loss, slowdown, error share), in the limit's unit.

    pass: high <= limit. fail: low > limit. Otherwise not judged: measure more, up to the budget. With one-sided
    bounds at alpha each of the two errors has a chance of at most alpha. Source: W. C. Blackwelder, Controlled
    Clinical Trials 3 (1982) 345-353 (non-inferiority). Raises ValueError when low exceeds high, or for NaN.
    """
    if not low <= high or limit != limit:
        raise ValueError(f"needs low <= high and a limit, not {low}, {high} and {limit}")
    if high <= limit:
        return Verdict.PASS
    return Verdict.FAIL if low > limit else Verdict.NOT_JUDGED


def judge_ratio(found: RatioInterval, limit: float) -> Verdict:
    """Verdict on a slowdown: `limit` 1.15 allows 15 %. Optimistic intervals are never judged."""
    return Verdict.NOT_JUDGED if found.is_optimistic else judge_interval(found.low, found.high, limit)
