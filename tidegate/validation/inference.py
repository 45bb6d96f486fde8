"""Asks a model before anyone else does: it loads, its numbers are checked, and it answers.

The engine runs in a confined child. Everything judged here is what that child reported, as pure functions.
"""

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tidegate.domain import Evidence, Gate, NotFound, Verdict
from tidegate.validation.confinement import ChildLimits, ChildOutcome, run_confined

LOAD, TENSORS, ANSWERS = "inference.load", "inference.check_tensors", "inference.answers"
INFERENCE_CHECKS: frozenset[str] = frozenset({LOAD, TENSORS, ANSWERS})

DEFAULT_PROMPTS = ("Hello.", "What is two plus two?", "What is the capital of France?")
DEFAULT_MEMORY_BYTES = 2 * 1024**3
PROGRAM_BYTES = 1024**3
MAX_TOKENS = 48
WALL_S = 300.0
CPU_S = 240
SLOWEST_BYTES_PER_S = 20 * 1024**2
LOADED = 1

_CRASHES = {
    int(kind) for kind in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
}
_LEAK = re.compile(r"<\|[^<>|\s]{1,40}\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>|<unk>")
_REFUSE = "Do not deploy the file; look at how it was trained, converted or quantized."
_ENGINE = "Check that the engine of the pinned version is installed on this host, then run the gate again."


@dataclass(frozen=True, slots=True)
class InferenceJob:
    """What the child is to do."""

    path: str
    digest: str
    prompts: tuple[str, ...]
    context_tokens: int
    max_tokens: int = MAX_TOKENS


@dataclass(frozen=True, slots=True)
class InferenceRun:
    """How the child ended, what it reported, and how far it had come."""

    outcome: ChildOutcome
    stage: int
    """0 nothing, 1 the model was loaded, 2 every question was answered."""


class InferenceLauncher(Protocol):
    """Starts an engine on a model away from this process, with limits."""

    def run(self, job: InferenceJob, limits: ChildLimits) -> InferenceRun:
        """Never raises for what the model or the engine does; never outlives the limits."""
        ...


class ChildLauncher:
    """Runs `tidegate.validation.inference_child` as a confined process on this host."""

    def run(self, job: InferenceJob, limits: ChildLimits) -> InferenceRun:
        stages = [0]
        request: dict[str, Any] = {
            "path": job.path,
            "digest": job.digest,
            "prompts": list(job.prompts),
            "context_tokens": job.context_tokens,
            "max_tokens": job.max_tokens,
        }
        outcome = run_confined(
            "tidegate.validation.inference_child",
            request,
            limits,
            on_progress=lambda stage, total: stages.append(stage),
        )
        return InferenceRun(outcome, max(stages))


def check_inference(
    path: str | Path,
    digest: str,
    *,
    prompts: Sequence[str] = DEFAULT_PROMPTS,
    context_tokens: int = 256,
    max_memory_bytes: int = DEFAULT_MEMORY_BYTES,
    launcher: InferenceLauncher | None = None,
    limits: ChildLimits | None = None,
) -> list[Evidence]:
    """Load the file and ask it each prompt twice, greedily. One row for each of `INFERENCE_CHECKS`.

    The structural gate must have passed before this is called: some damaged files abort the engine, and only
    the structural checks keep them away from it.

    Raises:
        NotFound: there is no such file.
    """
    artifact = Path(path)
    if not artifact.is_file():
        raise NotFound(f"There is no file {artifact}.", remedy="Register the artifact again.", field="path")
    size = artifact.stat().st_size
    usual = ChildLimits(
        wall_s=WALL_S + size / SLOWEST_BYTES_PER_S,
        cpu_s=CPU_S + size // SLOWEST_BYTES_PER_S,
        # The mapped file counts as address space, but not against the memory of the service.
        address_space_bytes=max_memory_bytes + size + PROGRAM_BYTES,
    )
    job = InferenceJob(str(artifact.absolute()), digest, tuple(prompts), context_tokens)
    return judge_inference((launcher or ChildLauncher()).run(job, limits or usual), job)


def judge_inference(run: InferenceRun, job: InferenceJob) -> list[Evidence]:
    """Pure: from what the child reported to evidence rows. What is missing never passes."""
    report = run.outcome.result
    if report is None:
        return _without_report(run)
    if "missing_engine" in report:
        text = f"The engine is not installed here: {report['missing_engine']}."
        return [_row(check, Verdict.ERROR, text, _ENGINE) for check in (LOAD, TENSORS, ANSWERS)]
    if report.get("digest") != job.digest:
        text = f"The file has the SHA-256 {report.get('digest')}, expected {job.digest}."
        return [
            _row(LOAD, Verdict.FAIL, text, "Register the artifact again."),
            *_not_judged(TENSORS, ANSWERS),
        ]
    if report.get("loads") is not True:
        text = f"The engine refuses the file: {_last_line(report)}"
        return [_row(LOAD, Verdict.FAIL, text, _REFUSE), *_not_judged(TENSORS, ANSWERS)]
    seconds = {
        "load_seconds": report.get("load_seconds"),
        "peak_memory_bytes": report.get("peak_memory_bytes"),
    }
    loaded = _row(
        LOAD, Verdict.PASS, f"Loaded in {float(report.get('load_seconds') or 0):.2f} s.", data=seconds
    )
    if report.get("is_checked") is not True:
        text = f"The engine finds invalid numbers: {_last_line(report)}"
        return [loaded, _row(TENSORS, Verdict.FAIL, text, _REFUSE), *_not_judged(ANSWERS)]
    checked = _row(TENSORS, Verdict.PASS, "The engine found every tensor valid.")
    return [loaded, checked, judge_answers(report, job)]


def judge_answers(report: dict[str, Any], job: InferenceJob) -> Evidence:
    """Every question is answered with text that can be read, twice the same, and without special tokens."""
    rounds: list[list[dict[str, Any]]] = report.get("rounds") or []
    problems: list[str] = [str(report["problem"])] if report.get("problem") else []
    if len(rounds) != 2 or any(len(answers) != len(job.prompts) for answers in rounds) or not job.prompts:
        problems.append("not every question was answered")
        return _row(ANSWERS, Verdict.FAIL, f"The model does not answer: {'; '.join(problems)}.", _REFUSE)
    for answer, again in zip(*rounds, strict=True):
        trouble = answer_trouble(answer)
        if not trouble and answer.get("tokens") != again.get("tokens"):
            trouble = "gives another answer to the same question"
        if trouble:
            problems.append(f"to {str(answer.get('prompt'))[:60]!r} it {trouble}")
    data = {"answers": [_shown(answer) for answer in rounds[0]], "deterministic": not problems}
    if problems:
        return _row(ANSWERS, Verdict.FAIL, f"{'; '.join(problems)}.", _REFUSE, data)
    stops = sum(answer["finish"] == "stop" for answer in rounds[0])
    speed = min(float(answer["tokens_per_second"]) for answer in rounds[0])
    text = f"{len(rounds[0])} questions answered, {stops} of them ended by the model, {speed:.0f} tokens/s or more."
    return _row(ANSWERS, Verdict.PASS, text, data=data)


def answer_trouble(answer: dict[str, Any]) -> str:
    """What is wrong with one answer, or nothing."""
    text = str(answer.get("text", ""))
    tokens: list[int] = answer.get("tokens") or []
    if answer.get("problem"):
        return f"gives no answer ({answer['problem']})"
    if answer.get("is_finite") is not True or answer.get("finish") not in ("stop", "length"):
        return "computes numbers that are not finite"
    if not text.strip():
        return "answers with nothing"
    if "\ufffd" in text or any(not (character.isprintable() or character in "\n\t") for character in text):
        return "answers with bytes that are no text"
    if answer.get("controls") or _LEAK.search(text):
        return "writes special tokens into its answer"
    if answer["finish"] == "length" and len(set(tokens)) == 1:
        return "repeats one token"
    return ""


def _shown(answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "prompt": answer.get("prompt"),
        "text": str(answer.get("text", ""))[:500],
        "finish": answer.get("finish"),
        "tokens": len(answer.get("tokens") or []),
        "tokens_per_second": answer.get("tokens_per_second"),
    }


def _without_report(run: InferenceRun) -> list[Evidence]:
    """A file that brings the engine down fails; an engine ended for other reasons is an error."""
    code = run.outcome.exit_code
    verdict = Verdict.FAIL if code is not None and -code in _CRASHES else Verdict.ERROR
    text = f"The engine gave no result: {run.outcome.problem}."
    data = {"stderr": run.outcome.stderr_tail[-1000:], "exit_code": code}
    if run.stage < LOADED:
        return [_row(LOAD, verdict, text, _REFUSE, data), *_not_judged(TENSORS, ANSWERS)]
    loaded = [
        _row(LOAD, Verdict.PASS, "Loaded."),
        _row(TENSORS, Verdict.PASS, "The engine found every tensor valid."),
    ]
    return [*loaded, _row(ANSWERS, verdict, text, _REFUSE, data)]


def _not_judged(*checks: str) -> list[Evidence]:
    return [_row(check, Verdict.NOT_JUDGED, "Not judged: the step before it failed.") for check in checks]


def _last_line(report: dict[str, Any]) -> str:
    lines = report.get("log") or ["no reason given"]
    return " ".join(str(line) for line in lines[-2:])[:300]


def _row(
    check: str, verdict: Verdict, summary: str, remedy: str = "", data: dict[str, Any] | None = None
) -> Evidence:
    return Evidence(
        gate=Gate.INFERENCE, check=check, verdict=verdict, summary=summary, remedy=remedy, data=data or {}
    )
