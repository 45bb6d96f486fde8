"""Whether a candidate is worse than a baseline: the same questions to both files, and what differs in their text.

The comparison of answers is the one of the quality gate (`tidegate.quality.judge_quality`), with one rule more:
a validation decides. Where the gate would ask for more questions, a net loss beyond the policy's margin fails
and a smaller one is a warning.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.domain import Evidence, Policy, Verdict
from tidegate.quality import Bank, BankResult, QuestionResult, is_right, judge_quality
from tidegate.validation.engine_report import EngineAnswer
from tidegate.validation.report import ValidationCategory, ValidationResult, ValidationStatus

SCORE, ANSWERS, TOPICS = "regression.score", "regression.answers", "regression.topics"
BASELINE, TOKENIZER, TEMPLATE = "regression.baseline", "regression.tokenizer", "regression.template"
FEWEST_RIGHT = 5
SHOWN_DIFF_LINES = 60

PASSED, FAILED, WARNING = ValidationStatus.PASSED, ValidationStatus.FAILED, ValidationStatus.WARNING
NOT_JUDGED, ERROR = ValidationStatus.NOT_JUDGED, ValidationStatus.ERROR
_STATUS_OF = {
    Verdict.PASS: PASSED,
    Verdict.FAIL: FAILED,
    Verdict.ERROR: ERROR,
    Verdict.NOT_JUDGED: NOT_JUDGED,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """Both files' answers to one bank. `theirs` is None without a baseline."""

    bank: Bank
    is_general: bool
    """True for the standard bank: what it asks need not be this model's subject."""
    ours: Sequence[EngineAnswer]
    theirs: Sequence[EngineAnswer] | None = None


def bank_result(bank: Bank, answers: Sequence[EngineAnswer], asked: Sequence[str]) -> BankResult:
    """Score the answers to the questions with these ids; a question without an answer is missing, not wrong."""
    given = {answer.id: answer for answer in answers}
    questions = {question.id: question for question in bank.questions}
    results: list[QuestionResult] = []
    for name in asked:
        question, answer = questions[name], given.get(name)
        problem = "not asked" if answer is None else answer.problem
        if answer is not None and not problem and answer.finish not in ("stop", "length"):
            problem = "the numbers are not finite"
        text = answer.text if answer is not None else ""
        right = None if problem else is_right(question.scorer, question.expect, text)
        results.append(
            QuestionResult(id=name, topic=question.topic, is_right=right, answer=text, error=problem)
        )
    return BankResult(bank=bank.name, bank_digest=bank.digest, model_digest=None, results=tuple(results))


def judge_bank(asked: Asked, policy: Policy) -> list[ValidationResult]:
    """Results on score, paired answers and topics. Questions that time did not suffice for are left out of both."""
    names = _answered_by_both(asked)
    total = len(asked.bank.questions)
    wanted = min(policy.validation.min_questions, total)
    if len(names) < wanted:
        text = f"Not judged: only {len(names)} of {total} questions were answered, {wanted} are wanted."
        remedy = "Raise validation.engine_wall_s in the policy, or validate on a faster machine."
        checks = (SCORE,) if asked.theirs is None else (SCORE, ANSWERS, TOPICS)
        return [_result(check, NOT_JUDGED, text, remedy) for check in checks]
    ours = bank_result(asked.bank, asked.ours, names)
    theirs = None if asked.theirs is None else bank_result(asked.bank, asked.theirs, names)
    rows = {row.check: row for row in judge_quality(ours, theirs, policy.quality)}
    results = [_score(rows["quality.score"], ours, is_general=asked.is_general)]
    if theirs is not None:
        results.append(_answers(rows["quality.regression"], ours, theirs, policy))
        results.append(_of_row(TOPICS, rows["quality.topics"]))
    return results


def _answered_by_both(asked: Asked) -> list[str]:
    """Ids in the bank's order that were put to both. One that a model could not answer counts as asked."""
    late = "the time for questions was over"
    ours = {answer.id for answer in asked.ours if answer.problem != late}
    theirs = (
        ours if asked.theirs is None else {answer.id for answer in asked.theirs if answer.problem != late}
    )
    return [question.id for question in asked.bank.questions if question.id in ours & theirs]


def _score(row: Evidence, ours: BankResult, *, is_general: bool) -> ValidationResult:
    if not is_general:
        return _of_row(SCORE, row)
    text = f"{ours.right} of {ours.total} general questions right; a model of another subject need not know them."
    return _result(SCORE, PASSED, text, details=_details(row))


def _answers(row: Evidence, ours: BankResult, theirs: BankResult, policy: Policy) -> ValidationResult:
    """The gate's verdict; undecided ones are decided by the margin alone."""
    result = _of_row(ANSWERS, row)
    if theirs.right < FEWEST_RIGHT and result.status is not FAILED:
        text = f"The baseline itself has {theirs.right} of {theirs.total} right: these questions compare nothing."
        return _result(
            ANSWERS, WARNING, text, "Give a question bank of the model's own subject.", _details(row)
        )
    if result.status is not NOT_JUDGED or ours.missing or theirs.missing:
        return result
    loss = (theirs.right - ours.right) / theirs.total
    is_beyond = loss > policy.quality.margin
    text = (
        f"{row.summary} The net loss is {loss:.1%}, {'more' if is_beyond else 'not more'} than "
        f"the margin of {policy.quality.margin:.1%}."
    )
    return _result(ANSWERS, FAILED if is_beyond else WARNING, text, row.remedy, _details(row))


def _of_row(check: str, row: Evidence) -> ValidationResult:
    return _result(check, _STATUS_OF[row.verdict], row.summary, row.remedy, _details(row))


def _details(row: Evidence) -> dict[str, Any]:
    return dict(row.data)


def judge_tokenizer(ours: dict[str, Any], theirs: dict[str, Any]) -> ValidationResult:
    """A tokenizer that changed makes the same text another prompt: prompts, limits and prices change with it."""
    if not ours or not theirs:
        return _result(TOKENIZER, NOT_JUDGED, "Not judged: one of the two has no readable tokenizer.")
    changed = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    if not changed:
        return _result(TOKENIZER, PASSED, "The tokenizer is the baseline's.")
    shown = ", ".join(name.replace("_", " ") for name in changed)
    details = {"changed": changed, "candidate": ours, "baseline": theirs}
    text = f"The tokenizer is not the baseline's: {shown} differ."
    remedy = "Intended with a new base model; otherwise export with the tokenizer that it was trained with."
    return _result(TOKENIZER, WARNING, text, remedy, details)


def judge_template(ours: str | None, theirs: str | None) -> ValidationResult:
    """A changed template is shown line by line: it decides what the model is really asked."""
    if ours is None or theirs is None:
        return _result(TEMPLATE, NOT_JUDGED, "Not judged: one of the two has no sound chat template.")
    if ours == theirs:
        return _result(TEMPLATE, PASSED, "The chat template is the baseline's.")
    lines = list(
        difflib.unified_diff(
            theirs.splitlines(), ours.splitlines(), "baseline", "candidate", lineterm="", n=1
        )
    )
    details = {"diff": [line[:400] for line in lines[:SHOWN_DIFF_LINES]], "diff_lines": len(lines)}
    text = "The chat template is not the baseline's; the difference is in the details."
    return _result(
        TEMPLATE, WARNING, text, "Read the difference: every line of it goes into prompts.", details
    )


def no_baseline(*, is_needed: bool) -> ValidationResult:
    text = "Not judged: no baseline was named to compare with."
    remedy = "Name the live version's file as the baseline (--baseline)."
    return _result(BASELINE, NOT_JUDGED, text, remedy).model_copy(update={"is_needed": is_needed})


def not_compared(check: str) -> ValidationResult:
    return _result(check, NOT_JUDGED, "Not judged: not both files could be asked.")


def baseline_refused(reasons: Sequence[str]) -> ValidationResult:
    text = f"The baseline itself cannot be used: {'; '.join(reasons[:2])}."
    return _result(BASELINE, ERROR, text, "Name a baseline that is sound; look at what serves now.")


def baseline_used(version: str | None, digest: str) -> ValidationResult:
    named = f"version {version}" if version else "the baseline"
    return _result(
        BASELINE, PASSED, f"Compared with {named} ({digest[:12]}).", details={"baseline_digest": digest}
    )


def _result(
    check: str,
    status: ValidationStatus,
    message: str,
    remedy: str = "",
    details: dict[str, Any] | None = None,
) -> ValidationResult:
    return ValidationResult(
        category=ValidationCategory.REGRESSION, check_name=check, status=status, message=message, remedy=remedy,
        details=dict(details or {}),
    )  # fmt: skip
