"""Checks our memory estimate against the engine's own plan, made in a confined child without any weights.

Only for files whose structure was judged sound: the engine aborts on some headers, and an abort says
nothing here. No figure from the engine is "not checked", never "right".
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from tidegate.domain import InvalidInput, NotFound
from tidegate.gguf import DEFAULT_OPTIONS, Finding, ServingOptions, finding
from tidegate.validation.confinement import ChildLimits, Message, run_confined

MODULE = "tidegate.validation.allocation_child"
WALL_S, CPU_S = 300.0, 30
OPEN_FILES = 64
# Room for the engine's library and its tables; the plan itself allocates almost nothing.
ADDRESS_SPACE_BYTES = 2 * 1024**3
# An outline is shorter than the header it was made from, except that of a model without a tokenizer.
OUTLINE_SLACK_BYTES = 65_536
ALLOWED_SHARE = 0.02
# Below this no choice of a machine depends on the difference.
NEGLIGIBLE_BYTES = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """Bytes by purpose, as the engine or as our formulas see them; without what the process itself needs."""

    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.weights_bytes + self.kv_cache_bytes + self.compute_bytes


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """Both figures for the same settings on a machine without a GPU, or why there are none."""

    ours: EngineFigures | None = None
    engines: EngineFigures | None = None
    problem: str = ""
    log: tuple[str, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """`M-CROSS` when the two disagree by more than 2 % and by more than any decision ignores."""
        if self.ours is None or self.engines is None:
            return ()
        ours, engines = self.ours.total_bytes, self.engines.total_bytes
        gap = abs(ours - engines)
        if gap <= max(ALLOWED_SHARE * engines, NEGLIGIBLE_BYTES):
            return ()
        return (finding("M-CROSS", f"Estimated are {ours} bytes; the engine itself plans {engines}."),)


def cross_check(
    path: str | Path,
    context_tokens: int,
    parallel: int,
    *,
    options: ServingOptions = DEFAULT_OPTIONS,
    wall_s: float = WALL_S,
) -> CrossCheck:
    """Ask llama.cpp what the model at `path` would take, and compare.

    The child gets neither the words nor the weights of the model, so this takes a fraction of a second and
    little memory, whatever the size of the file. Whatever the engine does there is an outcome: data.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it cannot be read.
    """
    try:
        artifact = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.", remedy="Check the path.", field="path") from error
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"The file {str(path)!r} cannot be opened: {error}.",
            remedy="Give the path of a file that can be read.",
            field="path",
        ) from error
    try:
        return cross_check_open({"": artifact}, context_tokens, parallel, options=options, wall_s=wall_s)
    finally:
        os.close(artifact)


def cross_check_open(
    files: Mapping[str, int],
    context_tokens: int,
    parallel: int,
    *,
    options: ServingOptions = DEFAULT_OPTIONS,
    wall_s: float = WALL_S,
) -> CrossCheck:
    """The same for a file that is open, or for all parts of a model, by name."""
    size = sum(os.fstat(file).st_size for file in files.values())
    hollow = _hollow_file(size + OUTLINE_SLACK_BYTES)
    try:
        request: Message = {
            "files": dict(files),
            "context_tokens": context_tokens,
            "parallel": parallel,
            "options": asdict(options),
            "hollow": hollow,
        }
        limits = ChildLimits(
            wall_s=wall_s,
            cpu_s=CPU_S,
            address_space_bytes=ADDRESS_SPACE_BYTES,
            open_files=OPEN_FILES + 2 * len(files),
        )
        outcome = run_confined(MODULE, request, limits, inherit=(hollow, *files.values()))
    finally:
        os.close(hollow)
    if outcome.result is None:
        return CrossCheck(problem=f"the engine gave no figure: {outcome.problem}")
    return _read(outcome.result)


def _hollow_file(size: int) -> int:
    """A file of this size without content, in memory where the system can, that disappears with its descriptor."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("tidegate-outline")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.truncate(descriptor, size)
    return descriptor


def _read(result: Message) -> CrossCheck:
    """Read a result as if the child could have been taken over: every field is checked."""
    problem, log = result.get("problem"), result.get("log", [])
    lines = tuple(str(line)[:300] for line in cast("list[object]", log)[:20]) if isinstance(log, list) else ()
    if problem != "":
        return CrossCheck(problem=str(problem)[:500], log=lines)
    names = ("weights", "cache", "compute", "output", "our_weights", "our_cache", "our_compute")
    numbers = {name: result.get(name) for name in names}
    if not all(isinstance(number, int) and number >= 0 for number in numbers.values()):
        return CrossCheck(problem="the engine's figures cannot be read")
    sizes = {name: int(number or 0) for name, number in numbers.items()}
    return CrossCheck(
        ours=EngineFigures(sizes["our_weights"], sizes["our_cache"], sizes["our_compute"]),
        engines=EngineFigures(sizes["weights"], sizes["cache"], sizes["compute"] + sizes["output"]),
    )
