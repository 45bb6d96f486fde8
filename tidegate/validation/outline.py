"""What a header says, for people: metadata, tensors, templates, memory. No tensor data is read.

The header is read in a confined child; what comes back is checked like anything a stranger says. Texts in it
come from the file: show them through `plain`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegate.domain import InvalidInput, NotFound
from tidegate.gguf.split import parse_name
from tidegate.validation.confinement import ChildLimits, run_confined
from tidegate.validation.report import MemoryReport, ModelSummary, ReportedFinding, TensorGroup

LIMITS = ChildLimits(wall_s=60.0, cpu_s=30)
DEFAULT_CONTEXT_TOKENS, DEFAULT_PARALLEL = 4096, 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class MetadataEntry(_Part):
    """One key with the beginning of its value."""

    key: str
    type: str = Field(description="Type in the file; arrays name the type of their items.")
    count: int | None = Field(default=None, description="Items of an array.")
    value: str = Field(description="The value, or the beginning of a long one.")
    is_cut: bool = Field(default=False, description="True when the value goes on.")
    digest: str = Field(description="SHA-256 of type and whole value: equal values have equal digests.")
    offset: int


class TensorEntry(_Part):
    """One tensor as the header describes it."""

    name: str
    kind: str
    type: str
    dims: tuple[int, ...]
    bytes: int | None
    offset: int


class Outline(_Part):
    """Everything that the header of one artifact says."""

    path: str
    files: tuple[str, ...] = Field(description="The files of the artifact: several for a split model.")
    format: str = Field(description="For example `GGUF 3, little-endian`.")
    size_bytes: int
    header_bytes: int | None = None
    model: ModelSummary | None = None
    metadata: tuple[MetadataEntry, ...] = ()
    tensors: tuple[TensorEntry, ...] = ()
    groups: tuple[TensorGroup, ...] = ()
    templates: dict[str, str] = Field(default_factory=dict, description="Chat templates by key.")
    memory: MemoryReport | None = None
    findings: tuple[ReportedFinding, ...] = ()

    @property
    def is_readable(self) -> bool:
        """False when the header could not be read to its end."""
        return self.model is not None


def read_outline(
    path: str | Path,
    *,
    context_tokens: int = DEFAULT_CONTEXT_TOKENS,
    parallel: int = DEFAULT_PARALLEL,
    limits: ChildLimits = LIMITS,
) -> Outline:
    """Read the header at `path`. What is wrong with it is among the findings.

    Raises:
        NotFound: there is no such file.
        InvalidInput: the child that read it gave no result: the file brought it down.
    """
    request = {
        "paths": [str(found) for found in files_of(Path(path))],
        "context_tokens": context_tokens,
        "parallel": parallel,
    }
    result = ask_child("tidegate.validation.outline_child", request, limits, str(path))
    try:
        return Outline.model_validate({**result, "path": str(path)})
    except ValidationError as error:
        raise _unreadable(str(path), "what it said about it cannot be read") from error


def files_of(path: Path) -> Sequence[Path]:
    """The files that make up the artifact at `path`: one, all parts of a split model, or a folder.

    Raises: NotFound.
    """
    if not path.exists():
        raise NotFound(f"There is no file {plain_path(path)}.", remedy="Check the path.", field="path")
    name = parse_name(path.name)
    parts = [path.with_name(part) for part in name.siblings] if name is not None else []
    if len(parts) > 1 and all(part.is_file() for part in parts):
        return [part.absolute() for part in parts]
    return [path.absolute()]


def plain_path(path: str | Path) -> str:
    """A path as it may be shown: file names can hold anything but a slash."""
    from tidegate.domain.plain import plain

    return plain(str(path))


def ask_child(module: str, request: dict[str, Any], limits: ChildLimits, shown: str) -> dict[str, Any]:
    """Run a reader of headers.

    Raises: InvalidInput, when it ends without a result.
    """
    outcome = run_confined(module, request, limits)
    if outcome.result is None:
        raise _unreadable(shown, outcome.problem)
    if "problem" in outcome.result:
        raise _unreadable(shown, str(outcome.result["problem"])[:200])
    return outcome.result


def _unreadable(path: str, problem: str) -> InvalidInput:
    return InvalidInput(
        f"The header of {plain_path(path)} was read in a limited process, which gave no result: {problem}.",
        remedy="Treat the file as hostile and look at its origin.",
        field="path",
    )
