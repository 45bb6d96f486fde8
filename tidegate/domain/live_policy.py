"""What live requests must show before a new set gets more of them, and what ends a release at once. Part of `Policy`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

LiveSlice = Literal["stream", "plain", "prompt-small", "prompt-medium", "prompt-large"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LiveMetrics(_Part):
    """Margin of each metric against the old set at the same moments; `null` shows it without judging it."""

    errors: float | None = Field(
        default=0.02, gt=0, lt=1, description="Share of failed requests, as clients saw them."
    )
    attempts: float | None = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="Share of failed attempts, those among them that a retry hid from the client.",
    )
    truncated: float | None = Field(
        default=0.02, gt=0, lt=1, description="Share of streams that ended without their end mark."
    )
    empty: float | None = Field(
        default=0.02, gt=0, lt=1, description="Share of answers without any text or tool call."
    )
    malformed: float | None = Field(
        default=0.02, gt=0, lt=1, description="Share of answers with an event that is not what it should be."
    )
    stalls: float | None = Field(
        default=0.05, gt=0, lt=1, description="Share of streams with a gap longer than `max_stall_ms`."
    )
    stops: float | None = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="Share of answers that end for one reason (`length`, `tool_calls`, `content_filter`, others), "
        "more or fewer.",
    )
    left: float | None = Field(
        default=None, gt=0, lt=1, description="Share of clients that hung up before the end."
    )
    ttft_p50: float | None = Field(
        default=0.25, gt=0, description="Slowdown of the median time to the first token: 0.25 allows 25 %."
    )
    ttft_p95: float | None = Field(
        default=None, gt=0, description="Slowdown of its 95th percentile; needs four times the requests."
    )
    itl_p50: float | None = Field(
        default=0.25, gt=0, description="Slowdown of the median time between tokens."
    )
    length: float | None = Field(
        default=0.5, gt=0, description="Change of the median number of tokens, longer or shorter."
    )


class LivePolicy(_Part):
    """Always-valid tests of live requests: they may be looked at as often as one likes."""

    alpha: float = Field(
        default=0.05,
        gt=0,
        lt=0.5,
        description="Chance that a release of a healthy version is ever stopped, over all metrics, slices and steps; "
        "and that a step passes for a version beyond a margin.",
    )
    metrics: LiveMetrics = LiveMetrics()
    max_error_share: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="Share of failed, empty, malformed or cut answers that is allowed where no old set answers at the "
        "same moments and none was seen before: a first release.",
    )
    max_stall_ms: float = Field(
        default=2000.0, gt=0, description="A longer gap between two tokens of a stream is a stall."
    )
    ttft_floor_ms: float = Field(
        default=20.0, ge=0, description="A smaller difference of times to the first token is noise."
    )
    itl_floor_ms: float = Field(
        default=2.0, ge=0, description="A smaller difference of times between tokens is noise."
    )
    slices: tuple[LiveSlice, ...] = Field(
        default=(),
        description="Parts of the traffic that are watched for harm by themselves: `stream`, `plain`, `prompt-small`, "
        "`prompt-medium`, `prompt-large`. A slice stops a release; it never holds one up.",
    )
    when_thin: Literal["probe", "hold"] = Field(
        default="probe",
        description="When clients send too little: send probe requests to both sets, which count as evidence marked as "
        "such, or wait and hold.",
    )
