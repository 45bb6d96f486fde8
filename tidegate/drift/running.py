"""Measures a candidate against its baseline: files opened once, structure first, engines in a confined child.

Nothing here touches the content of a file, and nothing that a child says is believed before it is checked.
"""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tidegate.domain import InvalidInput, Refused
from tidegate.drift.logit_store import reserved
from tidegate.drift.quantization import file_type_name
from tidegate.drift.report import DriftReport, SetName, Side
from tidegate.drift.said import ChildReport, Noise, TextMeasures, measures_of, read_outcome
from tidegate.drift.summary import summarize_set
from tidegate.drift.texts import TextSet
from tidegate.gguf import Category, Severity
from tidegate.safetensors import ArtifactKind
from tidegate.validation.artifact import inspect_open, render
from tidegate.validation.confinement import ChildLimits, ChildOutcome, run_confined
from tidegate.validation.inspected import Inspected, InspectionJob
from tidegate.validation.launching import (
    LOAD_WALL_S,
    OPEN_FILES,
    PROGRAM_BYTES,
    SLOWEST_BYTES_PER_S,
    threads_for,
)
from tidegate.validation.opened import OpenArtifact, open_both
from tidegate.validation.part_links import linked

MODULE = "tidegate.drift.child"
DEFAULT_CONTEXT, SMALLEST_CONTEXT = 512, 8
DEFAULT_LIMIT_TOKENS, MOST_TOKENS = 8192, 200_000
NOISE_TOKENS = 512
STORE_BYTES = 2 * 1024**3
SPARE_MEMORY = 0.85
"""Share of the memory that is free now that both models may take together."""
WALL_S = 3600.0

Progress = Callable[[str, int, int], None]
"""What is being done (`read`, `compare`), how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class DriftOptions:
    """How much is measured, and with what."""

    context_tokens: int = DEFAULT_CONTEXT
    limit_tokens: int = DEFAULT_LIMIT_TOKENS
    """Of each set."""
    noise_tokens: int = NOISE_TOKENS
    wall_s: float = WALL_S
    threads: int | None = None
    store_bytes: int = STORE_BYTES
    is_together: bool | None = None
    """Both models in memory at once; None goes by the memory that is free."""
    is_quantization: bool = False

    def deciding(self) -> dict[str, Any]:
        """What decides which tokens are compared; the rest decides only how long it takes."""
        return {
            "context_tokens": self.context_tokens,
            "limit_tokens": self.limit_tokens,
            "is_quantization": self.is_quantization,
        }


def measure_drift(
    base: str | Path,
    candidate: str | Path,
    sets: dict[SetName, TextSet],
    options: DriftOptions | None = None,
    *,
    expected: tuple[str | None, str | None] = (None, None),
    progress: Progress | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> DriftReport:
    """Compare the two along the texts. What keeps them from being compared is in the report.

    `expected` are the digests that baseline and candidate must have, where they are known.

    Raises:
        NotFound: a file is not there.
        InvalidInput: a file may not be read, there is no text, or an option is out of range.
        Refused: the structural checks refuse a file, so that no engine may load it.
    """
    chosen = options or DriftOptions()
    seen, found = _compared(base, candidate, sets, chosen, expected, progress or _quiet)
    sides = tuple(
        Side(
            file=Path(path).name,
            digest=one.digest,
            size_bytes=one.size_bytes,
            model=one.model.name if one.model else "",
            file_type=file_type_name(found.file_types[number]),
        )
        for number, (path, one) in enumerate(zip((base, candidate), seen, strict=True))
    )
    return _report(sides, found, sets, chosen, clock())


def measure_tokens(
    base: str | Path, candidate: str | Path, sets: dict[SetName, TextSet], options: DriftOptions
) -> list[TextMeasures]:
    """The values of every single token, for checks of our own figures. Raises: as `measure_drift`, and Refused when
    nothing could be measured."""
    _, found = _compared(base, candidate, sets, options, (None, None), _quiet)
    measured, _ = measures_of(found)
    if not measured:
        why = found.problem or (found.vocabulary.refusal if found.vocabulary else "")
        raise Refused(
            f"Nothing was measured: {why}.",
            remedy="Compare two files that can be measured: tidegate validate says what is wrong with one.",
        )
    return measured


def _compared(
    base: str | Path,
    candidate: str | Path,
    sets: dict[SetName, TextSet],
    options: DriftOptions,
    expected: tuple[str | None, str | None],
    told: Progress,
) -> tuple[tuple[Inspected, Inspected], ChildReport]:
    """What structure says of baseline and candidate, and what the child measured."""
    _check(sets, options)
    files = open_both(candidate, base)
    assert files.baseline is not None
    try:
        before = [_identity(files.baseline), _identity(files.candidate)]
        has_chats = any(text.is_chat for texts in sets.values() for text in texts.texts)
        with ThreadPoolExecutor(2, thread_name_prefix="inspection") as pool:
            pending = pool.submit(
                _inspected, files.baseline, "baseline", expected[0], options, _quiet, has_chats=has_chats
            )
            ours = _inspected(files.candidate, "candidate", expected[1], options, told, has_chats=has_chats)
            theirs = pending.result()
        found = _run(files.baseline, files.candidate, (theirs, ours), sets, options, told)
        if before != [_identity(files.baseline), _identity(files.candidate)]:
            found = ChildReport(problem="a file was written to while it was measured")
    finally:
        files.close()
    return (theirs, ours), found


def _quiet(doing: str, done: int, total: int) -> None:
    return None


def _check(sets: dict[SetName, TextSet], options: DriftOptions) -> None:
    if not any(texts.texts for texts in sets.values()):
        raise InvalidInput(
            "There is no text to compare along.", remedy="Give at least one text.", field="texts"
        )
    if not 1 <= options.limit_tokens <= MOST_TOKENS:
        raise InvalidInput(
            f"The limit on tokens must lie between 1 and {MOST_TOKENS}.",
            remedy="Give a limit in this range.",
            field="limit_tokens",
        )
    if options.context_tokens < SMALLEST_CONTEXT:
        raise InvalidInput(
            f"The context must have {SMALLEST_CONTEXT} tokens or more.",
            remedy="Give a larger context.",
            field="context",
        )


def _identity(artifact: OpenArtifact) -> list[tuple[int, ...]]:
    found = [os.fstat(descriptor) for descriptor in artifact.files.values()]
    return [(one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for one in found]


def _inspected(
    artifact: OpenArtifact,
    name: str,
    expected: str | None,
    options: DriftOptions,
    told: Progress,
    *,
    has_chats: bool,
) -> Inspected:
    """What structure says of a file that an engine may load. Its template is tried where conversations are written.

    Raises: Refused.
    """
    job = InspectionJob(artifact.name, options.context_tokens, 1, parts=artifact.parts)
    seen = inspect_open(artifact.descriptor, job, lambda done, total: told("read", done, total))
    if has_chats:
        render(seen)
    harmful = (Category.INTEGRITY, Category.FORMAT, Category.NUMBERS)
    errors = [
        found for found in seen.findings if found.severity is Severity.ERROR and found.category in harmful
    ]
    reason = ""
    if seen.is_other_kind or seen.kind is not ArtifactKind.GGUF_MODEL:
        reason = "it is no GGUF model, and the engine loads nothing else"
    elif errors:
        reason = errors[0].message.rstrip(".")
    elif seen.is_broken or not seen.digest or not seen.numbers_were_scanned or seen.model is None:
        reason = seen.unfinished or "it could not be read to its end"
    elif expected is not None and seen.digest != expected:
        reason = f"its SHA-256 is {seen.digest}, expected {expected}"
    if reason:
        raise Refused(
            f"The {name} is not loaded: {reason}.",
            remedy=f"See what is wrong with it: tidegate validate {artifact.name}.",
            field=name,
        )
    return seen


def _run(
    base: OpenArtifact,
    cand: OpenArtifact,
    seen: tuple[Inspected, Inspected],
    sets: dict[SetName, TextSet],
    options: DriftOptions,
    told: Progress,
) -> ChildReport:
    """Together where memory allows it, else in turn; in turn also when the engine says that it did not fit."""
    return together_or_in_turn(
        lambda is_together: _once(base, cand, seen, sets, options, told, is_together=is_together),
        options.is_together,
        seems_to_fit=_fit_together(seen),
    )


def together_or_in_turn(
    once: Callable[[bool], ChildReport], wanted: bool | None, *, seems_to_fit: bool
) -> ChildReport:
    """What was wished for is tried and nothing else; without a wish, two models that did not fit are tried in turn."""
    found = once(seems_to_fit if wanted is None else wanted)
    return once(False) if found.does_not_fit and wanted is None else found


def _once(
    base: OpenArtifact,
    cand: OpenArtifact,
    seen: tuple[Inspected, Inspected],
    sets: dict[SetName, TextSet],
    options: DriftOptions,
    told: Progress,
    *,
    is_together: bool,
) -> ChildReport:
    sizes = [one.size_bytes for one in seen]
    threads = options.threads or threads_for(max(sizes))
    job = _job(seen, sets, replace(options, threads=threads))
    wall_s = LOAD_WALL_S + options.wall_s + 2 * sum(sizes) / SLOWEST_BYTES_PER_S
    memory = sum(one.memory.total_bytes if one.memory else one.size_bytes for one in seen)
    limits = ChildLimits(
        wall_s=wall_s,
        cpu_s=int(wall_s) * (threads + 1),
        open_files=OPEN_FILES + 2 * (len(base.files) + len(cand.files)),
        # Mapped files and the memory of a model both count as address space.
        address_space_bytes=sum(sizes) + 2 * memory + 4 * PROGRAM_BYTES + options.store_bytes,
    )
    inherit = (*base.files.values(), *cand.files.values())

    def run(store: int | None) -> ChildOutcome:
        with linked(base.parts) as base_path, linked(cand.parts) as cand_path:
            request = {
                "base": {"files": base.files, "path": base_path},
                "cand": {"files": cand.files, "path": cand_path},
                "store": store,
            }
            return run_confined(
                MODULE,
                request,
                limits,
                stdin=json.dumps(job).encode(),
                inherit=inherit if store is None else (*inherit, store),
                on_progress=lambda done, total: told("compare", done, total),
            )

    if is_together:
        return read_outcome(run(None))
    with reserved(_store_size(seen[0], sets, options)) as store:
        return read_outcome(run(store))


def _fit_together(seen: tuple[Inspected, Inspected]) -> bool:
    wanted = sum(one.memory.total_bytes if one.memory else one.size_bytes for one in seen)
    return wanted < SPARE_MEMORY * psutil.virtual_memory().available


def _store_size(base: Inspected, sets: dict[SetName, TextSet], options: DriftOptions) -> int:
    """As much as all logits take, up to the limit: with less they are compared in portions."""
    vocabulary = base.model.vocabulary if base.model and base.model.vocabulary else 1
    needed = 4 * vocabulary * options.limit_tokens * len(sets)
    return min(options.store_bytes, needed)


def _job(
    seen: tuple[Inspected, Inspected], sets: dict[SetName, TextSet], options: DriftOptions
) -> dict[str, Any]:
    texts = [
        {
            "set": name,
            "id": text.id,
            "text": text.text,
            "messages": [message.model_dump() for message in text.messages],
        }
        for name, chosen in sets.items()
        for text in chosen.texts
    ]
    return {
        "texts": texts,
        "sets": list(sets),
        "context_tokens": options.context_tokens,
        "limit_tokens": options.limit_tokens,
        "noise_tokens": options.noise_tokens,
        "threads": options.threads,
        "wall_s": options.wall_s,
        # A template that the checks refused is never rendered here either.
        "may_use_template": all(one.is_rendered for one in seen if one.template is not None),
    }


def _report(
    sides: Sequence[Side],
    found: ChildReport,
    sets: dict[SetName, TextSet],
    options: DriftOptions,
    taken_at: datetime,
) -> DriftReport:
    measured, problems = measures_of(found)
    wanted = {(name, text.id) for name, texts in sets.items() for text in texts.texts}
    # What the child says of texts that it was not asked about is no evidence, and silence about one is none either.
    measured = [text for text in measured if (text.set_name, text.id) in wanted]
    told = {(text.set_name, text.id) for text in measured} | (problems.keys() & wanted)
    untold = len(wanted) - len(told) - sum(found.left_out.values())
    problem = found.problem
    if found.missing_engine:
        problem = f"the engine is not installed here: {found.missing_engine}"
    elif measured and untold and not problem:
        problem = f"the measurement does not account for {untold} of {len(wanted)} texts"
    summaries = (
        summarize_set(name, texts, measured, problems, found.left_out.get(name, 0))
        for name, texts in sets.items()
    )
    tokens = sum(len(text.kl) for text in measured)
    return DriftReport(
        taken_at=taken_at,
        base=sides[0],
        candidate=sides[1],
        is_quantization=options.is_quantization,
        refusal=found.vocabulary.refusal if found.vocabulary else "",
        problem=problem,
        vocabulary=found.vocabulary,
        header_changes=found.header_changes,
        sets=tuple(one for one in summaries if one is not None),
        noise=found.noise if isinstance(found.noise, Noise) else None,
        context_tokens=found.context_tokens,
        threads=found.threads,
        device=found.device,
        is_together=found.is_together,
        seconds=found.seconds,
        tokens_per_second=tokens / found.seconds if found.seconds > 0 else 0.0,
        peak_memory_bytes=found.peak_memory_bytes,
    )
