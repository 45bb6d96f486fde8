"""The shapes in which a figure is published: with its unit, its number of samples and its interval."""

import math
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tidegate.statistics import wilson_interval

SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
CONFIDENCE = 0.95
FEWEST_FOR_A_MEAN = 3


class Published(BaseModel):
    """Frozen; infinity cannot be written in JSON and is said in words."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Percentile(Published):
    """A percentile with the interval of its order statistics."""

    value: float | None = Field(description="None with `is_beyond`.")
    low: float | None = Field(description="Lower end of the 95 % interval.")
    high: float | None = Field(description="Upper end; None: it lies among the requests that failed.")
    n: int = Field(description="Samples.")
    is_beyond: bool = Field(default=False, description="So many failed that the percentile lies among them.")

    def text(self, unit: str = "") -> str:
        """For a person: `12.3 ms (11.8 to 13.0)`, or `beyond`."""
        if self.value is None:
            return "beyond"
        high = "beyond" if self.high is None else f"{self.high:.4g}"
        low = "beyond" if self.low is None else f"{self.low:.4g}"
        return f"{self.value:.4g}{unit and ' ' + unit} ({low} to {high})"


class Distribution(Published):
    """Values of one figure over requests. Percentiles are None where there are too few values for them."""

    unit: str
    n: int = Field(description="Values.")
    mean: float | None
    mean_low: float | None = Field(description="95 % t interval of the mean.")
    mean_high: float | None
    minimum: float | None
    maximum: float | None
    p50: Percentile | None
    p90: Percentile | None
    p95: Percentile | None
    p99: Percentile | None
    adjusted: dict[str, Percentile] = Field(
        default_factory=dict,
        description="The same with every failed or unsent request as infinitely slow. Empty: all succeeded.",
    )


class Rate(Published):
    """An amount per second. The interval comes from parts of the window; None: too few parts or requests."""

    value: float
    low: float | None = None
    high: float | None = None
    unit: str
    n: int = Field(description="Requests it was counted from.")


class Share(Published):
    """A count of a count, with Wilson's 95 % interval."""

    value: float | None = Field(description="None: of nothing.")
    low: float
    high: float
    hits: int
    n: int

    @classmethod
    def of(cls, hits: int, n: int) -> "Share":
        low, high = wilson_interval(hits, n, CONFIDENCE)
        return cls(value=hits / n if n else None, low=low, high=high, hits=hits, n=n)


def distribution(values: Sequence[float], unit: str, missing: int = 0) -> Distribution:
    """`missing` requests have no value because they failed."""
    ordered = sorted(values)
    low, high = mean_interval(ordered)
    found: dict[str, Any] = {name: percentile_of(ordered, share) for name, share in SHARES.items()}
    adjusted: dict[str, Percentile] = {}
    if missing:
        with_failures = [*ordered, *[math.inf] * missing]
        for name, share in SHARES.items():
            if (estimate := percentile_of(with_failures, share)) is not None:
                adjusted[name] = estimate
    return Distribution(
        unit=unit,
        n=len(ordered),
        mean=math.fsum(ordered) / len(ordered) if ordered else None,
        mean_low=low,
        mean_high=high,
        minimum=ordered[0] if ordered else None,
        maximum=ordered[-1] if ordered else None,
        adjusted=adjusted,
        **found,
    )


def percentile_of(values: Sequence[float], share: float) -> Percentile | None:
    """None where there are too few values to speak of this percentile."""
    # numpy and scipy load when a run is summed up, not when its shapes are read.
    from tidegate.statistics import percentile_interval

    estimate = percentile_interval(values, share, CONFIDENCE)
    if estimate is None:
        return None
    return Percentile(
        value=_finite(estimate.value),
        low=_finite(estimate.low),
        high=_finite(estimate.high),
        n=estimate.samples,
        is_beyond=math.isinf(estimate.value),
    )


def mean_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Student's t, 95 %, both sides; None for fewer than three values."""
    if len(values) < FEWEST_FOR_A_MEAN:
        return None, None
    from tidegate.statistics.distributions import t_quantile

    count = len(values)
    mean = math.fsum(values) / count
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = t_quantile((1 + CONFIDENCE) / 2, count - 1) * spread / math.sqrt(count)
    return mean - half, mean + half


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
