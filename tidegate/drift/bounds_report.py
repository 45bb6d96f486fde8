"""What two endpoints showed of their divergence, as one value, and the row of evidence made of it. Pure."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from tidegate.domain import Evidence, Verdict
from tidegate.domain.plain import plain, plural
from tidegate.domain.policy import DRIFT_CHECKS, DriftPolicy
from tidegate.drift.judging import USUAL_LIMITS
from tidegate.drift.report import SCHEMA_VERSION, Estimate
from tidegate.drift.rows import row
from tidegate.statistics import judge_interval

CHECK = DRIFT_CHECKS["must_not_change"]
SHOWN_NAME = 80

_FILES = "Compare the files instead (tidegate drift BASE.gguf CANDIDATE.gguf): that is exact."
_MORE = "Give more texts, or compare the files instead: that is exact."


class BoundsReport(BaseModel):
    """Bounds on the mean divergence at sampled places of the baseline's own answers."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    schema_version: int = SCHEMA_VERSION
    taken_at: datetime
    base: str
    candidate: str
    source: str
    digest: str
    refusal: str = ""
    texts: int = 0
    places: int = 0
    left_out: int = Field(default=0, description="Texts that the limit on requests kept out.")
    problems: dict[str, str] = Field(default_factory=dict, description="Text -> why it was not compared.")
    top_k: tuple[int, int] = (0, 0)
    low: Estimate | None = Field(default=None, description="The mean divergence is at least this.")
    high: Estimate | None = Field(default=None, description="And at most this, for a q of exp(-40) or more.")
    same_top: Estimate | None = None
    rest: float = Field(default=1.0, description="Mean probability that the baseline's list leaves out.")
    continued: float = Field(
        default=0.0, description="Share of places where the baseline goes on with its own next token."
    )


def judge_bounds(report: BoundsReport, policy: DriftPolicy) -> list[Evidence]:
    """One row. Only bounds that lie on one side of the limit decide: wide ones are not judged."""
    limit = policy.must_not_change.max_mean_kl or USUAL_LIMITS.must_not_change.max_mean_kl
    low, high = report.low, report.high
    if report.refusal:
        return [row(CHECK, Verdict.NOT_JUDGED, f"Not judged: {plain(report.refusal)}.", _FILES)]
    if report.problems:
        first = next(iter(report.problems.items()))
        text = (
            f"Not judged: {plural(len(report.problems), 'text')} could not be compared, the first is "
            f"{plain(first[0], SHOWN_NAME)}: {plain(first[1])}."
        )
        return [row(CHECK, Verdict.NOT_JUDGED, text, _FILES)]
    if low is None or high is None or low.low is None or high.high is None or report.texts < policy.min_texts:
        text = f"Not judged: {plural(report.texts, 'text')}; a verdict needs {policy.min_texts}."
        return [row(CHECK, Verdict.NOT_JUDGED, text, _MORE)]
    assert limit is not None
    verdict = judge_interval(low.low, max(low.low, high.high), limit)
    told = (
        f"A bound, not a measurement: the mean divergence lies between {low.mean:.3g} and {high.mean:.3g} nats a "
        f"token (with the chance of the sample {low.low:.3g} to {high.high:.3g}) at {report.places} places of "
        f"{plural(report.texts, 'answer')} of the baseline; lists of {min(report.top_k)} tokens leave out "
        f"{report.rest:.2%}"
    )
    ending = {
        Verdict.PASS: f"All of it is inside the {limit:g} allowed.",
        Verdict.FAIL: f"All of it is beyond the {limit:g} allowed.",
        Verdict.NOT_JUDGED: f"That is too wide to say on which side of the {limit:g} allowed it lies.",
    }[verdict]
    text = f"{told}. {ending}"
    return [
        row(
            CHECK,
            verdict,
            f"Not judged: {text}" if verdict is Verdict.NOT_JUDGED else text,
            "" if verdict is Verdict.PASS else _FILES,
            data={**report.model_dump(mode="json"), "samples": report.places, "limit": limit},
            is_warning=verdict is Verdict.FAIL and policy.when_changed == "warn",
        )
    ]
