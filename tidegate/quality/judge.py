"""Whether a candidate's answers let it pass. Pure; paired by question.

`quality.score`: share of right answers at least the policy's minimum.

`quality.regression`: of the questions that both models answered, `losses` are those that only the baseline
had right and `wins` those that only the candidate had right. In this order:
1. Tango's score test shows that the loss is smaller than the margin: pass.
2. The exact McNemar test says "worse" (one-sided p at most alpha): fail.
3. Wins are at least losses: pass. The bank is too small to prove that the loss stays inside the margin, but
   it shows no net loss; the summary says so and names the largest loss that it cannot rule out and the
   smallest drop that it can detect.
4. Otherwise there is a net loss that the bank can neither call chance nor a regression: not judged.
Example: 68 questions and a margin of 5 points. No differing answer: pass by 1 (52 are enough). One loss and
no win: not judged. Two losses, two wins: pass by 3. Five losses and no win: fail (p = 0.031).

`quality.topics`: a topic whose share of right answers drops by more than the policy's limit, and by at least
two questions, fails alone, whatever the whole bank says.

Missing answers: only a verdict that no answer could change is given (a fail, counting every missing answer
for the candidate); otherwise not judged. Without a baseline only the absolute score is judged.
"""

from dataclasses import dataclass
from typing import Any

from tidegate.domain import Evidence, Gate, Verdict
from tidegate.domain.policy import QualityPolicy
from tidegate.quality.results import BankResult, QuestionResult
from tidegate.statistics import (
    largest_loss,
    mcnemar_exact,
    plan_quality,
    shows_non_inferiority,
    smallest_bank,
    wilson_interval,
)

QUALITY_CHECKS = frozenset({"quality.score", "quality.regression", "quality.topics"})
MIN_TOPIC_LOSSES = 2
"""A single lost question is no topic: it is counted by the regression test."""
MAX_NAMED = 20

REMEDIES = {
    "score": "Look at the wrong answers; the model is not fit for this service, or the bank is not about it.",
    "regression": "Look at the lost questions; retrain, or widen the bank when it is too small to decide.",
    "topics": "Retrain with examples of these topics, or take them out of the bank if they are no longer served.",
}


def judge_quality(
    candidate: BankResult, baseline: BankResult | None, policy: QualityPolicy
) -> list[Evidence]:
    """One row for each of `QUALITY_CHECKS`, by the rules of the module docstring."""
    if fault := _unusable(candidate, baseline):
        return [_row(name, Verdict.NOT_JUDGED, fault, _data(candidate)) for name in REMEDIES]
    score = _score(candidate, policy)
    if baseline is None:
        note = "No baseline: judged by the absolute score alone."
        return [
            score,
            *(_row(name, Verdict.PASS, note, {"baseline": None}) for name in ("regression", "topics")),
        ]
    pairs = _pair(candidate, baseline)
    return [score, _regression(pairs, policy), _topics(pairs, policy)]


@dataclass(frozen=True)
class _Pairs:
    """Both results side by side."""

    both: tuple[tuple[QuestionResult, QuestionResult], ...]
    missing_topics: tuple[str, ...]
    """Topic of each pair of which an answer is absent."""

    @property
    def missing(self) -> int:
        return len(self.missing_topics)

    @property
    def losses(self) -> list[str]:
        return [ours.id for ours, theirs in self.both if theirs.is_right and not ours.is_right]

    @property
    def wins(self) -> list[str]:
        return [ours.id for ours, theirs in self.both if ours.is_right and not theirs.is_right]


def _pair(candidate: BankResult, baseline: BankResult) -> _Pairs:
    theirs = {result.id: result for result in baseline.results}
    pairs = [(ours, theirs[ours.id]) for ours in candidate.results]
    both = tuple(pair for pair in pairs if all(result.is_right is not None for result in pair))
    absent = (ours.topic for ours, theirs in pairs if ours.is_right is None or theirs.is_right is None)
    return _Pairs(both, tuple(absent))


def _unusable(candidate: BankResult, baseline: BankResult | None) -> str:
    """Why these results cannot be judged at all."""
    for name, result in (("candidate", candidate), ("baseline", baseline)):
        if result is not None and len(result.served_models) > 1:
            models = ", ".join(model[:12] for model in result.served_models)
            return f"The {name}'s answers came from several models ({models})."
        if result is not None and result.total == result.missing:
            reason = next((entry.error for entry in result.results if entry.error), "no questions")
            return f"The {name} answered no question ({reason})."
    if baseline is not None and (
        baseline.bank_digest != candidate.bank_digest
        or {result.id for result in baseline.results} != {result.id for result in candidate.results}
    ):
        return "Candidate and baseline answered different banks."
    return ""


def _score(candidate: BankResult, policy: QualityPolicy) -> Evidence:
    right, missing, total = candidate.right, candidate.missing, candidate.total
    low, high = wilson_interval(right, total - missing)
    data = _data(candidate) | {"share_95": [round(low, 4), round(high, 4)]}
    text = f"{right} of {total} right ({right / total:.1%}), at least {policy.min_score:.0%} wanted"
    if (right + missing) / total < policy.min_score:
        return _row("score", Verdict.FAIL, f"{text}.", data)
    if missing:
        return _row("score", Verdict.NOT_JUDGED, f"{text}; {missing} questions have no answer.", data)
    return _row("score", Verdict.PASS, f"{text}.", data)


def _regression(pairs: _Pairs, policy: QualityPolicy) -> Evidence:
    losses, wins, answered = len(pairs.losses), len(pairs.wins), len(pairs.both)
    bound = largest_loss(losses, wins, answered, policy.alpha)
    # Every missing answer is counted for the candidate: only then is a fail certain.
    best_wins, total = wins + pairs.missing, answered + pairs.missing
    p_value = mcnemar_exact(losses, best_wins)
    is_inside = shows_non_inferiority(losses, best_wins, total, policy.margin, policy.alpha)
    plan = plan_quality(answered, policy.margin, alpha=policy.alpha)
    data: dict[str, Any] = {
        "pairs": answered,
        "missing": pairs.missing,
        "losses": pairs.losses[:MAX_NAMED],
        "wins": pairs.wins[:MAX_NAMED],
        "lost": losses,
        "won": wins,
        "mcnemar_p": round(p_value, 6),
        "largest_loss": round(bound, 4),
        "margin": policy.margin,
        "smallest_bank_for_margin": smallest_bank(policy.margin, policy.alpha),
        "detectable_drop": round(plan.detectable_drop, 4),
        "plan": plan.describe(),
    }
    text = f"Of {answered} questions {losses} lost and {wins} won against the baseline"
    margin = f"{policy.margin * 100:g} points"
    if is_inside and not pairs.missing:
        note = f"a loss of {margin} is ruled out (at most {max(0.0, bound) * 100:.1f} points)"
        return _row("regression", Verdict.PASS, f"{text}; {note}.", data)
    if p_value <= policy.alpha and not is_inside:
        return _row("regression", Verdict.FAIL, f"{text}: worse (exact McNemar p = {p_value:.2g}).", data)
    if pairs.missing:
        return _row("regression", Verdict.NOT_JUDGED, f"{text}; {pairs.missing} have no answer.", data)
    if wins >= losses:
        note = f"no net loss, but this bank is too small to rule out a loss of {bound * 100:.1f} points"
        return _row("regression", Verdict.PASS, f"{text}; {note}; it {plan.reach}.", data)
    note = f"too few to decide about a margin of {margin} (p = {p_value:.2g})"
    return _row("regression", Verdict.NOT_JUDGED, f"{text}; {note}; this bank {plan.reach}.", data)


def _topics(pairs: _Pairs, policy: QualityPolicy) -> Evidence:
    topics: dict[str, tuple[int, int, int]] = {}
    for ours, theirs in pairs.both:
        before, after, total = topics.get(ours.topic, (0, 0, 0))
        topics[ours.topic] = (before + bool(theirs.is_right), after + bool(ours.is_right), total + 1)
    told = {topic: f"{b}/{n} -> {a}/{n}" for topic, (b, a, n) in topics.items()}
    failed = [
        topic
        for topic, (before, after, total) in topics.items()
        if _is_lost(before - after, total, pairs.missing_topics.count(topic), policy.max_topic_drop)
    ]
    data = {"topics": told, "failed": failed, "max_topic_drop": policy.max_topic_drop}
    if failed:
        worst = ", ".join(f"{topic} {told[topic]}" for topic in failed)
        return _row("topics", Verdict.FAIL, f"Topics lost: {worst}.", data)
    listed = ", ".join(f"{topic} {change}" for topic, change in told.items())
    if pairs.missing:
        text = f"{pairs.missing} questions have no answer ({listed})."
        return _row("topics", Verdict.NOT_JUDGED, text, data)
    return _row("topics", Verdict.PASS, f"No topic was lost: {listed}.", data)


def _is_lost(net_losses: int, answered: int, missing: int, max_drop: float) -> bool:
    """Whether a topic is lost even if every missing answer were a win."""
    certain = net_losses - missing
    return certain >= MIN_TOPIC_LOSSES and certain / (answered + missing) > max_drop


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
