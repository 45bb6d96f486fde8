"""Evidence rows and verdicts. Only `pass` passes; missing data is `not_judged` (S7)."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
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


WORST_FIRST = (Verdict.FAIL, Verdict.ERROR, Verdict.NOT_JUDGED, Verdict.PASS)


class Gate(StrEnum):
    """The gates of a release, in the order in which they are asked."""

    AUTHORIZATION = "authorization"
    STRUCTURE = "structure"
    INFERENCE = "inference"
    IDENTITY = "identity"
    PROBES = "probes"
    PERFORMANCE = "performance"
    QUALITY = "quality"
    REPLAY = "replay"
    SHADOW = "shadow"
    LIVE = "live"
    REHEARSAL = "rehearsal"


class Evidence(BaseModel):
    """One measured or checked fact. `check` is a stable id such as `probe.stream` or `gguf.offset`.

    A row that was judged by statistics says in `data` what it rests on: `samples`, `numbers`, `reach`, `p_value`.
    """

    model_config = ConfigDict(frozen=True)

    gate: Gate
    check: str
    verdict: Verdict
    summary: str = Field(description="One sentence for a person, with the numbers that matter.")
    remedy: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    taken_at: datetime | None = None

    @property
    def numbers(self) -> str:
        """The same for an engineer: estimates, bounds, tests. Empty where the summary is all there is."""
        return str(self.data.get("numbers", ""))

    @property
    def reach(self) -> str:
        """What these samples could have shown at all. Empty where nothing was estimated."""
        return str(self.data.get("reach", ""))

    @property
    def samples(self) -> int | None:
        """Observations that it rests on; None where nothing was counted."""
        value = self.data.get("samples")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def is_shown_only(self) -> bool:
        """Its metric decides nothing, or nothing here: it stands beside the others for people to see."""
        return self.verdict is Verdict.NOT_JUDGED and self.data.get("is_gating") is False

    @property
    def p_value(self) -> float | None:
        """Chance of so much evidence of harm without any; None for a limit that needs no statistics."""
        value = self.data.get("p_value")
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


class GateResult(BaseModel):
    """A gate's verdict with the rows it was folded from."""

    model_config = ConfigDict(frozen=True)

    gate: Gate
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    is_measured: bool = Field(
        default=False,
        description="No evidence is missing: what is not judged rests on samples that do not decide.",
    )
    by_policy: WhenNotJudged | None = Field(
        default=None,
        description="What the policy said about a gate that was not judged; None: it was not asked.",
    )


def fold(gate: Gate, rows: list[Evidence], required: frozenset[str]) -> GateResult:
    """Fold evidence rows into one verdict.

    fail beats error beats not_judged beats pass; a required check without a row is `not_judged`, so an
    empty list never passes (S7). All rows must pass: with each metric judged at error rate alpha, a candidate
    that is beyond one margin passes with a chance of at most alpha (intersection-union test, R. L. Berger,
    Technometrics 24 (1982) 295-300). Whoever judges several things at once corrects their fails (Holm): one
    row that fails is enough here. Rows that are only shown are no evidence for either.
    """
    own = [row for row in rows if row.gate is gate and not row.is_shown_only]
    missing = sorted(required - {row.check for row in own})
    open_rows = [row for row in own if row.verdict is Verdict.NOT_JUDGED]
    is_measured = bool(own) and not missing and all(row.samples for row in open_rows)
    for verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.NOT_JUDGED):
        hits = tuple(row.summary for row in own if row.verdict is verdict)
        if verdict is Verdict.NOT_JUDGED and missing:
            hits += tuple(f"no evidence for {check}" for check in missing)
        if hits:
            return GateResult(gate=gate, verdict=verdict, reasons=hits, is_measured=is_measured)
    if not own:
        return GateResult(gate=gate, verdict=Verdict.NOT_JUDGED, reasons=("no evidence",))
    reasons = tuple(row.summary for row in own)
    return GateResult(gate=gate, verdict=Verdict.PASS, reasons=reasons, is_measured=True)


def settle(result: GateResult, wish: WhenNotJudged) -> GateResult:
    """What the policy makes of a gate that its whole budget did not decide. Never hidden: the reasons say so.

    `pass` holds for samples that do not decide. Where evidence is missing nobody looked, and the gate holds.
    """
    if result.verdict is not Verdict.NOT_JUDGED:
        return result
    if wish == "pass" and not result.is_measured:
        note = "not judged; the policy says pass, but evidence is missing, which never passes"
        return result.model_copy(update={"reasons": (*result.reasons, note), "by_policy": "hold"})
    verdict = {"hold": Verdict.NOT_JUDGED, "fail": Verdict.FAIL, "pass": Verdict.PASS}[wish]
    reasons = (*result.reasons, f"not judged; the policy says {wish}")
    return result.model_copy(update={"verdict": verdict, "reasons": reasons, "by_policy": wish})


def fold_gates(results: Mapping[Gate, GateResult], required: Collection[Gate]) -> Verdict:
    """Verdict of a release: all of its gates must pass, and a gate that was not asked has not passed."""
    if not required:
        return Verdict.NOT_JUDGED
    found = {results[gate].verdict if gate in results else Verdict.NOT_JUDGED for gate in required}
    return next(verdict for verdict in WORST_FIRST if verdict in found)


def evidence_digest(rows: Iterable[Evidence]) -> str:
    """Hash of what was found: verdicts and the numbers they rest on, in any order."""
    texts = sorted(
        row.model_dump_json(include={"gate", "check", "verdict", "summary", "data"}) for row in rows
    )
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
