"""Whether a candidate's answers let it pass. Pure; paired by question.

`quality.score`: the mean score (share of right answers) is at least the policy's minimum.

`quality.regression`: by `decision`: pass when a loss of the margin is ruled out, fail when the candidate is shown to be
worse, else not judged, with what more would be needed. Examples at a margin of 5 points: 68 questions without a
differing answer pass (52 are enough); with one or two losses and no win they do not decide; five losses and no win
fail (p = 0.031). Ten questions decide nothing, whatever their answers.

`quality.topics`: a topic whose share of right answers drops by more than the policy's limit, and by at least
two questions, fails alone, whatever the whole bank says.

`quality.slices`, where the policy declares some: each by its own margin and minimum. Failing any of them is corrected
by Holm's method, together with the whole bank. Other topics and tags are shown with Benjamini-Hochberg values and never
decide.

Missing answers: only a verdict that no answer could change is given (a fail, counting every missing answer
for the candidate); otherwise not judged. Without a baseline only the absolute scores are judged. A row that is not
judged although every answer is there has `samples` in its data: what then happens is the policy's choice. Questions that
only a judge can score are no part of any of these rows (`pairwise`).
"""

from dataclasses import replace
from typing import Any

from tidegate.domain import Evidence, Gate, Verdict
from tidegate.domain.policy import QualityPolicy
from tidegate.quality.agreement import Agreement, disagreement, flaky
from tidegate.quality.decision import Decision, decide
from tidegate.quality.judged_slices import decide_slices, judged_slices, shown_slices
from tidegate.quality.paired_tests import Rules
from tidegate.quality.pairs import REPEATED_DISCORDANT, Pairs, are_comparable
from tidegate.quality.results import BankResult
from tidegate.quality.told import told_decision, told_numbers
from tidegate.statistics import smallest_bank, wilson_interval

QUALITY_CHECKS = frozenset({"quality.score", "quality.regression", "quality.topics"})
MIN_TOPIC_LOSSES = 2
"""A single lost question is no topic: it is counted by the regression test."""
MAX_NAMED = 20
EARLY_STOPPING = "early_stopping"

REMEDIES = {
    "score": "Look at the wrong answers; the model is not fit for this service, or the bank is not about it.",
    "regression": "Look at the lost questions; retrain, or widen the bank when it is too small to decide.",
    "topics": "Retrain with examples of these topics, or take them out of the bank if they are no longer served.",
    "slices": "Look at the lost questions of these slices; retrain, or widen them when they are too small to decide.",
}


def judge_quality(
    candidate: BankResult,
    baseline: BankResult | None,
    policy: QualityPolicy,
    *,
    floor: Agreement | None = None,
) -> list[Evidence]:
    """One row for each of `QUALITY_CHECKS`, and one for declared slices, by the rules of the module docstring.

    `floor` is how often the baseline differs from itself; it is shown beside the candidate's differences.
    """
    candidate, baseline = candidate.scored(), None if baseline is None else baseline.scored()
    names = [*(check.removeprefix("quality.") for check in sorted(QUALITY_CHECKS))]
    if fault := _unusable(candidate, baseline):
        names += ["slices"] if policy.slices else []
        return [_row(name, Verdict.NOT_JUDGED, fault, _data(candidate)) for name in names]
    score = _score(candidate, policy)
    if baseline is None:
        note = "No baseline: judged by the absolute score alone."
        rows = [_row(name, Verdict.PASS, note, {"baseline": None}) for name in ("regression", "topics")]
        return [score, *rows, *_slices(candidate, {}, policy)]
    is_chosen = _is_repeated_in_part(candidate, baseline)
    pairs = Pairs.of(candidate, baseline, "first" if is_chosen else "all")
    decisions = decide_slices(pairs, _rules(candidate, policy), policy.slices)
    whole = _confirmed(decisions[""], candidate, baseline, policy)
    return [
        score,
        _regression(whole, pairs, candidate, baseline, policy, floor),
        _topics(candidate, baseline, policy),
        *_slices(candidate, decisions, policy),
    ]


def _unusable(candidate: BankResult, baseline: BankResult | None) -> str:
    """Why these results cannot be judged at all."""
    for name, result in (("candidate", candidate), ("baseline", baseline)):
        if result is not None and len(result.served_models) > 1:
            models = ", ".join(model[:12] for model in result.served_models)
            return f"The {name}'s answers came from several models ({models})."
        if result is not None and result.total == result.missing:
            reason = next((entry.error for entry in result.results if entry.error), "no questions")
            return f"The {name} answered no question ({reason})."
    if baseline is None:
        return ""
    if fault := are_comparable(candidate, baseline):
        return fault
    has_pair = bool(Pairs.of(candidate, baseline).complete)
    return "" if has_pair else "No question was answered by both models."


def _rules(candidate: BankResult, policy: QualityPolicy) -> Rules:
    settings = candidate.settings
    return Rules(
        policy.margin,
        policy.alpha,
        is_sequential=settings.get(EARLY_STOPPING) is True,
        is_graded=settings.get("is_graded") is True,
    )


def _is_repeated_in_part(*results: BankResult) -> bool:
    return any(result.settings.get("repeated") == REPEATED_DISCORDANT for result in results)


def _confirmed(
    found: Decision, candidate: BankResult, baseline: BankResult, policy: QualityPolicy
) -> Decision:
    """Repeats of differing answers alone can take a fail back, and grant nothing.

    They shrink differences, of losses and wins alike: a candidate that is wrong half of the time is asked again only
    where it was wrong. A pass must therefore stand on the first answers, and a fail also on those after them.
    """
    if found.verdict is not Verdict.FAIL or not _is_repeated_in_part(candidate, baseline):
        return found
    again = decide(Pairs.of(candidate, baseline, "again"), _rules(candidate, policy))
    return found if again.verdict is Verdict.FAIL else replace(found, verdict=Verdict.NOT_JUDGED)


def _score(candidate: BankResult, policy: QualityPolicy) -> Evidence:
    right, missing, total = candidate.right, candidate.missing, candidate.total
    low, high = wilson_interval(right, total - missing)
    weights = sum(entry.weight for entry in candidate.results)
    reached = sum(entry.weight * (entry.value or 0.0) for entry in candidate.results) / weights
    open_share = sum(entry.weight for entry in candidate.results if entry.value is None) / weights
    is_plain = candidate.mean_value == candidate.score
    share = f"{right} of {total} right ({right / total:.1%})"
    text = share if is_plain else f"Mean score {reached:.1%} over {total} questions ({share})"
    if policy.min_score > 0:
        text = f"{text}, at least {policy.min_score:.0%} wanted"
    data = _data(candidate) | {
        "share_95": [round(low, 4), round(high, 4)],
        "mean_score": round(reached, 4),
        "min_score": policy.min_score,
    }
    if reached + open_share < policy.min_score:
        return _row("score", Verdict.FAIL, f"{text}.", data)
    if missing:
        return _row("score", Verdict.NOT_JUDGED, f"{text}; {missing} questions have no answer.", data)
    return _row("score", Verdict.PASS, f"{text}.", data)


def _regression(
    found: Decision,
    pairs: Pairs,
    candidate: BankResult,
    baseline: BankResult,
    policy: QualityPolicy,
    floor: Agreement | None,
) -> Evidence:
    tested, differing = found.tested, disagreement(candidate, baseline)
    data: dict[str, Any] = {
        "pairs": found.pairs,
        "missing": found.missing,
        "losses": list(found.losses[:MAX_NAMED]),
        "wins": list(found.wins[:MAX_NAMED]),
        "lost": len(found.losses),
        "won": len(found.wins),
        "method": tested.method,
        "loss": round(tested.loss, 4),
        "least_loss": round(tested.least_loss, 4),
        "largest_loss": round(tested.most_loss, 4),
        "margin": policy.margin,
        "alpha": policy.alpha,
        "smallest_bank_for_margin": smallest_bank(policy.margin, policy.alpha),
        "detectable_drop": round(found.detectable_drop, 4),
        "more_questions": found.more,
        "plan": found.plan,
        "questions_used": tested.used,
        **_measured(found.verdict, found.pairs, found.missing),
        "numbers": told_numbers(found, policy.alpha),
        "reach": f"This bank {found.reach}.",
        "p_value": None if tested.worse_p is None else round(tested.worse_p, 6),
        "disagreement": differing.as_data(),
        "noise_floor": None if floor is None else floor.as_data(),
        "flaky": sorted({*flaky(candidate), *flaky(baseline)})[:MAX_NAMED],
        "slices": shown_slices(pairs),
    }
    return _row("regression", found.verdict, told_decision(found, policy.margin, floor), data)


def _topics(candidate: BankResult, baseline: BankResult, policy: QualityPolicy) -> Evidence:
    theirs = {entry.id: entry for entry in baseline.results}
    counts: dict[str, tuple[int, int, int, int]] = {}
    for ours in candidate.results:
        before, after, answered, missing = counts.get(ours.topic, (0, 0, 0, 0))
        mark = theirs[ours.id].is_right
        if ours.is_right is None or mark is None:
            counts[ours.topic] = (before, after, answered, missing + 1)
        else:
            counts[ours.topic] = (before + mark, after + ours.is_right, answered + 1, missing)
    told = {topic: f"{b}/{n} -> {a}/{n}" for topic, (b, a, n, _) in counts.items() if n}
    failed = [
        topic
        for topic, (before, after, answered, missing) in counts.items()
        if _is_lost(before - after, answered, missing, policy.max_topic_drop)
    ]
    missing = sum(count for *_, count in counts.values())
    data = {"topics": told, "failed": failed, "max_topic_drop": policy.max_topic_drop, "missing": missing}
    if failed:
        worst = ", ".join(f"{topic} {told[topic]}" for topic in failed)
        return _row("topics", Verdict.FAIL, f"Topics lost: {worst}.", data)
    listed = ", ".join(f"{topic} {change}" for topic, change in told.items())
    if missing:
        text = f"{missing} questions have no answer ({listed})."
        return _row("topics", Verdict.NOT_JUDGED, text, data)
    return _row("topics", Verdict.PASS, f"No topic was lost: {listed}.", data)


def _is_lost(net_losses: int, answered: int, missing: int, max_drop: float) -> bool:
    """Whether a topic is lost even if every missing answer were a win."""
    certain = net_losses - missing
    return certain >= MIN_TOPIC_LOSSES and certain / (answered + missing) > max_drop


def _slices(candidate: BankResult, decisions: dict[str, Decision], policy: QualityPolicy) -> list[Evidence]:
    """The row of declared slices; none where none is declared."""
    if not policy.slices:
        return []
    verdict, summary, data = judged_slices(candidate, decisions, policy.slices)
    return [_row("slices", verdict, summary, data)]


def _measured(verdict: Verdict, samples: int, missing: int) -> dict[str, int]:
    """How many answers a row rests on; nothing for one that rests on answers that are not there."""
    return {} if verdict is Verdict.NOT_JUDGED and missing else {"samples": samples}


def _data(result: BankResult) -> dict[str, Any]:
    return {
        "bank": result.bank,
        "bank_digest": result.bank_digest,
        "model_digest": result.model_digest,
        "right": result.right,
        "total": result.total,
        "missing": result.missing,
        "wrong": [entry.id for entry in result.results if entry.is_right is False][:MAX_NAMED],
        "errors": sorted({entry.error for entry in result.results if entry.error})[:5],
    }


def _row(name: str, verdict: Verdict, summary: str, data: dict[str, Any]) -> Evidence:
    return Evidence(
        gate=Gate.QUALITY,
        check=f"quality.{name}",
        verdict=verdict,
        summary=summary,
        remedy="" if verdict is Verdict.PASS else REMEDIES[name],
        data=data,
    )
