"""Which requests were good: those that kept every limit of a service level. What is missing is a miss."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from tidegate.benchmark.chunks import Chunking, chunking_of
from tidegate.benchmark.latencies import Latencies, judged_figure, latencies
from tidegate.benchmark.record import RequestRecord, RunRecord
from tidegate.domain import InvalidInput
from tidegate.statistics import wilson_interval

BETWEEN_TOKENS = frozenset({"itl", "stall"})


class Slo(BaseModel):
    """Limits that one request must keep to be good; in an open loop times count from the planned time."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    ttft_ms: float | None = Field(default=None, gt=0, description="Longest wait for the first token.")
    ttft_answer_ms: float | None = Field(
        default=None, gt=0, description="Longest wait for the first token that is not reasoning."
    )
    itl_ms: float | None = Field(default=None, gt=0, description="Longest mean time per token.")
    stall_ms: float | None = Field(
        default=None, gt=0, description="Longest time for which an answer may stand still."
    )
    e2e_ms: float | None = Field(default=None, gt=0, description="Longest time to the last token.")

    def limits(self) -> dict[str, float]:
        """Limit in milliseconds by the name of its figure."""
        found = {name.removesuffix("_ms"): getattr(self, name) for name in type(self).model_fields}
        return {name: limit for name, limit in found.items() if limit is not None}

    def describe(self) -> str:
        return ", ".join(f"{name} {limit:g} ms" for name, limit in self.limits().items())

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `ttft=500,itl=50`, in milliseconds. Raises InvalidInput for anything else."""
        values: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = part.partition("=")
            field_name = f"{name.strip().removesuffix('_ms')}_ms"
            try:
                number = float(value)
            except ValueError:
                number = -1.0
            if field_name not in cls.model_fields or not 0 < number < 1e12 or field_name in values:
                known = ", ".join(known.removesuffix("_ms") for known in cls.model_fields)
                raise InvalidInput(
                    f"'{part}' is no limit of a service level.",
                    remedy=f"Write NAME=MILLISECONDS with a name of {known}, each at most once.",
                    field="slo",
                )
            values[field_name] = number
        if not values:
            raise InvalidInput(
                "A service level needs a limit.", remedy="Write for example ttft=500,itl=50.", field="slo"
            )
        return cls(**values)


@dataclass(frozen=True)
class Attainment:
    """Good requests of all that were planned in the window."""

    good: int
    planned: int
    misses: dict[str, int] = field(default_factory=dict[str, int])
    """By what was missed first: `failed`, `truncated`, `not_sent`, or the name of the limit."""

    @property
    def share(self) -> float | None:
        return self.good / self.planned if self.planned else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, 95 %, both sides."""
        return wilson_interval(self.good, self.planned)


def attainment(run: RunRecord, slo: Slo) -> Attainment:
    """Judge every planned request of the window."""
    measured = run.measured()
    return attainment_of(measured, chunking_of(run.requests), slo, run.is_open_loop)


def attainment_of(
    requests: Sequence[RequestRecord], chunking: Chunking, slo: Slo, is_open_loop: bool
) -> Attainment:
    """The same for a part of a run."""
    missed = Counter(
        reason
        for request in requests
        if (reason := miss(request, latencies(request, chunking), slo, is_open_loop))
    )
    return Attainment(len(requests) - missed.total(), len(requests), dict(missed.most_common()))


def miss(request: RequestRecord, found: Latencies, slo: Slo, is_open_loop: bool) -> str:
    """The first thing that kept a request from being good; empty when it was.

    A time that the answer should have and has not is a miss. An answer of one token has no time per token and no
    gap, and cannot break their limits.
    """
    if not request.is_ok:
        return request.outcome.value
    for name, limit in slo.limits().items():
        value = judged_figure(name, is_open_loop)(found)
        if value is None and name in BETWEEN_TOKENS and request.is_streamed and request.chunk_ns:
            continue
        if value is None or value > limit:
            return name
    return ""
