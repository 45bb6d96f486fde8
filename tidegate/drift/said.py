"""What the drift child is asked and what it says, as values. It may have been taken over by a file: everything it
says is checked here before anything is concluded from it."""

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegate.drift.measure import Reals
from tidegate.validation.confinement import ChildOutcome

MOST_WORST = 8
LONGEST_SHOWN = 400
ROUNDING = 1e-4


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Vocabulary(_Said):
    """See `tidegate.drift.vocabulary`."""

    base_tokens: int = Field(ge=0)
    cand_tokens: int = Field(ge=0)
    differing: int = Field(default=0, ge=0)
    is_only_special: bool = False
    examples: tuple[str, ...] = Field(default=(), max_length=32)
    refusal: str = ""
    notes: tuple[str, ...] = Field(default=(), max_length=32)


class ChangedHeader(_Said):
    """A metadata key or a tensor's shape that is not the same; a side where it does not exist is empty."""

    name: str
    old: str
    new: str


class WorstToken(_Said):
    """One token that the models disagree about, with what stands before it."""

    place: int = Field(ge=0)
    kl: float = Field(ge=0)
    before: str = Field(max_length=LONGEST_SHOWN)
    actual: str = Field(max_length=LONGEST_SHOWN)
    base_top: str = Field(max_length=LONGEST_SHOWN)
    cand_top: str = Field(max_length=LONGEST_SHOWN)
    base_top_p: float = Field(ge=0, le=1 + ROUNDING)
    cand_top_p: float = Field(ge=0, le=1 + ROUNDING)
    base_p: float = Field(ge=0, le=1 + ROUNDING)
    cand_p: float = Field(ge=0, le=1 + ROUNDING)


class _Values(_Said):
    kl: str
    reverse_kl: str
    base_nll: str
    cand_nll: str
    base_entropy: str
    same_top: str


class _Text(_Said):
    set: str
    id: str
    problem: str = ""
    is_cut: bool = False
    tokens: int = Field(default=0, ge=0)
    windows: tuple[int, ...] = ()
    values: _Values | None = None
    worst: tuple[WorstToken, ...] = Field(default=(), max_length=MOST_WORST)


class Noise(_Said):
    """The baseline against itself with other sums."""

    tokens: int = Field(ge=1)
    kl_mean: float = Field(ge=0)
    kl_max: float = Field(ge=0)
    same_top: float = Field(ge=0, le=1)
    threads: tuple[int, int]
    batch: tuple[int, int]


class ChildReport(_Said):
    """The whole result. Missing parts have the value that never passes."""

    problem: str = ""
    missing_engine: str = ""
    does_not_fit: bool = False
    vocabulary: Vocabulary | None = None
    header_changes: tuple[ChangedHeader, ...] = ()
    file_types: tuple[int | None, int | None] = (None, None)
    texts: tuple[_Text, ...] = ()
    noise: Noise | dict[str, None] = Field(default_factory=dict[str, None])
    context_tokens: int = 0
    threads: int = 0
    is_together: bool = True
    left_out: Mapping[str, int] = Field(default_factory=dict[str, int])
    device: str = ""
    log: tuple[str, ...] = ()
    seconds: float = Field(default=0.0, ge=0)
    peak_memory_bytes: int = Field(default=0, ge=0)


@dataclass(frozen=True, slots=True)
class TextMeasures:
    """One text: a value for each of its scored tokens."""

    set_name: str
    id: str
    kl: Reals
    reverse_kl: Reals
    base_nll: Reals
    cand_nll: Reals
    base_entropy: Reals
    same_top: Reals
    windows: tuple[int, ...]
    """Scored tokens of each window."""
    is_cut: bool
    worst: tuple[WorstToken, ...]

    @property
    def delta_p(self) -> Reals:
        """Change of the probability of the token that really comes."""
        return np.exp(-self.cand_nll) - np.exp(-self.base_nll)


def read_outcome(outcome: ChildOutcome) -> ChildReport:
    """Pure. A result that cannot be read is a problem, never a passed check."""
    if outcome.result is None:
        return ChildReport(problem=f"the measurement gave no result: {outcome.problem}")
    try:
        return ChildReport.model_validate(outcome.result)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return ChildReport(problem=f"the measurement cannot be read ({where}: {first['type']})")


def measures_of(report: ChildReport) -> tuple[list[TextMeasures], dict[tuple[str, str], str]]:
    """The texts that were measured, and why the others were not."""
    measured: list[TextMeasures] = []
    problems: dict[tuple[str, str], str] = {}
    for text in report.texts:
        try:
            if text.problem or text.values is None:
                raise ValueError(text.problem or "it was not measured")
            measured.append(_measures(text, text.values))
        except ValueError as error:
            problems[text.set, text.id] = str(error)
    return measured, problems


def _measures(text: _Text, values: _Values) -> TextMeasures:
    """Raises: ValueError for values that cannot be what they say they are."""
    found: dict[str, Reals] = {
        name: _unpacked(packed, text.tokens) for name, packed in values.model_dump().items()
    }
    same = found["same_top"]
    if sum(text.windows) != text.tokens or not np.isin(same, (0.0, 1.0)).all():
        raise ValueError("its values do not agree with each other")
    return TextMeasures(
        text.set, text.id, **found, windows=text.windows, is_cut=text.is_cut, worst=text.worst
    )  # fmt: skip


def _unpacked(packed: str, count: int) -> Reals:
    """Every quantity is a finite number, and none of these can be negative but by rounding."""
    try:
        data = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("its values cannot be read") from error
    if count == 0 or len(data) != 4 * count:
        raise ValueError("its values have another number than its tokens")
    found = np.frombuffer(data, dtype="<f4").astype(np.float64)
    lowest = float(found.min())
    if not bool(np.isfinite(found).all()) or not math.isfinite(lowest) or lowest < -ROUNDING:
        raise ValueError("its values are not what can be measured")
    return np.maximum(found, 0.0)


Job = dict[str, Any]
