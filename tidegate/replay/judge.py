"""What replayed pairs show about a new version, as rows of evidence. Pure.

Each row passes only what is shown to be inside its margin. Several rows are looked at, so each fails at its share of
`alpha` alone (Bonferroni); all must pass, which needs no such correction (`fold`).
"""

import math
from collections.abc import Callable, Sequence

from tidegate.domain import Evidence, Gate, Verdict
from tidegate.domain.policy import ReplayPolicy
from tidegate.replay.pairs import ReplayedPair, Reply, agreement
from tidegate.statistics import judge_interval, largest_loss, mcnemar_exact, paired_log_ratio

REPLAY_CHECKS = frozenset({"replay.errors", "replay.answers", "replay.length", "replay.latency"})
BLOCK_PAIRS = 5
"""Requests under load are not independent of their neighbours: times and lengths are compared by blocks."""
ASK_FOR_MORE = "Raise replay.capture.percent or wait: more sampled requests decide it."


def judge_replay(pairs: Sequence[ReplayedPair], policy: ReplayPolicy, missing: str = "") -> list[Evidence]:
    """One row for each of `REPLAY_CHECKS`. Fewer than `min_pairs` pairs judge nothing, whatever they show."""
    if len(pairs) < policy.min_pairs:
        why = missing or f"{len(pairs)} sampled requests were replayed; {policy.min_pairs} are needed"
        return [
            Evidence(
                gate=Gate.REPLAY,
                check=check,
                verdict=Verdict.NOT_JUDGED,
                summary=f"Not judged: {why}.",
                remedy=ASK_FOR_MORE,
                data={"samples": len(pairs)},
            )
            for check in sorted(REPLAY_CHECKS)
        ]
    complete = [pair for pair in pairs if pair.new.is_ok and pair.old.is_ok]
    same, of = agreement(pairs)
    return [
        _losses("replay.errors", "failed or were cut off", pairs, policy, lambda reply: reply.is_ok),
        _losses(
            "replay.answers",
            "gave an empty or malformed answer",
            complete,
            policy,
            lambda reply: not reply.problem,
            f" {same} of {of} answers are word for word the same.",
        ),
        _ratio("replay.length", "tokens", complete, policy, lambda reply: float(reply.tokens or 0)),
        _ratio("replay.latency", "ms", complete, policy, lambda reply: reply.elapsed_ms),
    ]


def _losses(
    check: str,
    what: str,
    pairs: Sequence[ReplayedPair],
    policy: ReplayPolicy,
    is_good: Callable[[Reply], bool],
    more: str = "",
) -> Evidence:
    """Requests that went wrong with one version alone: Tango's bound for "inside", exact McNemar for "worse"."""
    losses = sum(is_good(pair.old) and not is_good(pair.new) for pair in pairs)
    wins = sum(is_good(pair.new) and not is_good(pair.old) for pair in pairs)
    both = sum(not is_good(pair.new) and not is_good(pair.old) for pair in pairs)
    count = len(pairs)
    most = largest_loss(losses, wins, count, policy.alpha)
    p_value = mcnemar_exact(losses, wins) if losses + wins else 1.0
    is_worse = p_value <= policy.alpha / len(REPLAY_CHECKS) and losses - wins > 0
    verdict = Verdict.FAIL if is_worse else Verdict.PASS if most <= policy.margin else Verdict.NOT_JUDGED
    only_new = sorted({(pair.new.error or pair.new.problem)[:80] for pair in pairs if not is_good(pair.new)})
    return Evidence(
        gate=Gate.REPLAY,
        check=check,
        verdict=verdict,
        summary=(
            f"Of {count} replayed requests {losses} {what} with the new version only, {wins} with the live one only "
            f"and {both} with both; the loss is at most {most:.1%}, allowed are {policy.margin:.1%}.{more}"
        ),
        remedy=""
        if verdict is Verdict.PASS
        else f"{_seen(only_new)}{ASK_FOR_MORE if not is_worse else ''}".strip(),
        data={
            "samples": count,
            "losses": losses,
            "wins": wins,
            "p_value": p_value,
            "numbers": f"loss at most {most:.4f} (Tango, alpha {policy.alpha:g}); McNemar p {p_value:.4f}",
        },
    )


def _seen(problems: Sequence[str]) -> str:
    return f"Seen: {'; '.join(problems[:3])}. " if problems else ""


def _ratio(
    check: str,
    unit: str,
    pairs: Sequence[ReplayedPair],
    policy: ReplayPolicy,
    value: Callable[[Reply], float],
) -> Evidence:
    """Student's interval on the logarithm of the ratio, block by block."""
    blocks = [pairs[at : at + BLOCK_PAIRS] for at in range(0, len(pairs) - BLOCK_PAIRS + 1, BLOCK_PAIRS)]
    new = [sum(value(pair.new) for pair in block) / BLOCK_PAIRS for block in blocks]
    old = [sum(value(pair.old) for pair in block) / BLOCK_PAIRS for block in blocks]
    if len(blocks) < 2 or min(*new, *old) <= 0:
        return Evidence(
            gate=Gate.REPLAY,
            check=check,
            verdict=Verdict.NOT_JUDGED,
            summary=f"Not judged: {len(pairs)} pairs of complete answers tell no {unit}.",
            remedy=ASK_FOR_MORE,
            data={"samples": len(pairs)},
        )
    passing = paired_log_ratio(new, old, policy.alpha)
    failing = paired_log_ratio(new, old, policy.alpha / len(REPLAY_CHECKS))
    verdict = _length_verdict if check == "replay.length" else _time_verdict
    found = verdict((passing.low, passing.high), (failing.low, failing.high), sum(old) / len(old), policy)
    mean_new, mean_old = sum(new) / len(new), sum(old) / len(old)
    allowed = _allowed(check, policy)
    return Evidence(
        gate=Gate.REPLAY,
        check=check,
        verdict=found,
        summary=(
            f"Answers of the new version have {mean_new:.0f} {unit} on average, the live one's {mean_old:.0f} "
            f"({passing.ratio:.2f} times as much, surely between {passing.low:.2f} and {passing.high:.2f}); {allowed}."
        ),
        remedy="" if found is Verdict.PASS else ASK_FOR_MORE if found is Verdict.NOT_JUDGED else "",
        data={
            "samples": len(pairs),
            "ratio": passing.ratio,
            "numbers": f"ratio {passing.ratio:.3f} [{passing.low:.3f}, {passing.high:.3f}], {passing.pairs} blocks, "
            f"alpha {policy.alpha:g}",
        },
    )


Bounds = tuple[float, float]


def _length_verdict(passing: Bounds, failing: Bounds, old: float, policy: ReplayPolicy) -> Verdict:
    """Longer and shorter are both a change: cost for the one, content for the other."""
    limit = math.log1p(policy.max_length_change)
    inside = -limit <= math.log(max(passing[0], 1e-9)) and math.log(passing[1]) <= limit
    outside = math.log(max(failing[0], 1e-9)) > limit or math.log(failing[1]) < -limit
    return Verdict.FAIL if outside else Verdict.PASS if inside else Verdict.NOT_JUDGED


def _time_verdict(passing: Bounds, failing: Bounds, old: float, policy: ReplayPolicy) -> Verdict:
    limit = max(1 + policy.max_slowdown, 1 + policy.floor_ms / old)
    if judge_interval(*failing, limit) is Verdict.FAIL:
        return Verdict.FAIL
    return Verdict.PASS if passing[1] <= limit else Verdict.NOT_JUDGED


def _allowed(check: str, policy: ReplayPolicy) -> str:
    if check == "replay.length":
        return f"a change by {policy.max_length_change:.0%} is allowed"
    return f"{policy.max_slowdown:.0%} or {policy.floor_ms:g} ms more are allowed"
