"""Asks a model before anyone else does: it loads, its numbers are checked, and it answers.

The engine runs in a confined child, once for everything that is asked. What is judged here is what that child
reported, as pure functions.
"""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tidegate.domain import Evidence, NotFound, Policy
from tidegate.validation.confinement import OUT_OF_TIME, ChildLimits
from tidegate.validation.engine_report import EngineAnswer, EngineJob, EngineReport, EngineRun
from tidegate.validation.latency import judge_latency
from tidegate.validation.launching import (
    DEFAULT_MEMORY_BYTES,
    ChildLauncher,
    EngineLauncher,
    engine_job,
    engine_limits,
)
from tidegate.validation.levels import at_level
from tidegate.validation.quality import ASPECTS, judge_responses
from tidegate.validation.report import (
    TestQuery,
    TestResponse,
    ValidationCategory,
    ValidationResult,
    ValidationStatus,
    evidence_of_result,
)

LOAD, TENSORS, ANSWERS = "inference.load", "inference.check_tensors", "inference.answers"
DETERMINISM, STOP, LONG = "inference.determinism", "inference.stop", "inference.long_prompt"
INFERENCE_RESULTS = (LOAD, TENSORS, ANSWERS, DETERMINISM, STOP, LONG)
RESPONSE_RESULTS = (*(aspect.check for aspect in ASPECTS), "response.variety")
LATENCY_RESULTS = ("latency.speed", "latency.ttft")
ENGINE_RESULTS = (*INFERENCE_RESULTS, *RESPONSE_RESULTS, *LATENCY_RESULTS)
INFERENCE_CHECKS: frozenset[str] = frozenset({
    LOAD, TENSORS, ANSWERS, STOP, "response.text", "response.repetition", "response.special_tokens", "latency.speed",
})  # fmt: skip
"""What the inference gate of a release asks for; the other results count when they are there."""

LOADED = 1
SHOWN_CHARACTERS = 2000

PASSED, FAILED, WARNING = ValidationStatus.PASSED, ValidationStatus.FAILED, ValidationStatus.WARNING
NOT_JUDGED, ERROR = ValidationStatus.NOT_JUDGED, ValidationStatus.ERROR

_CRASHES = {
    int(kind) for kind in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
}
_THINKING = ("<think", "thought", "reasoning")
_REFUSE = "Do not deploy the file; look at how it was trained, converted or quantized."
_ENGINE = "Check that the engine of the pinned version is installed on this host, then run the gate again."
_FASTER = "Validate on a faster machine, or raise validation.engine_wall_s in the policy."
_STOP_REMEDY = (
    "Train every answer with the end token behind it, and set tokenizer.ggml.eos_token_id to that token."
)


def check_inference(
    path: str | Path,
    digest: str,
    *,
    prompts: Sequence[str] | None = None,
    context_tokens: int = 256,
    policy: Policy | None = None,
    max_memory_bytes: int = DEFAULT_MEMORY_BYTES,
    launcher: EngineLauncher | None = None,
    limits: ChildLimits | None = None,
) -> list[Evidence]:
    """Load the file once, ask it, measure it. Rows for every check of `ENGINE_RESULTS`.

    The structural gate must have passed before this is called: some damaged files abort the engine, and only
    the structural checks keep them away from it.

    Raises:
        NotFound: there is no such file.
    """
    rules = policy or Policy()
    artifact = Path(path)
    try:
        descriptor = os.open(artifact, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(
            f"There is no file {artifact}.", remedy="Register the artifact again.", field="path"
        ) from error
    try:
        job = engine_job(os.fstat(descriptor).st_size, digest, rules, context_tokens, prompts)
        size = os.fstat(descriptor).st_size
        run = (launcher or ChildLauncher()).run(
            descriptor, job, limits or engine_limits(size, job, max_memory_bytes)
        )
    finally:
        os.close(descriptor)
    results = (at_level(result, rules.validation) for result in judge_engine(run, rules))
    return [evidence_of_result(result, digest) for result in results]


def read_report(run: EngineRun) -> tuple[EngineReport | None, str]:
    """What the child said, or why it cannot be used."""
    if run.outcome.result is None:
        return None, run.outcome.problem
    try:
        return EngineReport.model_validate(run.outcome.result), ""
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return None, f"its result cannot be read ({where}: {first['type']})"


def judge_engine(run: EngineRun, policy: Policy) -> list[ValidationResult]:
    """Pure: from what the child reported to one result for each of `ENGINE_RESULTS`."""
    results = judge_inference(run)
    report, _ = read_report(run)
    if report is None or not report.answers or _first_trouble(report, run.job):
        rest = (*RESPONSE_RESULTS, *LATENCY_RESULTS)
        return [*results, *not_judged(*rest)]
    prompts = {query.id: query.prompt for query in (*run.job.queries, *run.job.bank)}
    answers = report.answers if run.job.bank_is_general else [*report.answers, *report.bank]
    results += judge_responses(answers, prompts, policy.validation.response, is_general=run.job.is_general)
    return [*results, *judge_latency(report, policy.validation.latency)]


def judge_inference(run: EngineRun) -> list[ValidationResult]:
    """Loading, numbers, and whether questions are answered at all. What is missing never passes."""
    report, problem = read_report(run)
    if report is None:
        return _without_report(run, problem)
    if trouble := _first_trouble(report, run.job):
        return trouble
    loaded = _result(
        LOAD, PASSED, f"Loaded in {report.load_seconds:.2f} s on this {report.device or 'machine'}.",
        details={"load_seconds": report.load_seconds, "peak_memory_bytes": report.peak_memory_bytes,
                 "device": report.device},
    )  # fmt: skip
    checked = _result(TENSORS, PASSED, "The engine found every tensor valid.")
    return [
        loaded,
        checked,
        judge_answers(report, run.job),
        _determinism(report, run.job),
        _stop(report, run.job),
        _long_prompts(report, run.job),
    ]


def _first_trouble(report: EngineReport, job: EngineJob) -> list[ValidationResult]:
    """What keeps every question from being asked; empty when nothing does."""
    if report.missing_engine:
        text = f"The engine is not installed here: {report.missing_engine}."
        return [_result(check, ERROR, text, _ENGINE) for check in INFERENCE_RESULTS]
    if report.digest != job.digest:
        text = f"The file has the SHA-256 {report.digest or 'of nothing'}, expected {job.digest}."
        return _failed_at(LOAD, text, "Register the artifact again.")
    if report.changed:
        text = "The file was written to while it was loaded and asked."
        return _failed_at(LOAD, text, "Validate a stored, read-only copy.")
    if not report.loads:
        return _failed_at(LOAD, f"The engine refuses the file: {_last_lines(report)}", _REFUSE)
    if not report.is_checked:
        loaded = _result(LOAD, PASSED, f"Loaded in {report.load_seconds:.2f} s.")
        text = f"The engine finds invalid numbers: {_last_lines(report)}"
        return [loaded, *_failed_at(TENSORS, text, _REFUSE)]
    return []


def judge_answers(report: EngineReport, job: EngineJob) -> ValidationResult:
    """Every question is answered, with finite numbers."""
    problems = [report.problem] if report.problem else []
    answers = {answer.id: answer for answer in report.answers}
    missing = [query.id for query in job.queries if query.id not in answers]
    if missing or not job.queries:
        problems.append("not every question was answered")
    problems += [
        f"to {query.prompt[:60]!r} it {trouble}"
        for query in job.queries
        if query.id in answers and (trouble := answer_trouble(answers[query.id]))
    ]
    details = {
        "answers": [_shown(answers[query.id], query.prompt) for query in job.queries if query.id in answers]
    }
    if problems:
        more = f"; {len(problems) - 3} more" if len(problems) > 3 else ""
        is_only_late = all(OUT_OF_TIME in problem for problem in problems)
        status, remedy = (ERROR, _FASTER) if is_only_late else (FAILED, _REFUSE)
        return _result(ANSWERS, status, f"{'; '.join(problems[:3])}{more}.", remedy, details)
    stops = sum(answer.finish == "stop" for answer in report.answers)
    text = f"{len(report.answers)} questions answered, {stops} of them ended by the model."
    return _result(ANSWERS, PASSED, text, details=details)


def answer_trouble(answer: EngineAnswer) -> str:
    """Why this is no answer, or nothing."""
    if answer.problem:
        return f"gives no answer ({answer.problem})"
    if not answer.is_finite or answer.finish not in ("stop", "length"):
        return "computes numbers that are not finite"
    return ""


def _determinism(report: EngineReport, job: EngineJob) -> ValidationResult:
    """Greedy answers to the same question must be the same tokens."""
    first = {answer.id: answer.tokens for answer in report.answers}
    again = {answer.id: answer.tokens for answer in report.repeated}
    wanted = [query for query in job.queries if query.is_repeated]
    if not wanted or any(query.id not in again or query.id not in first for query in wanted):
        return _result(DETERMINISM, NOT_JUDGED, "Not judged: no question was answered twice.")
    differing = [query.prompt for query in wanted if first[query.id] != again[query.id]]
    if differing:
        text = f"Another greedy answer to the same question in {len(differing)} of {len(wanted)} cases: {differing[0][:60]!r}."
        return _result(
            DETERMINISM, FAILED, text, "Look for numbers that are not finite, or an engine built otherwise."
        )
    return _result(DETERMINISM, PASSED, f"{len(wanted)} questions asked twice got the same answer.")


def _stop(report: EngineReport, job: EngineJob) -> ValidationResult:
    """The model ends its answers itself. One that never does writes until the limit, at the user's cost."""
    given = [answer for answer in report.answers if answer.finish in ("stop", "length")]
    if not given:
        return _result(STOP, NOT_JUDGED, "Not judged: there is no answer.")
    stopped = sum(answer.finish == "stop" for answer in given)
    longest = max((query.max_tokens for query in job.queries), default=0)
    details = {"stopped": stopped, "answers": len(given), "limit_tokens": longest}
    if stopped:
        return _result(
            STOP, PASSED, f"{stopped} of {len(given)} answers were ended by the model.", details=details
        )
    text = f"No answer came to its end within {longest} tokens."
    if any(mark in answer.text.casefold()[:200] for answer in given for mark in _THINKING):
        return _result(STOP, WARNING, f"{text} The model seems to think aloud first.", _STOP_REMEDY, details)
    return _result(STOP, FAILED, text, _STOP_REMEDY, details)


def _long_prompts(report: EngineReport, job: EngineJob) -> ValidationResult:
    """Prompts that nearly fill the context are computed without invalid numbers."""
    if not job.tries_long_prompts or not report.long_prompts:
        return _result(LONG, NOT_JUDGED, "Not judged: no long prompt was tried.")
    tried = {
        "contexts": [
            {"context_tokens": one.context_tokens, "prompt_tokens": one.prompt_tokens}
            for one in report.long_prompts
        ]
    }
    for one in report.long_prompts:
        if one.skipped:
            text = f"Not judged: a prompt for a context of {one.context_tokens}: {one.skipped}."
            return _result(LONG, NOT_JUDGED, text, _FASTER, tried)
        if one.problem or not one.is_finite:
            why = one.problem or "its numbers are not finite"
            text = f"A prompt that fills a context of {one.context_tokens} tokens fails: {why}."
            return _result(
                LONG,
                FAILED,
                text,
                "Check the rope settings and the trained context; serve a smaller context.",
                tried,
            )
    longest = max(one.prompt_tokens for one in report.long_prompts)
    return _result(LONG, PASSED, f"A prompt of {longest} tokens is computed.", details=tried)


def responses_of(run: EngineRun) -> tuple[tuple[TestQuery, ...], tuple[TestResponse, ...]]:
    """What was asked and answered, for the report."""
    report, _ = read_report(run)
    queries = tuple(
        TestQuery(id=query.id, prompt=query.prompt, purpose=query.purpose)
        for query in (*run.job.queries, *run.job.bank)
    )
    said = [] if report is None else [*report.answers, *report.bank]
    return queries, tuple(
        TestResponse(
            id=answer.id,
            text=answer.text[:SHOWN_CHARACTERS],
            finish=answer.finish or answer.problem,
            tokens=len(answer.tokens),
            ttft_ms=answer.ttft_ms,
            tokens_per_second=answer.tokens_per_second or None,
        )
        for answer in said
    )


def _shown(answer: EngineAnswer, prompt: str) -> dict[str, object]:
    return {
        "prompt": prompt,
        "text": answer.text[:500],
        "finish": answer.finish,
        "tokens": len(answer.tokens),
        "tokens_per_second": answer.tokens_per_second,
    }


def _without_report(run: EngineRun, problem: str) -> list[ValidationResult]:
    """A file that brings the engine down fails; an engine ended for other reasons is an error."""
    code = run.outcome.exit_code
    status = FAILED if code is not None and -code in _CRASHES else ERROR
    text = f"The engine gave no result: {problem}."
    details = {"stderr": run.outcome.stderr_tail[-1000:], "exit_code": code}
    if run.stage < LOADED:
        return [
            _result(LOAD, status, text, _REFUSE, details),
            *not_judged(*INFERENCE_RESULTS[INFERENCE_RESULTS.index(LOAD) + 1 :]),
        ]
    return [
        _result(LOAD, PASSED, "Loaded."),
        _result(TENSORS, PASSED, "The engine found every tensor valid."),
        _result(ANSWERS, status, text, _REFUSE, details),
        *not_judged(DETERMINISM, STOP, LONG),
    ]


def _failed_at(check: str, text: str, remedy: str) -> list[ValidationResult]:
    later = INFERENCE_RESULTS[INFERENCE_RESULTS.index(check) + 1 :]
    return [_result(check, FAILED, text, remedy), *not_judged(*later)]


def not_judged(
    *checks: str, why: str = "the step before it failed", is_needed: bool = True
) -> list[ValidationResult]:
    """Rows of our own checks that nobody looked at."""
    rows = [_result(check, NOT_JUDGED, f"Not judged: {why}.") for check in checks]
    return [row.model_copy(update={"is_needed": is_needed}) for row in rows]


def _last_lines(report: EngineReport) -> str:
    return " ".join(report.log[-2:])[:300] or "no reason given"


def _result(
    check: str,
    status: ValidationStatus,
    message: str,
    remedy: str = "",
    details: dict[str, Any] | None = None,
) -> ValidationResult:
    return ValidationResult(
        category=_CATEGORY_OF[check.split(".", 1)[0]], check_name=check, status=status, message=message,
        remedy=remedy, details=dict(details or {}),
    )  # fmt: skip


_CATEGORY_OF = {
    "inference": ValidationCategory.INFERENCE,
    "response": ValidationCategory.RESPONSE_QUALITY,
    "latency": ValidationCategory.LATENCY,
    "memory": ValidationCategory.MEMORY,
}
