"""What differs between two artifacts: metadata, tensors, templates, tokenizer, size and memory. Pure.

Two outlines in, differences out; only the tokenizer and the weights need the files again, which a confined
child reads (`read_difference`).
"""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegate.domain import InvalidInput
from tidegate.validation.confinement import ChildLimits
from tidegate.validation.outline import MetadataEntry, Outline, TensorEntry, ask_child, files_of, plain_path

DIFF_LINES = 400
TOKENIZER_PREFIX = "tokenizer.ggml."
TOKENIZER_PARTS = ("tokens", "merges", "token_type", "scores")
SLOWEST_BYTES_PER_S = 20 * 1024**2
SLOWEST_BYTES_PER_CPU_S = 100 * 1024**2
OPEN_FILES = 64


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Change(_Part):
    """One key or tensor that is not the same in both; None where it does not exist."""

    name: str
    before: str | None
    after: str | None


class TemplateChange(_Part):
    """A chat template that differs, as the lines of a unified diff."""

    key: str
    lines: tuple[str, ...]
    is_cut: bool = False


class WeightShare(_Part):
    """Tensors of one kind whose bytes were compared."""

    kind: str
    compared: int
    different: int
    bytes: int


class Comparison(_Part):
    """Everything that differs. `before` is the first artifact, `after` the second."""

    before: Outline
    after: Outline
    metadata: tuple[Change, ...]
    tensors: tuple[Change, ...]
    templates: tuple[TemplateChange, ...]
    tokenizer: dict[str, Any] = Field(default_factory=dict, description="Empty when both are the same.")
    weights: tuple[WeightShare, ...] | None = Field(
        default=None, description="None when the bytes of the tensors were not compared."
    )
    quality: dict[str, Any] | None = None

    @property
    def size_change_bytes(self) -> int:
        return self.after.size_bytes - self.before.size_bytes

    @property
    def is_same(self) -> bool:
        """No difference in what was looked at."""
        weights = any(share.different for share in self.weights or ())
        changes = (self.metadata, self.tensors, self.templates, self.tokenizer, self.size_change_bytes)
        return not weights and not any(changes)


def compare(before: Outline, after: Outline, read: Mapping[str, Any] | None = None) -> Comparison:
    """Pure. `read` is what `read_difference` found."""
    found = read or {}
    return Comparison(
        before=before,
        after=after,
        metadata=tuple(_metadata(before, after)),
        tensors=tuple(_tensors(before, after)),
        templates=tuple(_templates(before.templates, after.templates)),
        tokenizer=found.get("tokenizer") or {},
        weights=found.get("weights"),
    )


def read_difference(before: Path, after: Path, *, with_weights: bool) -> dict[str, Any]:
    """Compare tokenizers, and on request every byte of tensors that exist in both.

    Raises: NotFound, InvalidInput.
    """
    old, new = files_of(before), files_of(after)
    request: dict[str, Any] = {
        "before": list(map(str, old)),
        "after": list(map(str, new)),
        "with_weights": with_weights,
    }
    bytes_read = sum(path.stat().st_size for path in (*old, *new)) if with_weights else 0
    limits = ChildLimits(
        wall_s=60.0 + bytes_read / SLOWEST_BYTES_PER_S,
        cpu_s=60 + bytes_read // SLOWEST_BYTES_PER_CPU_S,
        open_files=OPEN_FILES + len(old) + len(new),
    )
    shown = f"{before} or {after}"
    result = ask_child("tidegate.validation.comparison_child", request, limits, shown)
    try:
        weights = result["weights"]
        shares = None if weights is None else tuple(WeightShare.model_validate(row) for row in weights)
        return {"tokenizer": dict(result["tokenizer"]), "weights": shares}
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"What the reader of {plain_path(shown)} said cannot be read.",
            remedy="Treat the files as hostile and look at their origin.",
            field="path",
        ) from error


def _metadata(before: Outline, after: Outline) -> Iterator[Change]:
    """In the order of the files; templates and the tokenizer have parts of their own."""
    old = {entry.key: entry for entry in before.metadata}
    new = {entry.key: entry for entry in after.metadata}
    for key in dict.fromkeys((*old, *new)):
        mine, other = old.get(key), new.get(key)
        if mine is not None and other is not None and mine.digest == other.digest:
            continue
        if key in before.templates or key in after.templates or key.startswith(TOKENIZER_PREFIX):
            continue
        yield Change(name=key, before=_value(mine), after=_value(other))


def _value(entry: MetadataEntry | None) -> str | None:
    if entry is None:
        return None
    count = f" ({entry.count} items)" if entry.count is not None else ""
    return f"{entry.value}{'...' if entry.is_cut and entry.count is None else ''}{count}"


def _tensors(before: Outline, after: Outline) -> Iterator[Change]:
    old = {tensor.name: _shape(tensor) for tensor in before.tensors}
    new = {tensor.name: _shape(tensor) for tensor in after.tensors}
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield Change(name=name, before=old.get(name), after=new.get(name))


def _shape(tensor: TensorEntry) -> str:
    return f"{tensor.type} {' x '.join(map(str, tensor.dims))}"


def _templates(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[TemplateChange]:
    for key in dict.fromkeys((*before, *after)):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        lines = list(difflib.unified_diff(template_lines(old), template_lines(new), lineterm="", n=2))[2:]
        yield TemplateChange(key=key, lines=tuple(lines[:DIFF_LINES]), is_cut=len(lines) > DIFF_LINES)


def template_lines(template: str | None) -> list[str]:
    """A template cut into lines that a person can compare: most are written as one long line."""
    if template is None:
        return []
    return template.replace("\r\n", "\n").replace("%}{", "%}\n{").replace("}}{%", "}}\n{%").split("\n")
