"""Everything that is looked at before a model file may serve: one object, eight categories, one report.

The file is opened once. A confined child reads its bytes; when they are sound, a second one loads them into the
engine, once, for every question and measurement. The checks themselves are pure functions of what these say.
"""

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tidegate.domain import Gate, InvalidInput, Policy, Provenance
from tidegate.gguf import Category
from tidegate.quality import Bank
from tidegate.safetensors import ArtifactKind
from tidegate.validation.allocation import CrossCheck, cross_check_open
from tidegate.validation.artifact import inspect_open, render, structure_results
from tidegate.validation.baseline import (
    ChosenBank,
    Side,
    baseline_summary,
    choose_bank,
    judge_regression,
    recommend_against,
)
from tidegate.validation.checks import CheckContext
from tidegate.validation.difference import Difference, read_difference_of
from tidegate.validation.engine_part import EnginePart, engine_part
from tidegate.validation.engine_report import EngineRun
from tidegate.validation.fitting import CROSS_CHECK, judge_cross_check, judge_fit
from tidegate.validation.inference import ENGINE_RESULTS, judge_engine, not_judged
from tidegate.validation.inspected import Inspected, InspectionJob
from tidegate.validation.kind import judge_kind
from tidegate.validation.launching import (
    DEFAULT_MEMORY_BYTES,
    ChildLauncher,
    EngineLauncher,
    engine_job,
    engine_limits,
)
from tidegate.validation.levels import at_level
from tidegate.validation.opened import OpenArtifact, OpenArtifacts, open_both
from tidegate.validation.provenance import signature_result
from tidegate.validation.queries import bank_queries, by_topic_in_turn
from tidegate.validation.registry import run_plugins
from tidegate.validation.report import (
    GATE_OF,
    Profile,
    ValidationCategory,
    ValidationReport,
    ValidationResult,
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
        must_serve: It is for a service of llama.cpp: what is sound but no GGUF model is refused.
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
        must_serve: bool = False,
        progress: Progress | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        given = policy or Policy()
        if (context_tokens is not None and context_tokens < 1) or (parallel is not None and parallel < 1):
            raise InvalidInput(
                "context_tokens and parallel must be at least 1.",
                remedy="Give both as whole numbers of 1 or more.",
                field="context_tokens",
            )
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
        # A validation asks no judge.
        self.bank = None if bank is None else bank.without_judges()
        self.prompts = prompts
        self.signatures = tuple(signatures)
        self.trust = trust
        self.max_memory_bytes = max_memory_bytes
        self.launcher = launcher
        self.must_serve = must_serve
        self.progress = progress
        self.clock = clock

    def validate_all(self) -> ValidationReport:
        """Every check of the profile. Trouble with the content of a file is in the report, whatever it is.

        Raises:
            NotFound: there is no such file, or no such baseline.
            InvalidInput: a file may not be read.
        """
        started = time.monotonic()
        files = open_both(self.path, self.baseline_path)
        try:
            ours, theirs = self._inspect(files)
            results = [*self._structure(ours.seen), *self._memory(ours)]
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
        files = open_both(self.path)
        try:
            ours, _ = self._inspect(files)
            seen = ours.seen
            results = [*self._structure(seen), *self._memory(ours)]
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
        files = open_both(self.path)
        try:
            seen = Inspected(size_bytes=files.candidate.size_bytes, digest=self.expected_digest)
            run = self._load(files.candidate, seen, None, "ask")
            part = engine_part(run, judge_engine(run, self.policy))
            plugins = self._plugins(files.candidate, seen, part, ENGINE_CATEGORIES)
        finally:
            files.close()
        return part.model_copy(update={"results": tuple(map(self._at_level, (*part.results, *plugins)))})

    def _inspect(self, files: OpenArtifacts) -> tuple[Side, Side | None]:
        """Read both files at once; each has its own process."""
        with ThreadPoolExecutor(2, thread_name_prefix="inspection") as pool:
            other = None if files.baseline is None else pool.submit(self._look_at, files.baseline)
            seen = self._look_at(files.candidate, self._progress("read"))
            check = pool.submit(self._cross_check, files.candidate, seen)
            if self.profile != "quick":
                render(seen)
            if other is None or files.baseline is None:
                return Side(seen, check=check.result()), None
            theirs = other.result()
            difference = self._difference(files.candidate, seen, files.baseline, theirs)
            return Side(seen, check=check.result(), difference=difference), Side(theirs)

    def _difference(
        self, candidate: OpenArtifact, ours: Inspected, baseline: OpenArtifact, theirs: Inspected
    ) -> Difference | None:
        """Of files that were found sound, and of an adapter to the model that it may be for."""
        is_comparable = ours.kind in (
            ArtifactKind.GGUF_MODEL,
            ArtifactKind.GGUF_ADAPTER,
        ) and not ours.has_errors(Category.FORMAT)
        if self.profile == "quick" or ours.is_broken or not is_comparable or not theirs.is_sound:
            return None
        return read_difference_of(candidate.files, baseline.files)

    def _look_at(
        self, artifact: OpenArtifact, progress: Callable[[int, int], None] | None = None
    ) -> Inspected:
        job = InspectionJob(
            artifact.name,
            self.context_tokens,
            self.parallel,
            self.is_on_gpu,
            is_header_only=self.profile == "quick",
            parts=artifact.parts,
        )
        return inspect_open(artifact.descriptor, job, progress)

    def _cross_check(self, artifact: OpenArtifact, seen: Inspected) -> CrossCheck | None:
        """The engine's own plan, of sound files only: it aborts on some headers."""
        memory = seen.memory
        if self.profile == "quick" or memory is None or not seen.is_sound:
            return None
        check = cross_check_open(artifact.files, memory.context_tokens, memory.parallel)
        if check.engines is not None:
            seen.memory = memory.model_copy(update={"cross_check_bytes": check.engines.total_bytes})
        return check

    def _memory(self, ours: Side) -> list[ValidationResult]:
        policy = self.policy.validation
        if ours.seen.is_other_kind:
            return []
        if self.profile == "quick":
            return [judge_fit(ours.seen, policy), *not_judged(CROSS_CHECK, why="only the header was read")]
        return [judge_fit(ours.seen, policy), judge_cross_check(ours.check, policy)]

    def _structure(self, seen: Inspected) -> list[ValidationResult]:
        kind = judge_kind(seen, must_serve=self.must_serve)
        results = [*structure_results(seen, self.policy, self.expected_digest), kind]
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
        files: OpenArtifacts,
        ours: Side,
        theirs: Side | None,
        chosen: ChosenBank | None,
        results: Sequence[ValidationResult],
    ) -> tuple[Side, Side | None]:
        """Load what is sound, one file after the other: together they would slow each other down."""
        is_refused = any(result.is_refusing and result.check_name in LOADING_NEEDS for result in results)
        if ours.seen.is_sound and not is_refused:
            ours = replace(ours, run=self._load(files.candidate, ours.seen, chosen, "ask"))
        is_model = not ours.seen.is_other_kind
        if is_model and theirs is not None and files.baseline is not None and theirs.seen.is_sound:
            theirs = replace(theirs, run=self._load(files.baseline, theirs.seen, chosen, "ask the baseline"))
        return ours, theirs

    def _load(
        self, artifact: OpenArtifact, seen: Inspected, chosen: ChosenBank | None, doing: str
    ) -> EngineRun:
        context = self.context_tokens or (seen.memory.context_tokens if seen.memory else USUAL_CONTEXT)
        job = engine_job(seen.size_bytes, seen.digest, self.policy, context, self._prompts(), self.profile)
        job = replace(job, parts=artifact.parts)
        if chosen is not None:
            most = None if self.profile == "deep" else self.policy.validation.max_questions
            questions = bank_queries(chosen.bank, job.contexts[-1], most)
            job = replace(job, bank=questions, bank_is_general=chosen.is_general)
        launcher = self.launcher or ChildLauncher(self._progress(doing))
        return launcher.run(
            artifact.descriptor, job, engine_limits(seen.size_bytes, job, self.max_memory_bytes)
        )

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
            refused = not_judged(*ENGINE_RESULTS, why=why, is_needed=not is_other)
            return EnginePart(results=(*refused, *regression))
        return engine_part(ours.run, [*judge_engine(ours.run, self.policy), *regression])

    def _plugins(
        self,
        artifact: OpenArtifact,
        seen: Inspected,
        part: EnginePart,
        categories: Sequence[ValidationCategory],
    ) -> list[ValidationResult]:
        if not self.policy.validation.plugins:
            return []
        context = CheckContext(
            model_path=str(self.path), model_name=self.model_name, version=self.version, profile=self.profile,
            digest=seen.digest, size_bytes=seen.size_bytes, model=seen.model, memory=seen.memory,
            test_queries=part.test_queries, test_responses=part.test_responses, descriptor=artifact.descriptor,
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
        recommendation, rollback = recommend_against(results, theirs, self.baseline_version)
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
            gpu_fit=seen.gpu_fit,
            model=seen.model,
            tensor_groups=seen.tensor_groups,
            speed=part.speed,
            baseline=None
            if theirs is None
            else baseline_summary(theirs, results, self.baseline_version, str(self.baseline_path)),
            wall_seconds=time.monotonic() - started,
        )
