"""Parts of a bank: those that a policy declares decide by their own margin, all others are shown. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidegate.domain import Verdict
from tidegate.domain.policy import SlicePolicy
from tidegate.quality.decision import Decision, decide
from tidegate.quality.paired_tests import Rules
from tidegate.quality.pairs import Pairs
from tidegate.quality.results import BankResult, QuestionResult
from tidegate.quality.told import told_decision
from tidegate.statistics import benjamini_hochberg, mcnemar_exact

WHOLE = ""
MOST_SHOWN = 40


def decide_slices(pairs: Pairs, rules: Rules, slices: Mapping[str, SlicePolicy]) -> dict[str, Decision]:
    """Decisions by name, that of the whole bank under `WHOLE`. A slice without a complete pair has none.

    All must pass, so passing needs no correction. A fail of any fails the candidate: the tests for "worse" are Holm's,
    each first at alpha / m, and those left over at alpha / (m - as many as were found worse).
    """
    parts = {WHOLE: (pairs, rules)} | {
        name: (part, replace(rules, margin=own.margin))
        for name, own in slices.items()
        if (part := pairs.of_slice(name)).complete
    }
    count, worse = len(parts), 0
    while True:
        rate = rules.alpha / (count - worse) if worse < count else rules.alpha
        found = {name: decide(part, replace(own, alpha_fail=rate)) for name, (part, own) in parts.items()}
        now_worse = sum(decision.tested.is_worse for decision in found.values())
        if now_worse <= worse or now_worse == count:
            return found
        worse = now_worse


def judged_slices(
    candidate: BankResult, decisions: Mapping[str, Decision], slices: Mapping[str, SlicePolicy]
) -> tuple[Verdict, str, dict[str, Any]]:
    """Verdict on all declared slices together, its sentence, and its data."""
    verdicts: dict[str, Verdict] = {}
    told: dict[str, str] = {}
    for name, own in slices.items():
        entries = [entry for entry in candidate.results if name in (entry.topic, *entry.tags)]
        verdicts[name], told[name] = _one(entries, decisions.get(name), own, has_baseline=bool(decisions))
    verdict = next(
        (one for one in (Verdict.FAIL, Verdict.NOT_JUDGED) if one in verdicts.values()), Verdict.PASS
    )
    open_slices = [name for name, one in verdicts.items() if one is Verdict.NOT_JUDGED]
    is_undecided = verdict is Verdict.NOT_JUDGED and all(
        name in decisions and decisions[name].is_undecided for name in open_slices
    )
    shown = [f"{name}: {told[name]}" for name, one in verdicts.items() if one is verdict]
    data: dict[str, Any] = {
        "slices": {name: {"verdict": verdicts[name].value, "told": told[name]} for name in slices},
    }
    if is_undecided or verdict is not Verdict.NOT_JUDGED:
        data["samples"] = sum(decision.pairs for name, decision in decisions.items() if name != WHOLE)
    return verdict, " ".join(shown), data


def _one(
    entries: list[QuestionResult], decision: Decision | None, own: SlicePolicy, *, has_baseline: bool
) -> tuple[Verdict, str]:
    if not entries:
        return Verdict.NOT_JUDGED, "the bank has no question of it."
    reached = sum(entry.value or 0.0 for entry in entries) / len(entries)
    missing = sum(entry.value is None for entry in entries)
    if own.min_score is not None and reached + missing / len(entries) < own.min_score:
        text = f"mean score {reached:.1%} over {len(entries)} questions, at least {own.min_score:.0%} wanted."
        return Verdict.FAIL, text
    if missing:
        return Verdict.NOT_JUDGED, f"{missing} of {len(entries)} questions have no answer."
    if decision is None:
        text = "the baseline answered no question of it." if has_baseline else "no baseline to compare with."
        return Verdict.NOT_JUDGED if has_baseline else Verdict.PASS, text
    return decision.verdict, told_decision(decision, own.margin)


def shown_slices(pairs: Pairs) -> list[dict[str, Any]]:
    """Every topic and tag, worst first, with sign tests corrected for their number. They decide nothing."""
    names = pairs.slices()
    rows: list[dict[str, Any]] = []
    for name in names:
        part = pairs.of_slice(name)
        losses, wins, count = len(part.losses), len(part.wins), len(part.complete)
        if count:
            difference = sum(pair.difference for pair in part.complete) / count
            rows.append(
                {
                    "slice": name,
                    "pairs": count,
                    "lost": losses,
                    "won": wins,
                    "difference": round(difference, 4),
                }
            )
    adjusted = benjamini_hochberg([mcnemar_exact(row["lost"], row["won"]) for row in rows])
    for row, value in zip(rows, adjusted, strict=True):
        row["worse_p_adjusted"] = round(value, 4)
    return sorted(rows, key=lambda row: (row["worse_p_adjusted"], row["difference"]))[:MOST_SHOWN]
