"""What a comparison of two runs says: each metric, each slice, and both together. Values alone; `compare` makes them."""

from pydantic import Field

from tidegate.benchmark.figures import Published, Share
from tidegate.domain import Verdict


class BlockPair(Published):
    """The quantile of one block in both runs, in milliseconds."""

    block: int
    base: float
    candidate: float


class MetricComparison(Published):
    """One metric of two runs. Bounds are one-sided, each at error rate `alpha`."""

    metric: str
    label: str
    verdict: Verdict
    summary: str = Field(description="One sentence for a person.")
    reason: str = Field(default="", description="Why it was not compared; empty when it was.")
    method: str = ""
    is_optimistic: bool = Field(default=False, description="The interval is too narrow under load.")
    ratio: float | None = Field(default=None, description="Candidate over base.")
    low: float | None = None
    high: float | None = None
    alpha: float = 0.05
    spread: float | None = Field(
        default=None, description="Standard deviation of the log ratios of the pairs."
    )
    base_ms: float | None = Field(default=None, description="Geometric mean over blocks.")
    candidate_ms: float | None = None
    allowed_ratio: float | None = Field(default=None, description="Of the limit and the floor, the larger.")
    max_ratio: float | None = None
    floor_ms: float | None = None
    pairs: int = 0
    requests: int = Field(default=0, description="Of both runs together.")
    p_beyond: float | None = Field(
        default=None,
        description="Chance of such a ratio where the truth lies at the limit; corrected by Holm.",
    )
    detectable_slowdown: float | None = Field(
        default=None,
        description="Smallest true slowdown that this design shows with 80 % power; 0.07 is 7 %.",
    )
    plan: str = Field(default="", description="What so many pairs can show.")
    blocks: tuple[BlockPair, ...] = ()


class SliceComparison(Published):
    """A part of the requests. Shown, corrected by Benjamini and Hochberg, and never decisive."""

    tag: str
    metric: str
    ratio: float
    low: float
    high: float
    pairs: int
    requests: int
    q_slower: float = Field(
        description="Adjusted chance of such a ratio where the slice is not slower at all."
    )


class Comparison(Published):
    """A candidate run against a base run."""

    base: str = Field(description="Id of the run.")
    candidate: str
    base_label: str
    candidate_label: str
    verdict: Verdict = Field(description="fail beats not judged beats pass.")
    is_paired: bool = Field(description="Same schedule in the same blocks.")
    is_side_by_side: bool = Field(description="Blocks alternated, so a change of the machine hit both.")
    obstacles: tuple[str, ...] = Field(description="Why nothing could be compared.")
    metrics: tuple[MetricComparison, ...]
    slices: tuple[SliceComparison, ...] = ()
    base_errors: Share
    candidate_errors: Share
    notes: tuple[str, ...] = ()

    def metric(self, name: str) -> MetricComparison | None:
        return next((found for found in self.metrics if found.metric == name), None)
