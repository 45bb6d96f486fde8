"""Evidence rows and verdicts. Only `pass` passes; missing data is `not_judged` (S7)."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

WhenNotJudged = Literal["hold", "fail", "pass"]
"""What a gate does that could not decide within its budget. `hold` keeps the live model and asks a person."""
WHEN_NOT_JUDGED = (
    "When the samples of the whole budget do not decide: `hold` keeps the live model and asks a person, `fail` "
    "ends the release, `pass` lets it through. Evidence that is missing never passes, whatever stands here."
)


class Verdict(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    NOT_JUDGED = "not_judged"
    ERROR = "error"


class Gate(StrEnum):
    """The gates of a release, in the order in which they are asked."""

    AUTHORIZATION = "authorization"
    STRUCTURE = "structure"
    INFERENCE = "inference"
    IDENTITY = "identity"
    PROBES = "probes"
    PERFORMANCE = "performance"
    QUALITY = "quality"


class Evidence(BaseModel):
    """One measured or checked fact. `check` is a stable id such as `probe.stream` or `gguf.offset`."""

    model_config = ConfigDict(frozen=True)

    gate: Gate
    check: str
    verdict: Verdict
    summary: str = Field(description="One sentence for a person, with the numbers that matter.")
    remedy: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    taken_at: datetime | None = None


class GateResult(BaseModel):
    """A gate's verdict with the rows it was folded from."""

    model_config = ConfigDict(frozen=True)

    gate: Gate
    verdict: Verdict
    reasons: tuple[str, ...] = ()


def fold(gate: Gate, rows: list[Evidence], required: frozenset[str]) -> GateResult:
    """Fold evidence rows into one verdict.

    fail beats error beats not_judged beats pass; a required check without a row is `not_judged`, so an
    empty list never passes (S7).
    """
    own = [row for row in rows if row.gate is gate]
    missing = sorted(required - {row.check for row in own})
    for verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.NOT_JUDGED):
        hits = tuple(row.summary for row in own if row.verdict is verdict)
        if verdict is Verdict.NOT_JUDGED and missing:
            hits += tuple(f"no evidence for {check}" for check in missing)
        if hits:
            return GateResult(gate=gate, verdict=verdict, reasons=hits)
    if not own:
        return GateResult(gate=gate, verdict=Verdict.NOT_JUDGED, reasons=("no evidence",))
    return GateResult(gate=gate, verdict=Verdict.PASS, reasons=tuple(row.summary for row in own))
