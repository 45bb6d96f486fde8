"""Whether a candidate is worse than a baseline: the same questions to both files, and what differs in their text.

The comparison of answers is the one of the quality gate (`tidegate.quality.judge_quality`), with one rule more:
a validation decides. Where the gate would ask for more questions, a net loss beyond the policy's margin fails,
a smaller one is a warning, and none passes: it says that this is no proof, and what these questions could not rule out.
No release rests on it: there the quality gate decides, for which "no net loss" is not judged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.domain import Evidence, Policy, Verdict
from tidegate.domain.plain import plural
from tidegate.gguf import Severity
from tidegate.quality import Bank, BankResult
from tidegate.quality.run import scored_question
from tidegate.validation.answers import answer_of
from tidegate.validation.confinement import OUT_OF_TIME
from tidegate.validation.difference import Difference
from tidegate.validation.engine_report import EngineAnswer
from tidegate.validation.report import ValidationCategory, ValidationResult, ValidationStatus

SCORE, ANSWERS, TOPICS = "regression.score", "regression.answers", "regression.topics"
BASELINE, TOKENIZER, TEMPLATE = "regression.baseline", "regression.tokenizer", "regression.template"
METADATA, BASE_MODEL = "regression.metadata", "file.base_model"
TOKENIZER_RULE = "V-BASE"
FEWEST_RIGHT = 5

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
    results = [
        scored_question(questions[name], [answer_of(questions[name], given.get(name))]) for name in asked
    ]
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
    # Only here, because it computes with numpy, which a validation without answers does not load.
    from tidegate.quality import judge_quality

    rows = {row.check: row for row in judge_quality(ours, theirs, policy.quality)}
    results = [_score(rows["quality.score"], ours, is_general=asked.is_general)]
    if theirs is not None:
        results.append(_answers(rows["quality.regression"], ours, theirs, policy))
        results.append(_of_row(TOPICS, rows["quality.topics"]))
    return results


def _answered_by_both(asked: Asked) -> list[str]:
    """Ids in the bank's order that were put to both. One that a model could not answer counts as asked."""
    ours = {answer.id for answer in asked.ours if answer.problem != OUT_OF_TIME}
    theirs = (
        ours
        if asked.theirs is None
        else {answer.id for answer in asked.theirs if answer.problem != OUT_OF_TIME}
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
    if loss <= 0:
        text = f"No net loss, which is no proof that there is none. {row.summary}"
        return _result(ANSWERS, PASSED, text, details=_details(row) | {"is_proof": False})
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


def judge_difference(difference: Difference | None, architecture: str) -> list[ValidationResult]:
    """What the headers say: tokenizer, template and the settings of the model."""
    if difference is None or difference.problem:
        why = "not both headers are sound" if difference is None else difference.problem
        rows = [
            _result(check, NOT_JUDGED, f"Not judged: {why}.") for check in (TOKENIZER, TEMPLATE, METADATA)
        ]
        return rows if difference is None else [row.model_copy(update={"status": ERROR}) for row in rows]
    return [
        judge_tokenizer(difference),
        judge_template(difference),
        judge_metadata(difference, architecture),
    ]


def judge_tokenizer(difference: Difference) -> ValidationResult:
    """A tokenizer that changed makes the same text another prompt: prompts, limits and prices change with it."""
    found = tuple(one for one in difference.findings if one.check == TOKENIZER_RULE)
    changed = difference.tokenizer
    if changed is None:
        return _result(TOKENIZER, PASSED, "The tokenizer is the baseline's.")
    details = {"changed": list(changed.changed), "examples": list(changed.examples)}
    text = found[0].message if found else f"The tokenizer differs: {'; '.join(changed.changed)}."
    remedy = "Intended with a new base model; otherwise export with the tokenizer that it was trained with."
    return _result(TOKENIZER, WARNING, text, remedy, details).model_copy(update={"findings": found})


def judge_template(difference: Difference) -> ValidationResult:
    """A changed template is shown line by line, for it decides what the model is really asked. One that acts on a
    word or drops messages where the baseline's did not is refused."""
    # The lines of the difference are in the details.
    found = tuple(
        one.model_copy(update={"message": one.message.partition("\n")[0]})
        for one in difference.findings
        if one.check != TOKENIZER_RULE
    )
    if not difference.templates and not found:
        return _result(TEMPLATE, PASSED, "The chat template is the baseline's.")
    lines = [line for template in difference.templates for line in template.lines]
    summary = " ".join(template.summary for template in difference.templates)
    details = {"diff": lines, "diff_lines": len(lines)}
    worse = [one for one in found if one.severity is Severity.ERROR]
    if worse:
        more = f" ({len(worse) - 1} more)" if len(worse) > 1 else ""
        result = _result(TEMPLATE, FAILED, f"{worse[0].message}{more} {summary}", worse[0].remedy, details)
    else:
        text = f"The chat template is not the baseline's. {summary}"
        remedy = "Read the difference: every line of it goes into prompts."
        result = _result(TEMPLATE, WARNING, text, remedy, details)
    return result.model_copy(update={"findings": found})


def judge_metadata(difference: Difference, architecture: str) -> ValidationResult:
    """Names and descriptions may differ. Settings and tensors of the model make it another one: no fine-tune."""
    rows = [change.model_dump() for change in (*difference.metadata, *difference.tensors)]
    details = {
        "changes": rows,
        "metadata_changes": difference.metadata_changes,
        "tensor_changes": difference.tensor_changes,
    }
    counted = f"{plural(difference.metadata_changes, 'metadata key')} and {plural(difference.tensor_changes, 'tensor')}"
    settings = [
        change
        for change in difference.metadata
        if change.name == "general.architecture" or change.name.startswith(f"{architecture}.")
    ]
    if settings:
        first = settings[0]
        text = (
            f"{counted} differ. {plural(len(settings), 'setting')} of the model among them: "
            f"{first.name} {first.old or 'none'} -> {first.new or 'none'}."
        )
        remedy = "Intended with another base model; a fine-tune of the baseline keeps its settings."
        return _result(METADATA, WARNING, text, remedy, details)
    if not rows:
        return _result(METADATA, PASSED, "Metadata and tensors are described as in the baseline.")
    return _result(METADATA, PASSED, f"{counted} differ, and no setting of the model.", details=details)


def judge_adapter(difference: Difference | None) -> ValidationResult:
    """Whether an adapter fits the baseline as its base model."""
    if difference is None:
        text = "Not judged: only a LoRA adapter in GGUF is compared with a base model in GGUF."
        remedy = "Convert the adapter with convert_lora_to_gguf.py, and name the base model's GGUF file."
        return _base(NOT_JUDGED, text, remedy)
    if difference.problem:
        return _base(ERROR, f"Not compared: {difference.problem}.", "Look at the origin of both files.")
    errors = [one for one in difference.findings if one.severity is Severity.ERROR]
    if errors:
        more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
        result = _base(FAILED, f"{errors[0].message}{more}", errors[0].remedy)
    else:
        result = _base(PASSED, "Every matrix of the adapter fits a tensor of the baseline.")
    return result.model_copy(update={"findings": difference.findings})


def _base(status: ValidationStatus, message: str, remedy: str = "") -> ValidationResult:
    return _result(BASE_MODEL, status, message, remedy).model_copy(
        update={"category": ValidationCategory.FORMAT}
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
