"""What a policy says about speed: margins, hard limits, what is measured, and what happens without a verdict.

The part `performance` of a policy. Pure values; `policy.Policy` holds them.
"""

import math
from collections.abc import Iterator
from typing import Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tidegate.domain.evidence import WHEN_NOT_JUDGED, WhenNotJudged


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LatencyMargin(_Part):
    """How much slower than the live model one latency may be."""

    max_slowdown: float = Field(
        gt=0, le=10, description="Slowdown that is tolerated: 0.15 allows 15 % slower than the live model."
    )
    floor_ms: float = Field(
        ge=0, description="A difference below this is never a failure: ratios of tiny numbers are noise."
    )

    @property
    def max_ratio(self) -> float:
        """Candidate over live model, which is what intervals are compared with."""
        return 1 + self.max_slowdown


LatencyMetric = Literal[
    "ttft_p50", "ttft_p95", "ttft_p99", "ttft_answer_p50", "ttft_answer_p95",
    "itl_p50", "itl_p95", "gap_p95", "gap_p99", "stall_p50", "stall_p95", "e2e_p50", "e2e_p95",
]  # fmt: skip
USUAL_MARGINS: dict[str, dict[str, float]] = {
    "ttft_p50": {"max_slowdown": 0.15, "floor_ms": 5.0},
    "ttft_p95": {"max_slowdown": 0.25, "floor_ms": 5.0},
    "ttft_p99": {"max_slowdown": 0.25, "floor_ms": 5.0},
    "ttft_answer_p50": {"max_slowdown": 0.15, "floor_ms": 5.0},
    "ttft_answer_p95": {"max_slowdown": 0.25, "floor_ms": 5.0},
    "itl_p50": {"max_slowdown": 0.15, "floor_ms": 2.0},
    "itl_p95": {"max_slowdown": 0.25, "floor_ms": 2.0},
    "gap_p95": {"max_slowdown": 0.25, "floor_ms": 5.0},
    "gap_p99": {"max_slowdown": 0.25, "floor_ms": 5.0},
    "stall_p50": {"max_slowdown": 0.25, "floor_ms": 10.0},
    "stall_p95": {"max_slowdown": 0.25, "floor_ms": 10.0},
    "e2e_p50": {"max_slowdown": 0.15, "floor_ms": 20.0},
    "e2e_p95": {"max_slowdown": 0.25, "floor_ms": 20.0},
}
"""What a margin is filled up with where a policy gives only a part of it."""


def _usual(metric: LatencyMetric) -> LatencyMargin:
    return LatencyMargin.model_validate(USUAL_MARGINS[metric])


class LatencyMargins(_Part):
    """Latencies that decide, each against the live model. One that is null is measured and shown, and decides
    nothing. All that stand here must pass; few are better than many. `ttft` counts from the planned time under
    open load."""

    ttft_p50: LatencyMargin | None = Field(
        default=_usual("ttft_p50"), description="Median time to first token."
    )
    ttft_p95: LatencyMargin | None = Field(
        default=_usual("ttft_p95"),
        description="95th percentile of it; needs far more requests than a median.",
    )
    ttft_p99: LatencyMargin | None = Field(
        default=None, description="99th percentile; needs 1000 requests a block."
    )
    ttft_answer_p50: LatencyMargin | None = Field(
        default=None, description="Median time to the first token that is not reasoning."
    )
    ttft_answer_p95: LatencyMargin | None = Field(default=None, description="95th percentile of it.")
    itl_p50: LatencyMargin | None = Field(
        default=_usual("itl_p50"), description="Median time between tokens of one stream."
    )
    itl_p95: LatencyMargin | None = Field(default=None, description="95th percentile of it over requests.")
    gap_p95: LatencyMargin | None = Field(
        default=None, description="95th percentile of the gaps between chunks."
    )
    gap_p99: LatencyMargin | None = Field(default=None, description="99th percentile of them.")
    stall_p50: LatencyMargin | None = Field(
        default=None, description="Median of the longest gap of a request."
    )
    stall_p95: LatencyMargin | None = Field(default=None, description="95th percentile of it.")
    e2e_p50: LatencyMargin | None = Field(default=None, description="Median time to the last token.")
    e2e_p95: LatencyMargin | None = Field(default=None, description="95th percentile of it.")

    @model_validator(mode="before")
    @classmethod
    def _fill_up(cls, value: Any) -> Any:
        """`ttft_p95: {max_slowdown: 0.4}` keeps the usual floor of that metric."""
        if not isinstance(value, dict):
            return value
        given = cast("dict[str, Any]", value)
        return {
            name: {**USUAL_MARGINS[name], **cast("dict[str, Any]", margin)}
            if name in USUAL_MARGINS and isinstance(margin, dict)
            else margin
            for name, margin in given.items()
        }

    def declared(self) -> Iterator[tuple[str, LatencyMargin]]:
        """Metric and margin of each that decides, in the order of this class."""
        for name in type(self).model_fields:
            margin = getattr(self, name)
            if margin is not None:
                yield name, margin


class HardLimits(_Part):
    """Absolute limits of the candidate. They act first, with or without a live model, and no margin softens them."""

    max_ttft_p95_ms: float = Field(
        default=2000.0, gt=0, description="Time to first token that at most 5 % of requests may exceed."
    )
    max_itl_p95_ms: float | None = Field(
        default=None, gt=0, description="Time between tokens that at most 5 % of requests may exceed."
    )
    min_tokens_per_second: float = Field(
        default=5.0, ge=0, description="Median decode speed of one stream; slower fails."
    )
    max_error_share: float = Field(
        default=0.0, ge=0, le=1, description="Share of requests that may fail or end before they are whole."
    )


class Slo(_Part):
    """What one request must keep to be good. A request that fails, or is never sent, is a miss."""

    ttft_ms: float | None = Field(default=None, gt=0, description="Longest wait for the first token.")
    itl_ms: float | None = Field(default=None, gt=0, description="Longest mean time between tokens.")
    e2e_ms: float | None = Field(default=None, gt=0, description="Longest time to the last token.")
    min_attainment: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Share of requests that must keep all of these; null shows it and decides nothing.",
    )

    @property
    def is_empty(self) -> bool:
        return self.ttft_ms is None and self.itl_ms is None and self.e2e_ms is None

    @model_validator(mode="after")
    def _names_a_latency(self) -> Self:
        if self.min_attainment is not None and self.is_empty:
            raise ValueError(
                "slo.min_attainment needs a latency to attain; give slo.ttft_ms, slo.itl_ms or slo.e2e_ms"
            )
        return self


class LoadDesign(_Part):
    """What one planned comparison sends: pairs of blocks in the order candidate, live, live, candidate, ..."""

    block_pairs: int = Field(
        default=10,
        ge=3,
        le=200,
        description="Pairs after which the t interval is looked at: the planned end.",
    )
    requests_per_block: int = Field(
        default=60, ge=1, le=10_000, description="Requests of one block of one arm."
    )
    concurrency: int = Field(
        default=2, ge=1, le=1024, description="Streams at once, if max_capacity_share allows so many."
    )
    max_tokens: int = Field(
        default=24, ge=1, description="Tokens of each answer; both arms are made to write as many."
    )
    warmup_requests: int = Field(
        default=2, ge=0, le=1000, description="Requests before each block that are not counted."
    )
    seed: int = Field(default=0, ge=0, description="Fixes prompts, seeds and order before anything is sent.")

    @property
    def requests_per_arm(self) -> int:
        return self.block_pairs * self.requests_per_block


class LoadBudget(_Part):
    """Most that one release may measure. Between the planned end and here more is measured while nothing is decided."""

    max_block_pairs: int | None = Field(
        default=None,
        ge=3,
        le=1000,
        description="Most block pairs of a release; null: twice the planned ones.",
    )
    step_block_pairs: int = Field(
        default=2,
        ge=1,
        le=100,
        description="Pairs measured and kept at a time; a crash repeats at most these.",
    )
    max_requests: int | None = Field(
        default=None, ge=1, description="Most requests of both arms together; null means no limit."
    )
    max_seconds: float = Field(default=1800.0, gt=0, description="Longest time that is measured.")
    max_usd: float | None = Field(
        default=None, ge=0, description="Most that the new set may cost while it is measured; null: no limit."
    )


class PerformancePolicy(_Part):
    """Whether the candidate is as fast as the live model, by block pairs in which only one is loaded at a time."""

    metrics: LatencyMargins = Field(default=LatencyMargins(), description="Latencies that decide.")
    limits: HardLimits = Field(default=HardLimits(), description="Hard limits of the candidate by itself.")
    slo: Slo = Field(default=Slo(), description="What a good request is, for goodput and attainment.")
    design: LoadDesign = Field(default=LoadDesign(), description="The planned comparison.")
    budget: LoadBudget = Field(default=LoadBudget(), description="How far it may be extended.")
    alpha: float = Field(
        default=0.05,
        gt=0,
        lt=0.5,
        description="Chance of passing a candidate that lies beyond a margin, and of failing one inside all of them.",
    )
    early_stopping: bool = Field(
        default=True,
        description="Stop before the planned end when the evidence already decides, by a valid rule.",
    )
    max_capacity_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of the slots of a set that test requests may take beside its clients (at least one).",
    )
    when_not_judged: WhenNotJudged = Field(default="hold", description=WHEN_NOT_JUDGED)

    @property
    def most_block_pairs(self) -> int:
        most = self.budget.max_block_pairs
        return 2 * self.design.block_pairs if most is None else most

    @model_validator(mode="before")
    @classmethod
    def _read_flat(cls, value: Any) -> Any:
        """Releases that were planned under the flat form go on under it."""
        return _from_flat(cast("dict[str, Any]", value)) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _budget_holds_the_design(self) -> Self:
        if self.most_block_pairs < self.design.block_pairs:
            raise ValueError(
                f"budget.max_block_pairs ({self.most_block_pairs}) is below design.block_pairs "
                f"({self.design.block_pairs}); raise the budget or plan fewer pairs"
            )
        planned, most = 2 * self.design.requests_per_arm, self.budget.max_requests
        if most is not None and most < planned:
            raise ValueError(
                f"budget.max_requests ({most}) is below the {planned} requests of the design; raise it, or lower "
                "design.block_pairs or design.requests_per_block"
            )
        return self


FLAT_PAIRS = 6
"""Blocks that a flat policy was measured in."""
FLAT_FIELDS = frozenset({
    "requests", "concurrency", "max_tokens", "max_ttft_p50_ratio", "max_itl_p50_ratio", "ttft_floor_ms",
    "itl_floor_ms", "max_ttft_p95_ms", "min_tokens_per_second", "max_error_share",
})  # fmt: skip


def _from_flat(value: dict[str, Any]) -> dict[str, Any]:
    """The flat form (`requests`, `max_ttft_p50_ratio`, ...) as the present one; anything else is left as it is."""
    if not FLAT_FIELDS & value.keys():
        return value
    if mixed := sorted({"metrics", "limits", "design", "budget"} & value.keys()):
        raise ValueError(f"write it in one form: '{mixed[0]}' does not go with the flat fields beside it")
    rest = dict(value)
    limits = {
        name: rest.pop(name)
        for name in ("max_ttft_p95_ms", "min_tokens_per_second", "max_error_share")
        if name in rest
    }
    pairs = min(FLAT_PAIRS, int(rest.get("requests", 48)))
    design = {name: rest.pop(name) for name in ("concurrency", "max_tokens") if name in rest}
    design |= {"block_pairs": pairs, "requests_per_block": math.ceil(int(rest.pop("requests", 48)) / pairs)}
    metrics: dict[str, Any] = {"ttft_p95": None}
    for kind, usual in (("ttft", 10.0), ("itl", 4.0)):
        ratio = float(rest.pop(f"max_{kind}_p50_ratio", 1.5))
        margin = {"max_slowdown": max(ratio - 1, 0.001), "floor_ms": rest.pop(f"{kind}_floor_ms", usual)}
        metrics[f"{kind}_p50"] = margin
    budget = {"max_block_pairs": pairs, "step_block_pairs": pairs}
    return {"metrics": metrics, "limits": limits, "design": design, "budget": budget, **rest}
