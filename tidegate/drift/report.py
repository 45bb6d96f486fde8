"""What was measured, as one value: for reports, for the ledger, and for the verdicts made of it. Versioned JSON."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tidegate.drift.said import ChangedHeader, Noise, Vocabulary, WorstToken

SCHEMA_VERSION = 1
MUST_NOT_CHANGE, MEANT_TO_CHANGE = "must_not_change", "meant_to_change"
SetName = Literal["must_not_change", "meant_to_change"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Estimate(_Part):
    """A mean over tokens; each bound errs in about 5 of 100 samples of texts, the text being what is independent.

    Without two texts there are no bounds.
    """

    mean: float
    low: float | None
    high: float | None
    texts: int


class Percentiles(_Part):
    """Of single tokens. One that fewer than ten tokens lie beyond is not stated."""

    p1: float | None = None
    p5: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    lowest: float
    highest: float
    p95_bounds: tuple[float, float] | None = Field(
        default=None, description="90 % interval by resampling whole texts."
    )
    p99_bounds: tuple[float, float] | None = None


class Histogram(_Part):
    """Tokens by their divergence: `counts[i]` of them between `edges[i]` and `edges[i + 1]`."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class PartDrift(_Part):
    """Texts of one kind or language together: to see where a drift comes from. Nothing is decided by it."""

    name: str
    texts: int
    tokens: int
    kl_mean: float
    same_top: float
    nll_change: float


class WorstPlace(_Part):
    """A token that the models disagree about most, and the text where."""

    text: str
    token: WorstToken


class SetDrift(_Part):
    """How far the candidate is from the baseline on one set of texts."""

    name: SetName
    source: str
    digest: str
    texts: int = Field(description="That were measured.")
    tokens: int
    left_out: int = Field(
        description="Texts that the limit on tokens, or the lack of a chat template, kept out."
    )
    unmeasured: dict[str, str] = Field(description="Text -> why it could not be measured.")
    cut_texts: int = Field(description="Texts that did not fit into the context as a whole.")
    kl: Estimate
    kl_percentiles: Percentiles
    kl_histogram: Histogram
    reverse_kl: Estimate
    same_top: Estimate
    base_nll: Estimate
    cand_nll: Estimate
    nll_change: Estimate = Field(description="Candidate less baseline: below 0 the texts became likelier.")
    delta_p: Estimate = Field(description="Change of the probability of the token that really comes.")
    delta_p_percentiles: Percentiles
    delta_p_rms: float
    base_entropy: Estimate
    kinds: tuple[PartDrift, ...] = ()
    languages: tuple[PartDrift, ...] = ()
    worst: tuple[WorstPlace, ...] = ()


class Side(_Part):
    """One of the two files."""

    file: str
    digest: str
    size_bytes: int
    model: str = ""
    file_type: str = ""


class DriftReport(_Part):
    """One comparison of a candidate with its baseline."""

    schema_version: int = SCHEMA_VERSION
    taken_at: datetime
    base: Side
    candidate: Side
    is_quantization: bool = False
    refusal: str = Field(default="", description="Why these two cannot be compared.")
    problem: str = Field(default="", description="Why the comparison did not come to its end.")
    vocabulary: Vocabulary | None = None
    header_changes: tuple[ChangedHeader, ...] = ()
    sets: tuple[SetDrift, ...] = ()
    noise: Noise | None = None
    context_tokens: int = 0
    threads: int = 0
    device: str = ""
    is_together: bool = True
    seconds: float = 0.0
    tokens_per_second: float = 0.0
    peak_memory_bytes: int = 0

    def set_named(self, name: SetName) -> SetDrift | None:
        return next((found for found in self.sets if found.name == name), None)
