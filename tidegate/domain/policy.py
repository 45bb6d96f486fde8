"""Policy of an organization: thresholds, margins, ladder, bake, budget. Read from YAML, frozen, hashed."""

import hashlib
import json
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tidegate.domain.evidence import Gate, WhenNotJudged
from tidegate.domain.live_policy import LiveMetrics, LivePolicy
from tidegate.domain.performance_policy import (
    HardLimits,
    LatencyMargin,
    LatencyMargins,
    LoadBudget,
    LoadDesign,
    PerformancePolicy,
    Slo,
)
from tidegate.domain.quality_policy import (
    DriftLimits,
    DriftPolicy,
    JudgePolicy,
    QualityPolicy,
    QuestionBudget,
    SlicePolicy,
)
from tidegate.domain.replay_policy import CapturePolicy, ReplayPolicy
from tidegate.domain.shift_policy import (
    ApprovalPolicy,
    BudgetPolicy,
    DeadlinePolicy,
    Rung,
    ShiftPolicy,
    Strategy,
)

__all__ = [
    "ALWAYS_CHECKED",
    "ALWAYS_FAIL",
    "DRIFT_CHECKS",
    "SLICES_CHECK",
    "SLO_CHECK",
    "ApprovalPolicy",
    "ArtifactPolicy",
    "BudgetPolicy",
    "CapturePolicy",
    "CheckLevel",
    "DeadlinePolicy",
    "DriftLimits",
    "DriftPolicy",
    "HardLimits",
    "JudgePolicy",
    "LatencyMargin",
    "LatencyMargins",
    "LatencyPolicy",
    "LiveMetrics",
    "LivePolicy",
    "LoadBudget",
    "LoadDesign",
    "ObjectivePolicy",
    "PerformancePolicy",
    "Policy",
    "QualityPolicy",
    "QuestionBudget",
    "ReplayPolicy",
    "ResponsePolicy",
    "Rung",
    "ShiftPolicy",
    "SlicePolicy",
    "Slo",
    "Strategy",
    "ValidationPolicy",
    "WhenNotJudged",
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArtifactPolicy(_Part):
    """Limits on the file itself."""

    min_bytes: int = Field(
        default=100 * 1024**2,
        ge=0,
        description="A smaller file is refused: it is cut short, or no real model.",
    )
    max_bytes: int = Field(default=100 * 1024**3, ge=1, description="A larger file is refused.")
    max_memory_bytes: int = Field(
        default=80 * 1024**3, ge=1, description="Largest memory estimate that may be deployed."
    )


class LatencyPolicy(_Part):
    """Speed of one sequence on the machine that validates. Below `min` fails, below `optimal` warns."""

    min_tokens_per_second: float = Field(
        default=5.0, ge=0, description="Tokens that one sequence must get in a second; slower fails."
    )
    optimal_tokens_per_second: float = Field(
        default=10.0, ge=0, description="Tokens that one sequence should get in a second; slower warns."
    )
    max_ttft_ms: float = Field(
        default=10_000.0, gt=0, description="Longest wait for the first token; longer fails."
    )
    optimal_ttft_ms: float = Field(
        default=2_000.0, gt=0, description="Usual wait for the first token; longer warns."
    )
    max_slowdown: float = Field(
        default=2.0, gt=1, description="Time per token against the baseline's; more fails."
    )
    slowdown_floor_ms: float = Field(
        default=4.0, ge=0, description="Time per token lost to the baseline that is never a failure."
    )


class ResponsePolicy(_Part):
    """What an answer may look like, whatever it says."""

    min_characters: int = Field(default=1, ge=1, description="Shorter answers count as empty.")
    max_problem_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Share of answers that may loop, guess or babble before that fails.",
    )
    max_loop_share: float = Field(
        default=0.5, gt=0, le=1, description="Share of an answer that may be one passage over and over."
    )
    min_mean_logprob: float = Field(
        default=-3.0,
        lt=0,
        description="Mean log-probability of the model's own greedy tokens: below it the model guesses.",
    )
    min_word_share: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="Share of an answer's words that are shaped like words or numbers.",
    )


SLICES_CHECK = "quality.slices"
SLO_CHECK = "performance.slo"
DRIFT_CHECKS = {
    "must_not_change": "drift.must_not_change",
    "meant_to_change": "drift.meant_to_change",
}
"""The row of evidence for each set of pinned texts; see `tidegate.drift.judging`."""

CheckLevel = Literal["off", "warn", "fail"]

ALWAYS_FAIL = frozenset({"file.digest", "gguf.structure", "inference.load"})
"""Checks that no policy can soften: without them nothing that follows means anything."""
ALWAYS_CHECKED = ALWAYS_FAIL | frozenset({
    "file.size", "gguf.memory", "gguf.numbers", "gguf.template",
    "inference.check_tensors", "inference.answers", "inference.stop",
    "response.text", "response.repetition", "response.special_tokens", "latency.speed",
})  # fmt: skip
"""Checks that the gates of a release ask for: a policy may soften them to `warn`, but not leave them out."""


class ValidationPolicy(_Part):
    """What the validation of a file looks at, and how strictly."""

    profile: Literal["standard", "deep"] = Field(
        default="standard", description="What a release is validated with; `quick` never suffices for one."
    )
    context_tokens: int | None = Field(
        default=None, ge=8, description="Context of one sequence; none takes the service's, else the model's."
    )
    parallel: int = Field(default=1, ge=1, description="Sequences at once, where no service says it.")
    checks: dict[str, CheckLevel] = Field(
        default_factory=dict,
        description="Check id -> `off`, `warn` (a failure is only a warning) or `fail` (a warning is a failure).",
    )
    plugins: tuple[str, ...] = Field(
        default=(), description="Checks of other packages to run, by name of their entry point."
    )
    options: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Check id -> thresholds that a check of another package reads."
    )
    plugin_wall_s: float = Field(default=30.0, gt=0, description="Longest run of one such check.")
    engine_wall_s: float = Field(
        default=600.0, gt=0, description="Longest time that questions to one model may take."
    )
    require_signature: bool = Field(default=False, description="Refuse a file without a trusted signature.")
    require_baseline: bool = Field(default=False, description="Refuse a file that nothing was compared with.")
    gpus: tuple[str, ...] = Field(
        default=(), description="Shell patterns of GPU types; the model must fit at least one of them."
    )
    cross_check_tolerance: float = Field(
        default=0.02,
        gt=0,
        le=1,
        description="Largest share by which our memory estimate may differ from the engine's own.",
    )
    min_questions: int = Field(default=20, ge=1, description="Fewest questions that a comparison rests on.")
    max_questions: int = Field(default=100, ge=1, description="Most questions of profile `standard`.")
    latency: LatencyPolicy = LatencyPolicy()
    response: ResponsePolicy = ResponsePolicy()

    @model_validator(mode="after")
    def _floor_holds(self) -> Self:
        for check, level in self.checks.items():
            if check in ALWAYS_FAIL and level != "fail":
                raise ValueError(f"validation.checks: '{check}' always fails a file, whatever a policy says")
            if check in ALWAYS_CHECKED and level == "off":
                raise ValueError(
                    f"validation.checks: '{check}' cannot be off, since releases ask for it; use warn"
                )
        return self


class NightlyPolicy(_Part):
    """What a night may find in a service that was in order. Drift and trends are watched for the same file."""

    max_changed_answers: float = Field(
        default=0.1, ge=0, lt=1, description="Share of answers that may differ from the baseline's."
    )
    alpha: float = Field(
        default=0.01, gt=0, lt=0.5, description="Chance of a false alarm of one check in one night."
    )
    nights_for_trend: int = Field(
        default=8, ge=4, le=365, description="Nights of the same file before a trend is judged."
    )
    trend_alpha: float = Field(
        default=0.005,
        gt=0,
        lt=0.5,
        description="How surprising a change of level must be. Every night looks again, so this is small.",
    )
    max_trend: float = Field(
        default=0.15, gt=0, description="Change of level for the worse that is never an alarm."
    )
    roll_back: bool = Field(
        default=False,
        description="Go back to the previous version by itself when a night proves a regression. The schedule's "
        "identity needs a role that may roll back.",
    )


class ObjectivePolicy(_Part):
    """What the service promises its users. It decides about alerts, and about no release."""

    availability: float = Field(
        default=0.99, gt=0, lt=1, description="Share of requests that must not fail; alerts follow it."
    )
    ttft: float = Field(
        default=0.95,
        gt=0,
        lt=1,
        description="Share of requests whose first token must come within 2 s; alerts follow it. The 2 s are one edge "
        "of a histogram that every service shares, and fixed.",
    )


class Policy(_Part):
    """Everything that decides about a release of one service, and what the service promises."""

    require_signed_requests: bool = Field(
        default=False, description="Refuse releases, rollbacks and approvals without a request token."
    )
    unsigned_requests_from: tuple[str, ...] = Field(
        default=("*",),
        description="Shell patterns of names that may ask without a token, where that is allowed at all. "
        "The name is what the asker says: on a shared installation require signed requests.",
    )
    approval: ApprovalPolicy = ApprovalPolicy()
    artifact: ArtifactPolicy = ArtifactPolicy()
    validation: ValidationPolicy = ValidationPolicy()
    performance: PerformancePolicy = PerformancePolicy()
    quality: QualityPolicy = QualityPolicy()
    drift: DriftPolicy = DriftPolicy()
    replay: ReplayPolicy = ReplayPolicy()
    shift: ShiftPolicy = ShiftPolicy()
    live: LivePolicy = LivePolicy()
    budget: BudgetPolicy = BudgetPolicy()
    deadlines: DeadlinePolicy = DeadlinePolicy()
    nightly: NightlyPolicy = NightlyPolicy()
    objectives: ObjectivePolicy = ObjectivePolicy()

    def when_not_judged(self, gate: Gate) -> WhenNotJudged:
        """What it says about a gate whose budget is spent. Gates that need no samples are never let through."""
        if gate is Gate.PERFORMANCE:
            return self.performance.when_not_judged
        return self.quality.when_not_judged if gate is Gate.QUALITY else "hold"

    def declared_checks(self, gate: Gate) -> frozenset[str]:
        """Checks that this gate needs because the policy says so, beside those that it always needs."""
        sets = {
            DRIFT_CHECKS["must_not_change"]: self.drift.must_not_change,
            DRIFT_CHECKS["meant_to_change"]: self.drift.meant_to_change,
        }
        declared = {(Gate.QUALITY, check): not limits.is_empty for check, limits in sets.items()} | {
            (Gate.PERFORMANCE, SLO_CHECK): self.performance.slo.min_attainment is not None,
            (Gate.QUALITY, SLICES_CHECK): bool(self.quality.slices),
        }
        return frozenset(check for (of, check), is_declared in declared.items() if is_declared and of is gate)

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON: evidence and approvals bind to it. A promise that is worded anew while a release
        is open must not void them."""
        text = json.dumps(
            self.model_dump(mode="json", exclude={"objectives"}), sort_keys=True, separators=(",", ":")
        )
        return hashlib.sha256(text.encode()).hexdigest()
