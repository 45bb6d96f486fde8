"""What one night knows of one service, and what it says beside earlier nights. Pure: figures in, evidence out.

A row of drift or trend never counts as missing evidence: nothing is promoted by a night. It fails when something is
proven to have become worse, by more than the policy allows.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from tidegate.domain import Evidence, Gate, Verdict
from tidegate.domain.policy import NightlyPolicy
from tidegate.quality import BankResult
from tidegate.statistics import rise, share_p_value

if TYPE_CHECKING:
    import numpy as np

MILLION = 1_000_000
DRIFT = "drift.answers"
OPTIONAL_PREFIXES = ("trend.", "drift.")
"""Checks that need earlier nights: without these they are not judged, and that colours no night."""


class NightFigures(BaseModel):
    """One night of one service. A figure that could not be had is None, never 0."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    night: str = Field(description="Names the run; a repeated run records its night once.")
    digest: str
    score: float | None = Field(default=None, description="Share of right answers among those given.")
    ttft_p50_ms: float | None = None
    itl_p50_ms: float | None = None
    output_tokens_per_s: float | None = Field(
        default=None, description="Of all streams of the night's test together."
    )
    usd_per_million_accepted_tokens: float | None = Field(
        default=None,
        description="Price of the set per hour / (output tokens per hour at the night's test load x share of right "
        "answers). The load is the same every night, so nights compare; it is not the cost at full load.",
    )
    same_answers: float | None = Field(
        default=None, description="Share of questions answered as in the baseline, word for word."
    )


class Night(BaseModel):
    """Figures with the moment they were recorded."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    figures: NightFigures


@dataclass(frozen=True)
class Agreement:
    """Answers of tonight beside those of the baseline: questions that both answered."""

    compared: int
    changed: tuple[str, ...]

    @property
    def same(self) -> float | None:
        return None if not self.compared else 1 - len(self.changed) / self.compared


def agreement(tonight: BankResult, baseline: BankResult) -> Agreement:
    """Which answers are not the same text. Greedy answers of one file change only when something else did."""
    before = {row.id: row.answer for row in baseline.results if not row.error}
    both = [row for row in tonight.results if not row.error and row.id in before]
    return Agreement(len(both), tuple(row.id for row in both if row.answer.strip() != before[row.id].strip()))


def accepted_token_cost(
    usd_per_hour: float | None, output_tokens_per_s: float | None, score: float | None
) -> float | None:
    """USD per million tokens of right answers; None where a part is unknown, or nothing was right."""
    if usd_per_hour is None or not output_tokens_per_s or not score:
        return None
    return usd_per_hour / (output_tokens_per_s * 3600 * score) * MILLION


def judge_drift(found: Agreement, policy: NightlyPolicy) -> Evidence:
    """Whether more answers changed than allowed: proven by the exact binomial test, else by the share itself."""
    if not found.compared:
        return _row(Gate.QUALITY, DRIFT, Verdict.NOT_JUDGED, "No answer can be compared with the baseline's.")
    changed, allowed = len(found.changed), policy.max_changed_answers
    share = changed / found.compared
    text = (
        f"{changed} of {found.compared} answers are not the baseline's ({share:.0%}, allowed {allowed:.0%})"
    )
    if changed and share_p_value(changed, found.compared, allowed) <= policy.alpha:
        named = ", ".join(found.changed[:5])
        return _row(
            Gate.QUALITY, DRIFT, Verdict.FAIL, f"{text}: {named}.",
            "The file is the same: look at what else changed (engine, hardware, template, settings of the server).",
        )  # fmt: skip
    if share > allowed:
        return _row(
            Gate.QUALITY, DRIFT, Verdict.NOT_JUDGED, f"{text}; too few questions to prove that it is more."
        )
    return _row(Gate.QUALITY, DRIFT, Verdict.PASS, f"{text}.")


@dataclass(frozen=True)
class Watched:
    """A figure whose trend is judged; it becomes worse by rising, or by falling."""

    check: str
    gate: Gate
    name: str
    of: Callable[[NightFigures], float | None]
    is_worse_lower: bool = False
    unit: str = ""
    is_share: bool = False

    def shown(self, value: float) -> str:
        return f"{value:.0%}" if self.is_share else f"{value:.3g}{self.unit}"


WATCHED = (
    Watched("trend.score", Gate.QUALITY, "share of right answers", lambda n: n.score, is_worse_lower=True, is_share=True),
    Watched("trend.ttft", Gate.PERFORMANCE, "median TTFT", lambda n: n.ttft_p50_ms, unit=" ms"),
    Watched("trend.itl", Gate.PERFORMANCE, "median time per token", lambda n: n.itl_p50_ms, unit=" ms"),
    Watched(
        "trend.cost", Gate.PERFORMANCE, "cost of a million accepted tokens",
        lambda n: n.usd_per_million_accepted_tokens, unit=" USD",
    ),
)  # fmt: skip


def judge_trends(nights: Sequence[Night], policy: NightlyPolicy) -> list[Evidence]:
    """One row for each watched figure that these nights have, oldest first, tonight last."""
    rows: list[Evidence] = []
    for watched in WATCHED:
        known = [(night, value) for night in nights if (value := watched.of(night.figures)) is not None]
        if known:
            rows.append(_judge_trend(watched, [n for n, _ in known], [v for _, v in known], policy))
    return rows


def _judge_trend(
    watched: Watched, nights: Sequence[Night], values: Sequence[float], policy: NightlyPolicy
) -> Evidence:
    count, now = len(values), watched.shown(values[-1])
    data = {"values": [round(value, 4) for value in values], "nights": [n.at.isoformat() for n in nights]}
    if count < policy.nights_for_trend:
        change = (
            f", {values[-1] / values[0] - 1:+.0%} since the first night" if count > 1 and values[0] else ""
        )
        wanted = f"a trend needs {policy.nights_for_trend} nights, this is number {count}"
        text = f"{watched.name} {now}{change}; {wanted}."
        return _row(watched.gate, watched.check, Verdict.NOT_JUDGED, text, data=data)
    signed = [-value for value in values] if watched.is_worse_lower else list(values)
    found = rise(signed, _source(nights))
    before, after = abs(found.before), abs(found.after)
    size = abs(after / before - 1) if before else math.inf
    is_surprising = found.p_value <= policy.trend_alpha
    data |= {"p_value": found.p_value, "before": before, "after": after}
    if not is_surprising:
        text = f"{watched.name} {now}: no change of level in {count} nights."
        return _row(watched.gate, watched.check, Verdict.PASS, text, data=data)
    since = nights[found.place].at.date().isoformat()
    text = (
        f"{watched.name} is {watched.shown(after)} since the night of {since}, {watched.shown(before)} before: "
        f"{'lower' if watched.is_worse_lower else 'higher'} by {size:.0%}, {policy.max_trend:.0%} allowed "
        f"(p = {found.p_value:.2g}, {count} nights)"
    )
    data |= {"since": since}
    if size > policy.max_trend:
        remedy = (
            "Look at what changed that night; if it is meant to stay: tidegate nightly accept ORG/SERVICE."
        )
        return _row(watched.gate, watched.check, Verdict.FAIL, f"{text}.", remedy, data)
    return _row(watched.gate, watched.check, Verdict.PASS, f"{text}.", data=data)


def _source(nights: Sequence[Night]) -> "np.random.Generator":
    """Equal nights give equal verdicts, whoever judges them."""
    import numpy as np

    text = "|".join(night.figures.night for night in nights)
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


def night_verdict(rows: Sequence[Evidence]) -> Verdict:
    """The worst of the rows: fail, error, not judged, pass.

    A difference that was measured and is neither shown nor ruled out colours no night, and rows that need earlier
    nights only count when they fail: nothing is promoted by a night. What could not be measured does.
    """
    counted = [row for row in rows if row.verdict is not Verdict.NOT_JUDGED or not is_optional(row)]
    for verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.NOT_JUDGED):
        if any(row.verdict is verdict for row in counted):
            return verdict
    return Verdict.PASS if counted else Verdict.NOT_JUDGED


def night_summary(rows: Sequence[Evidence], verdict: Verdict) -> str:
    """What made the night what it is: the first two reasons, and how many more there are."""
    if verdict is Verdict.PASS:
        return "no regression"
    counted = [
        row for row in rows if row.verdict is verdict and (verdict is Verdict.FAIL or not is_optional(row))
    ]
    reasons = list(dict.fromkeys(row.summary.rstrip(".") for row in counted))
    more = f" ({len(reasons) - 2} more)" if len(reasons) > 2 else ""
    return "; ".join(reasons[:2]) + more


def is_optional(row: Evidence) -> bool:
    return row.check.startswith(OPTIONAL_PREFIXES) or bool(row.data.get("samples"))


SPARKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float]) -> str:
    """The course of a figure in one line of text; a level line when nothing moved."""
    if not values:
        return ""
    low, high = min(values), max(values)
    if high == low:
        return SPARKS[0] * len(values)
    return "".join(SPARKS[round((value - low) / (high - low) * (len(SPARKS) - 1))] for value in values)


def _row(
    gate: Gate,
    check: str,
    verdict: Verdict,
    summary: str,
    remedy: str = "",
    data: Mapping[str, object] | None = None,
) -> Evidence:
    return Evidence(
        gate=gate, check=check, verdict=verdict, summary=summary, remedy=remedy, data=dict(data or {})
    )
