"""The other file: whether it can be compared with at all, and what the comparison says. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.domain import Policy
from tidegate.gguf import Severity
from tidegate.quality import STANDARD_BANK, Bank, read_bank
from tidegate.validation.allocation import CrossCheck
from tidegate.validation.difference import Difference
from tidegate.validation.engine_report import EngineRun
from tidegate.validation.inference import judge_inference, read_report
from tidegate.validation.inspected import Inspected
from tidegate.validation.latency import judge_slowdown
from tidegate.validation.regression import (
    ANSWERS,
    METADATA,
    SCORE,
    TEMPLATE,
    TOKENIZER,
    TOPICS,
    Asked,
    baseline_refused,
    baseline_used,
    judge_adapter,
    judge_bank,
    judge_difference,
    no_baseline,
    not_compared,
)
from tidegate.validation.report import Recommendation, ValidationResult, ValidationStatus, recommend


@dataclass(frozen=True, slots=True)
class ChosenBank:
    """The questions that both files are asked."""

    bank: Bank
    is_general: bool
    """Nobody named one of the model's subject."""


@dataclass(frozen=True, slots=True)
class Side:
    """What was found out about one of the two files."""

    seen: Inspected
    run: EngineRun | None = None
    check: CrossCheck | None = None
    """The engine's own plan of memory; made for the candidate alone."""
    difference: Difference | None = None
    """Of the candidate to the baseline, by their headers."""


def choose_bank(named: Bank | None, *, has_baseline: bool) -> ChosenBank | None:
    """Without a bank of the subject, general questions compare two models, and judge no single one."""
    if named is not None:
        return ChosenBank(named, is_general=False)
    return ChosenBank(read_bank(STANDARD_BANK), is_general=True) if has_baseline else None


def unusable(side: Side) -> list[str]:
    """Why this baseline compares nothing; empty when it is sound."""
    if side.seen.is_other_kind:
        return ["it is no GGUF model"]
    if not side.seen.is_sound:
        found = [one.message for one in side.seen.findings if one.severity is Severity.ERROR]
        return found or ["it was not read to its end"]
    if side.run is None:
        return ["it was not loaded"]
    refusing = (ValidationStatus.FAILED, ValidationStatus.ERROR)
    return [result.message for result in judge_inference(side.run) if result.status in refusing]


def judge_regression(
    ours: Side, theirs: Side | None, chosen: ChosenBank | None, policy: Policy, version: str | None
) -> list[ValidationResult]:
    """Results of category regression, and the one of latency that needs both files."""
    said = None if ours.run is None else read_report(ours.run)[0]
    if theirs is None:
        results = [no_baseline(is_needed=policy.validation.require_baseline)]
        if chosen is not None and said is not None:
            results += judge_bank(Asked(chosen.bank, chosen.is_general, said.bank), policy)
        elif chosen is not None:
            results.append(not_compared(SCORE))
        return results
    if ours.seen.is_other_kind:
        return _of_adapter(ours, theirs, version)
    reasons = unusable(theirs)
    used = baseline_refused(reasons) if reasons else baseline_used(version, theirs.seen.digest)
    texts = judge_difference(ours.difference, theirs.seen.model.architecture if theirs.seen.model else "")
    other = None if theirs.run is None else read_report(theirs.run)[0]
    if reasons or said is None or other is None or chosen is None:
        return [used, *(not_compared(check) for check in (SCORE, ANSWERS, TOPICS)), *texts]
    asked = Asked(chosen.bank, chosen.is_general, said.bank, other.bank)
    speed = judge_slowdown(said, other, policy.validation.latency)
    return [used, *judge_bank(asked, policy), *texts, speed]


def _of_adapter(ours: Side, theirs: Side, version: str | None) -> list[ValidationResult]:
    """An adapter is not asked anything: its baseline is the base model that it is for."""
    if theirs.seen.is_other_kind or not theirs.seen.is_sound:
        found = [one.message for one in theirs.seen.findings if one.severity is Severity.ERROR]
        used = baseline_refused(["it is no GGUF model"] if theirs.seen.is_other_kind else found)
        return [used]
    return [baseline_used(version, theirs.seen.digest), judge_adapter(ours.difference)]


def recommend_against(
    results: Sequence[ValidationResult], theirs: Side | None, version: str | None
) -> tuple[Recommendation, str | None]:
    """A refused candidate gives way to its baseline, if that has a version and proved sound here and now."""
    recommendation = recommend(results)
    if recommendation is not Recommendation.DO_NOT_DEPLOY or theirs is None or not version:
        return recommendation, None
    if unusable(theirs):
        return recommendation, None
    return Recommendation.ROLL_BACK, version


def baseline_summary(
    theirs: Side, results: Sequence[ValidationResult], version: str | None, path: str
) -> dict[str, Any]:
    """The comparison in one place, for reports."""
    details = {result.check_name: result.details for result in results}
    return {
        "path": path,
        "version": version,
        "digest": theirs.seen.digest,
        "size_bytes": theirs.seen.size_bytes,
        "model": None if theirs.seen.model is None else theirs.seen.model.model_dump(mode="json"),
        "scores": {
            name: details.get(check, {})
            for name, check in (("score", SCORE), ("answers", ANSWERS), ("topics", TOPICS))
        },
        "tokenizer": details.get(TOKENIZER, {}),
        "template": details.get(TEMPLATE, {}),
        "metadata": details.get(METADATA, {}),
        "speed": details.get("latency.baseline", {}),
    }
