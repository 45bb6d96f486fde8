"""Whether a quantization of one fine-tune cost what is usual for its type, in words. Pure."""

import math

from tidegate.domain import Evidence, Verdict
from tidegate.domain.plain import plain
from tidegate.domain.policy import DriftPolicy
from tidegate.drift.quantization import UNQUANTIZED, beside_usual, is_of_quantizing
from tidegate.drift.report import DriftReport, SetDrift
from tidegate.drift.rows import data_of, interval, nothing, row, sample, unjudged
from tidegate.statistics import judge_interval

QUANTIZATION, SAME_MODEL = "drift.quantization", "drift.same_model"
SHOWN_CHANGES = 5
SHOWN_NAME = 80
SMALLEST_TAIL, LOPSIDED = 0.01, 1.5
"""Changes of probability below the first are no damage; losses larger than gains by the second factor are."""

_QUANTIZE = "Quantize again from the f16 file, with an importance matrix or to a larger type."
_MORE = "Measure more texts: give more of them, or raise the limit on tokens."
_LIMIT = "Set drift.must_not_change.max_mean_kl in the policy."
_SOURCE = "Quantize from the file that this candidate is compared with, or compare it with its own source."


def judge_quantization(report: DriftReport, policy: DriftPolicy) -> list[Evidence]:
    """Two rows: is it this model, and is it damaged. A limit on the mean divergence in the policy comes first; without
    one the limit is what is usual for the type, several times."""
    return [_same_model(report), _damage(report, policy)]


def _damage(report: DriftReport, policy: DriftPolicy) -> Evidence:
    found = None if report.problem or report.refusal else report.set_named("must_not_change")
    missing = unjudged(QUANTIZATION, found, policy.min_texts)
    if missing is not None or found is None:
        return missing or nothing(QUANTIZATION)
    kind = report.candidate.file_type
    damage = beside_usual(found.kl.mean, kind)
    limit = policy.must_not_change.max_mean_kl
    if limit is None and damage.usual is not None:
        limit = damage.usual * policy.max_usual_factor
    usual = f" ({damage.usual:.4f} for Llama-3 8B)" if damage.usual else ""
    told = (
        f"The divergence from the baseline is {interval(found.kl, 'nats')} a token on {sample(found)}, "
        f"{damage.words}{usual}; both want the same token in {found.same_top.mean:.1%} of cases, and perplexity is "
        f"{perplexity_ratio(found)} the baseline's.{_tail(found)}"
    )
    data = data_of(found, report, {} if limit is None else {"max_mean_kl": limit})
    data |= {"file_type": kind, "usual_kl": damage.usual, "factor": damage.factor}
    if limit is None or found.kl.low is None or found.kl.high is None:
        text = f"Not judged: there is no usual figure for {kind or 'a file without a type'}. {told}"
        return row(QUANTIZATION, Verdict.NOT_JUDGED, text, _LIMIT, data=data)
    verdict = judge_interval(found.kl.low, found.kl.high, limit)
    if verdict is Verdict.FAIL:
        text = f"Damaged: more than the {limit:.4g} allowed. {told}"
        return row(QUANTIZATION, verdict, text, _QUANTIZE, data=data)
    if verdict is Verdict.NOT_JUDGED:
        text = f"Not judged: the bounds lie on both sides of the {limit:.4g} allowed. {told}"
        return row(QUANTIZATION, verdict, text, _MORE, data=data)
    return row(QUANTIZATION, verdict, told, data=data)


def _tail(found: SetDrift) -> str:
    """Symmetric changes of the right token's probability are noise; losses alone are damage."""
    low, high = found.delta_p_percentiles.p5, found.delta_p_percentiles.p95
    if low is None or high is None:
        return ""
    is_lopsided = -low > SMALLEST_TAIL and -low > LOPSIDED * high
    meaning = "more loss than gain" if is_lopsided else "noise to both sides"
    return f" The probability of the right token changes by {low:+.1%} to {high:+.1%} in 9 of 10 cases: {meaning}."


def _same_model(report: DriftReport) -> Evidence:
    """Headers of a quantization and its source differ in what quantizing writes, and in nothing else."""
    if report.vocabulary is None:
        return nothing(SAME_MODEL)
    changes = [change for change in report.header_changes if not is_of_quantizing(change.name)]
    problems = [
        f"{plain(change.name, SHOWN_NAME)}: {plain(change.old, SHOWN_NAME) or 'none'} -> "
        f"{plain(change.new, SHOWN_NAME) or 'none'}"
        for change in changes[:SHOWN_CHANGES]
    ]
    if len(changes) > SHOWN_CHANGES:
        problems.append(f"{len(changes) - SHOWN_CHANGES} more")
    if report.base.file_type not in UNQUANTIZED:
        problems.append(f"the baseline is itself {report.base.file_type or 'of no stated type'}, not f16")
    if problems:
        text = f"The headers do not say that this is one model and its quantization: {'; '.join(problems)}."
        return row(SAME_MODEL, Verdict.PASS, text, _SOURCE, is_warning=True)
    return row(SAME_MODEL, Verdict.PASS, "The headers differ only in what quantizing writes.")


def perplexity_ratio(found: SetDrift) -> str:
    """The exponential of the change of the mean negative log-likelihood, with its bounds."""
    change = found.nll_change
    if change.low is None or change.high is None:
        return f"{math.exp(change.mean):.4f} times"
    return f"{math.exp(change.mean):.4f} times ({math.exp(change.low):.4f} to {math.exp(change.high):.4f})"
