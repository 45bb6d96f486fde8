"""How far a candidate's distribution may be from its baseline's. A part of the policy of a service."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class DriftPolicy(BaseModel):
    """Limits on the divergence of next tokens, in nats a token (mean over all tokens, the text as the unit)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_kl: float = Field(
        default=0.2,
        gt=0,
        description="Mean KL divergence from the baseline on texts that must not change; 0.03 is what a usual "
        "4-bit quantization costs, 0.45 what a 2-bit one does.",
    )
    when_beyond: Literal["fail", "warn"] = Field(
        default="fail", description="What more than `max_kl` on texts that must not change means."
    )
    max_nll_rise: float = Field(
        default=0.02,
        ge=0,
        description="Nats a token by which texts that are meant to change may become less likely.",
    )
    when_worse: Literal["fail", "warn"] = Field(
        default="warn", description="What a larger rise on texts that are meant to change means."
    )
    max_kl_factor_quantized: float = Field(
        default=3.0,
        gt=1,
        description="Mean KL divergence of a quantization from its own f16, as a multiple of what is usual for its type.",
    )
    max_kl_quantized: float | None = Field(
        default=None, gt=0, description="The same as a limit in nats, for every type; none goes by the type."
    )
    min_texts: int = Field(
        default=10, ge=2, description="Fewest texts that a verdict rests on; fewer are not judged."
    )
    max_bound_width: float = Field(
        default=0.5,
        gt=0,
        description="Endpoints give bounds on the divergence only; bounds further apart are not judged.",
    )
