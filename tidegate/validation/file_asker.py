"""Asks a model file a bank, without a server: the file is loaded by a confined child, after its structure was found
sound. One sequence at a time, so that the same file gives the same answers."""

import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tidegate.domain import Policy, Refused
from tidegate.quality import Answer, Question
from tidegate.quality.source import OUT_OF_TIME, OnAnswer, Served
from tidegate.validation.answers import answer_of
from tidegate.validation.engine_report import EngineJob, EngineRun
from tidegate.validation.inference import judge_inference, read_report
from tidegate.validation.launching import (
    DEFAULT_MEMORY_BYTES,
    LARGEST_CONTEXT,
    ChildLauncher,
    EngineLauncher,
    engine_limits,
    threads_for,
)
from tidegate.validation.opened import opened
from tidegate.validation.queries import BANK_TOKENS, bank_query, unaskable
from tidegate.validation.report import ValidationReport, ValidationStatus
from tidegate.validation.validator import LOADING_NEEDS, PreDeploymentValidator

ENGINE_PACKAGE = "llama-cpp-python"
QUESTIONS_PER_LOAD = 200
"""Answers come when a child ends: a run that is stopped asks so many again at most."""


class FileAsker:
    """A source of answers (`tidegate.quality.source.Source`): one GGUF model on this host."""

    def __init__(
        self,
        path: str | Path,
        *,
        policy: Policy | None = None,
        max_tokens: int = BANK_TOKENS,
        context_tokens: int | None = None,
        max_memory_bytes: int = DEFAULT_MEMORY_BYTES,
        launcher: EngineLauncher | None = None,
    ):
        """Inspects the file, which reads all of it.

        Raises:
            NotFound: there is no such file.
            InvalidInput: it may not be read.
            Refused: it must not be loaded; the reasons are in the message.
        """
        self._path = Path(path)
        self._max_memory_bytes = max_memory_bytes
        self._launcher = launcher or ChildLauncher()
        rules = policy or Policy()
        report = PreDeploymentValidator(
            self._path, policy=rules, context_tokens=context_tokens, max_memory_bytes=max_memory_bytes
        ).validate_structure()
        _refuse_unsound(report)
        self._digest = report.digest
        trained = report.memory.context_tokens if report.memory else LARGEST_CONTEXT
        self._context = context_tokens or min(trained, LARGEST_CONTEXT)
        self._max_tokens = max_tokens

    @property
    def target(self) -> str:
        """The name of the file, without its folder."""
        return self._path.name

    @property
    def parameters(self) -> dict[str, Any]:
        """As an endpoint's, so that both can be compared; one slot and no cache is what the child has."""
        return {"max_tokens": self._max_tokens, "temperature": 0, "seed": 0, "cache_prompt": False}

    def identify(self) -> Served:
        """The digest that was inspected, and the engine installed here. The child hashes the bytes again."""
        try:
            engine = f"{ENGINE_PACKAGE} {version(ENGINE_PACKAGE)}, context {self._context}"
        except PackageNotFoundError:
            return Served(digest=self._digest, error=f"{ENGINE_PACKAGE} is not installed")
        return Served(digest=self._digest, engine=engine, model=self._digest)

    def ask_all(
        self, questions: Sequence[Question], on_answer: OnAnswer, *, concurrency: int, deadline: float
    ) -> None:
        """One after the other, whatever the concurrency: so many at each load of the file."""
        del concurrency
        engine = self.identify().engine
        for start in range(0, len(questions), QUESTIONS_PER_LOAD):
            some = questions[start : start + QUESTIONS_PER_LOAD]
            for place, answer in enumerate(self._ask(some, deadline, engine)):
                on_answer(start + place, answer)

    def _ask(self, questions: Sequence[Question], deadline: float, engine: str | None) -> list[Answer]:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return [Answer(error=OUT_OF_TIME)] * len(questions)
        with opened(self._path) as artifact:
            size = artifact.size_bytes
            job = EngineJob(
                digest=self._digest,
                bank=tuple(
                    bank_query(question, self._context, self._max_tokens)
                    for question in questions
                    if not unaskable(question)
                ),
                contexts=(self._context,),
                speed_tokens=0,
                tries_long_prompts=False,
                threads=threads_for(size),
                wall_s=left_s,
            )
            job = replace(job, parts=artifact.parts)
            limits = engine_limits(size, job, self._max_memory_bytes)
            run = self._launcher.run(artifact.descriptor, job, limits)
        report, problem = read_report(run)
        if report is None or not report.is_checked or report.changed or report.problem:
            why = problem or _first_problem(run)
            return [Answer(error=f"the file was not asked: {why}")] * len(questions)
        said = {answer.id: answer for answer in report.bank}
        return [
            answer_of(question, said.get(question.id), model=self._digest, engine=engine)
            for question in questions
        ]


def _refuse_unsound(report: ValidationReport) -> None:
    """Some damaged files abort the engine, or worse: only what was found sound is loaded."""
    refusing = [one for one in report.results if one.is_refusing and one.check_name in LOADING_NEEDS]
    if refusing or not report.digest:
        reasons = "; ".join(one.message for one in refusing[:2]) or "it was not read to its end"
        raise Refused(
            f"The file {Path(report.model_path).name} is not loaded: {reasons}",
            remedy="Look at the whole report: tidegate validate FILE.",
            field="target",
        )


def _first_problem(run: EngineRun) -> str:
    told = [one.message for one in judge_inference(run) if one.status is not ValidationStatus.PASSED]
    return told[0] if told else "no reason given"
