"""Everything that is looked at before a model file may serve: one object, eight categories, one report.

The file is opened once. A confined child reads its bytes; when they are sound, a second one loads them into the
engine, once, for every question and measurement. The checks themselves are pure functions of what these say.
"""

import os
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tidegate.domain import Evidence, Gate, InvalidInput, Policy, Provenance
from tidegate.quality import Bank
from tidegate.validation.artifact import (
    Inspected,
    InspectionJob,
    inspect_open,
    open_artifact,
    open_parts,
    render,
    structure_results,
)
from tidegate.validation.baseline import (
    ChosenBank,
    Side,
    baseline_summary,
    choose_bank,
    judge_regression,
    unusable,
)
from tidegate.validation.checks import CheckContext
from tidegate.validation.engine_report import EngineRun
from tidegate.validation.inference import (
    DEFAULT_MEMORY_BYTES,
    ENGINE_RESULTS,
    ChildLauncher,
    EngineLauncher,
    engine_job,
    engine_limits,
    judge_engine,
    not_judged,
    read_report,
    responses_of,
)
from tidegate.validation.levels import at_level
from tidegate.validation.provenance import signature_result
from tidegate.validation.queries import bank_queries, by_topic_in_turn
from tidegate.validation.registry import run_plugins
from tidegate.validation.report import (
    GATE_OF,
    Profile,
    Recommendation,
    SpeedSample,
    TestQuery,
    TestResponse,
    ValidationCategory,
    ValidationReport,
    ValidationResult,
    evidence_of_results,
    recommend,
    summarize,
)

Progress = Callable[[str, int, int], None]
"""What is being done (`read`, `ask`, `ask the baseline`), how much of it is done, and how much there is."""

USUAL_CONTEXT = 256
SUBJECT_PROMPTS = 6
STRUCTURE_CATEGORIES = tuple(category for category, gate in GATE_OF.items() if gate is Gate.STRUCTURE)
ENGINE_CATEGORIES = tuple(category for category, gate in GATE_OF.items() if gate is Gate.INFERENCE)
LOADING_NEEDS = (
    "file.digest",
    "file.unchanged",
    "gguf.structure",
    "gguf.numbers",
    "gguf.template",
    "gguf.memory",
)
"""What must not refuse a file before it is given to an engine."""


class EnginePart(BaseModel):
    """What one load of the model gave: results, and what was asked and answered. Plain data, for other hosts."""

    model_config = ConfigDict(frozen=True)

    results: tuple[ValidationResult, ...] = ()
    test_queries: tuple[TestQuery, ...] = ()
    test_responses: tuple[TestResponse, ...] = ()
    speed: tuple[SpeedSample, ...] = ()

    def evidence(self, digest: str) -> list[Evidence]:
        """Rows for the inference gate of a release."""
        return evidence_of_results(self.results, digest)


def with_engine_part(structure: ValidationReport, part: EnginePart) -> ValidationReport:
    """One report of the two halves, each of which may come from another host. A half without results refuses."""
    results = (*structure.results, *(part.results or not_judged(*ENGINE_RESULTS, why="there is no result")))
    return structure.model_copy(
        update={
            "results": results,
            "recommendation": recommend(results),
            "summary": summarize(results),
            "test_queries": part.test_queries,
            "test_responses": part.test_responses,
            "speed": part.speed,
        }
    )


@dataclass(slots=True)
class _Files:
    candidate: int
    baseline: int | None = None
    parts: dict[str, int] = field(default_factory=dict[str, int])
    """Of the candidate, when it is a model of several files."""

    def close(self) -> None:
        for descriptor in (self.candidate, self.baseline, *self.parts.values()):
            if descriptor is not None:
                os.close(descriptor)


class PreDeploymentValidator:
    """Validates one file by a policy, against a baseline where one is named.

    Args:
        model_path: A regular file; symbolic links are followed.
        model_name: For the report.
        version: For the report.
        baseline_path: The file to compare with: what serves now.
        baseline_version: Its version; recommended when the candidate is refused and the baseline is sound.
        policy: Limits, and how strictly each check counts. The default policy is for real models.
        profile: `quick` reads the header alone, `deep` asks more. None takes the policy's.
        expected_digest: SHA-256 that the file must have.
        context_tokens: Context of each sequence. None takes the policy's, else what the model was trained for.
        parallel: Sequences at once. None takes the policy's.
        bank: Questions about the model's subject. Without one, a baseline is compared by general questions.
        prompts: Short questions to ask; a model of a narrow subject answers only its own.
        signatures: Contents of signature bundles of the file.
        trust: Whose signatures count.
        max_memory_bytes: Memory that the engine may take beside the mapped file.
        launcher: Runs the engine; a confined process on this host by default.
        progress: Told what is being done, from threads of the validator.
    """

    def __init__(
        self,
        model_path: str | Path,
        *,
        model_name: str = "",
        version: str = "",
        baseline_path: str | Path | None = None,
        baseline_version: str | None = None,
        policy: Policy | None = None,
        profile: Profile | None = None,
        expected_digest: str | None = None,
        context_tokens: int | None = None,
        parallel: int | None = None,
        is_on_gpu: bool = False,
        bank: Bank | None = None,
        prompts: Sequence[str] | None = None,
        signatures: Sequence[bytes] = (),
        trust: Provenance | None = None,
        max_memory_bytes: int = DEFAULT_MEMORY_BYTES,
        launcher: EngineLauncher | None = None,
        progress: Progress | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        given = policy or Policy()
        if (context_tokens is not None and context_tokens < 1) or (parallel is not None and parallel < 1):
            raise InvalidInput("context_tokens and parallel must be at least 1.", field="context_tokens")
        self.path = Path(model_path)
        self.model_name = model_name
        self.version = version
        self.baseline_path = None if baseline_path is None else Path(baseline_path)
        self.baseline_version = baseline_version
        self.policy = given
        self.profile: Profile = profile or given.validation.profile
        self.expected_digest = expected_digest
        self.context_tokens = context_tokens or given.validation.context_tokens
        self.parallel = parallel or given.validation.parallel
        self.is_on_gpu = is_on_gpu
        self.bank = bank
        self.prompts = prompts
        self.signatures = tuple(signatures)
        self.trust = trust
        self.max_memory_bytes = max_memory_bytes
        self.launcher = launcher
        self.progress = progress
        self.clock = clock

    def validate_all(self) -> ValidationReport:
        """Every check of the profile. Trouble with the content of a file is in the report, whatever it is.

        Raises:
            NotFound: there is no such file, or no such baseline.
            InvalidInput: a file may not be read.
        """
        started = time.monotonic()
        files = self._open()
        try:
            ours, theirs = self._inspect(files)
            results = self._structure(ours.seen)
            if self.profile == "quick":
                part = EnginePart(results=tuple(not_judged(*ENGINE_RESULTS, why="only the header was read")))
            else:
                chosen = choose_bank(self.bank, has_baseline=theirs is not None)
                ours, theirs = self._ask(files, ours, theirs, chosen, results)
                part = self._judge(ours, theirs, chosen)
            results += part.results
            results += self._plugins(files.candidate, ours.seen, part, tuple(ValidationCategory))
        finally:
            files.close()
        return self._report(started, ours.seen, results, part, theirs)

    def validate_structure(self) -> ValidationReport:
        """The part that needs no engine: what the structure gate of a release folds.

        Raises: as `validate_all`.
        """
        started = time.monotonic()
        files = _Files(open_artifact(self.path), parts=open_parts(self.path))
        try:
            seen = self._inspect(files)[0].seen
            results = self._structure(seen)
            results += self._plugins(files.candidate, seen, EnginePart(), STRUCTURE_CATEGORIES)
        finally:
            files.close()
        return self._report(started, seen, results, EnginePart(), None)

    def validate_engine(self) -> EnginePart:
        """The part that loads the model: what the inference gate of a release folds. It may run on another host.

        The structure of a file with the expected digest must have passed before: some damaged files abort the
        engine, and only the structural checks keep them away from it.

        Raises: as `validate_all`; InvalidInput without an expected digest.
        """
        if self.expected_digest is None:
            raise InvalidInput(
                "The engine is given only files whose digest is known.",
                remedy="Validate the structure first and pass its digest.",
                field="expected_digest",
            )
        files = _Files(open_artifact(self.path))
        try:
            size = os.fstat(files.candidate).st_size
            seen = Inspected(size_bytes=size, digest=self.expected_digest)
            run = self._load(files.candidate, seen, None, "ask")
            part = _engine_part(run, judge_engine(run, self.policy))
            plugins = self._plugins(files.candidate, seen, part, ENGINE_CATEGORIES)
        finally:
            files.close()
        return part.model_copy(update={"results": tuple(map(self._at_level, (*part.results, *plugins)))})

    def _open(self) -> "_Files":
        candidate = open_artifact(self.path)
        try:
            baseline = None if self.baseline_path is None else open_artifact(self.baseline_path)
        except BaseException:
            os.close(candidate)
            raise
        return _Files(candidate, baseline, open_parts(self.path))

    def _inspect(self, files: "_Files") -> tuple[Side, Side | None]:
        """Read both files at once; each has its own process."""
        job = InspectionJob(
            self.path.name,
            self.context_tokens,
            self.parallel,
            self.is_on_gpu,
            is_header_only=self.profile == "quick",
        )
        ours = replace(job, parts=files.parts)
        with ThreadPoolExecutor(2, thread_name_prefix="inspection") as pool:
            other = None if files.baseline is None else pool.submit(inspect_open, files.baseline, job)
            seen = inspect_open(files.candidate, ours, self._progress("read"))
            if not job.is_header_only:
                render(seen)
            return Side(seen), None if other is None else Side(other.result())

    def _structure(self, seen: Inspected) -> list[ValidationResult]:
        results = structure_results(seen, self.policy, self.expected_digest)
        signature = signature_result(
            self.signatures,
            seen.digest,
            self.trust,
            self.clock(),
            is_required=self.policy.validation.require_signature,
        )
        return results if signature is None else [results[0], signature, *results[1:]]

    def _ask(
        self,
        files: "_Files",
        ours: Side,
        theirs: Side | None,
        chosen: ChosenBank | None,
        results: Sequence[ValidationResult],
    ) -> tuple[Side, Side | None]:
        """Load what is sound, one file after the other: together they would slow each other down."""
        is_refused = any(result.is_refusing and result.check_name in LOADING_NEEDS for result in results)
        if ours.seen.is_sound and not is_refused:
            ours = replace(ours, run=self._load(files.candidate, ours.seen, chosen, "ask"))
        if theirs is not None and files.baseline is not None and theirs.seen.is_sound:
            theirs = replace(theirs, run=self._load(files.baseline, theirs.seen, chosen, "ask the baseline"))
        return ours, theirs

    def _load(self, descriptor: int, seen: Inspected, chosen: ChosenBank | None, doing: str) -> EngineRun:
        context = self.context_tokens or (seen.memory.context_tokens if seen.memory else USUAL_CONTEXT)
        job = engine_job(seen.size_bytes, seen.digest, self.policy, context, self._prompts(), self.profile)
        if chosen is not None:
            most = None if self.profile == "deep" else self.policy.validation.max_questions
            questions = bank_queries(chosen.bank, job.contexts[-1], most)
            job = replace(job, bank=questions, bank_is_general=chosen.is_general)
        launcher = self.launcher or ChildLauncher(self._progress(doing))
        return launcher.run(descriptor, job, engine_limits(seen.size_bytes, job, self.max_memory_bytes))

    def _prompts(self) -> Sequence[str] | None:
        """Short questions of the model's own subject, where a bank of it was given."""
        if self.prompts is not None or self.bank is None:
            return self.prompts
        return [question.prompt for question in by_topic_in_turn(self.bank.questions)[:SUBJECT_PROMPTS]]

    def _judge(self, ours: Side, theirs: Side | None, chosen: ChosenBank | None) -> EnginePart:
        regression = judge_regression(ours, theirs, chosen, self.policy, self.baseline_version)
        if ours.run is None:
            is_other = ours.seen.is_other_kind
            why = "the file was refused before it was loaded"
            if is_other:
                why = "the engine loads GGUF models only"
            elif ours.seen.is_split:
                why = "the engine is given one file; merge the parts with `llama-gguf-split --merge`"
            refused = not_judged(*ENGINE_RESULTS, why=why, is_needed=not is_other)
            return EnginePart(results=(*refused, *regression))
        return _engine_part(ours.run, [*judge_engine(ours.run, self.policy), *regression])

    def _plugins(
        self, descriptor: int, seen: Inspected, part: EnginePart, categories: Sequence[ValidationCategory]
    ) -> list[ValidationResult]:
        if not self.policy.validation.plugins:
            return []
        context = CheckContext(
            model_path=str(self.path), model_name=self.model_name, version=self.version, profile=self.profile,
            digest=seen.digest, size_bytes=seen.size_bytes, model=seen.model, memory=seen.memory,
            test_queries=part.test_queries, test_responses=part.test_responses, descriptor=descriptor,
        )  # fmt: skip
        return run_plugins(self.policy.validation, context, categories)

    def _at_level(self, result: ValidationResult) -> ValidationResult:
        return at_level(result, self.policy.validation)

    def _progress(self, doing: str) -> Callable[[int, int], None] | None:
        told = self.progress
        return None if told is None else lambda done, total: told(doing, done, total)

    def _report(
        self,
        started: float,
        seen: Inspected,
        judged: Collection[ValidationResult],
        part: EnginePart,
        theirs: Side | None,
    ) -> ValidationReport:
        results = tuple(map(self._at_level, judged))
        recommendation, rollback = self._recommendation(results, theirs)
        return ValidationReport(
            model_path=str(self.path),
            model_name=self.model_name,
            version=self.version,
            baseline_version=self.baseline_version,
            timestamp=self.clock(),
            profile=self.profile,
            digest=seen.digest,
            expected_digest=self.expected_digest,
            size_bytes=seen.size_bytes,
            policy_digest=self.policy.digest,
            recommendation=recommendation,
            rollback_version=rollback,
            summary=summarize(results),
            results=results,
            test_queries=part.test_queries,
            test_responses=part.test_responses,
            memory=seen.memory,
            model=seen.model,
            tensor_groups=seen.tensor_groups,
            speed=part.speed,
            baseline=None
            if theirs is None
            else baseline_summary(theirs, results, self.baseline_version, str(self.baseline_path)),
            wall_seconds=time.monotonic() - started,
        )

    def _recommendation(
        self, results: Sequence[ValidationResult], theirs: Side | None
    ) -> tuple[Recommendation, str | None]:
        """A refused candidate gives way to its baseline, if that has a version and proved sound here and now."""
        recommendation = recommend(results)
        if recommendation is not Recommendation.DO_NOT_DEPLOY or theirs is None or not self.baseline_version:
            return recommendation, None
        if unusable(theirs):
            return recommendation, None
        return Recommendation.ROLL_BACK, self.baseline_version


def _engine_part(run: EngineRun, results: Sequence[ValidationResult]) -> EnginePart:
    report, _ = read_report(run)
    queries, responses = responses_of(run)
    return EnginePart(
        results=tuple(results),
        test_queries=queries,
        test_responses=responses,
        speed=() if report is None else tuple(said.sample() for said in report.speed),
    )
