"""From a drift report to evidence rows. Pure: the same report and policy give the same rows.

Pass only what is shown to be inside the limit, fail only what is shown to be beyond it, else not judged
(`statistics.judge_interval`). What was not measured never passes. A warning lets a candidate through with its text
in the row, as everywhere.
"""

import math
from collections.abc import Mapping
from typing import Any

from tidegate.domain import Evidence, Gate, Verdict
from tidegate.domain.drift_policy import DriftPolicy
from tidegate.drift.quantization import UNQUANTIZED, USUAL_KL, beside_usual, is_of_quantizing, nearest
from tidegate.drift.report import (
    DriftReport,
    Estimate,
    SetDrift,
)
from tidegate.statistics import judge_interval
from tidegate.validation.plain import plain, plural

COMPARABLE = "drift.comparable"
MUST_NOT = "drift.must_not_change"
MEANT_TO = "drift.meant_to_change"
QUANTIZATION, SAME_MODEL = "drift.quantization", "drift.same_model"
SHOWN_CHANGES = 5
SHOWN_NAME = 80

_MORE = "Give more texts with --texts, or raise --limit-tokens."
_LOOK = (
    "Look at the kinds and the worst tokens in the report; train with a lower rate, fewer epochs, or texts of the "
    "old behaviour mixed in."
)
_WORSE = (
    "Check that the candidate was trained on such texts and is served with the template it was trained with."
)
_QUANTIZE = "Quantize again from the f16 file, with an importance matrix or to a larger type."
_SOURCE = "Quantize from the file that this candidate is compared with, or compare it with its own source."
_OTHER = "Compare models of one tokenizer: a fine-tune with what it was trained from."


def judge_drift(report: DriftReport, policy: DriftPolicy) -> list[Evidence]:
    """Rows for everything that was asked. A report that was refused or broken off gives rows that do not pass."""
    rows = [_comparable(report)]
    if report.is_quantization:
        return [*rows, _same_model(report), _quantization(report, policy)]
    rows.append(_must_not_change(report, policy))
    if report.set_named("meant_to_change") is not None:
        rows.append(_meant_to_change(report, policy))
    return rows


def _comparable(report: DriftReport) -> Evidence:
    if report.refusal:
        text = f"These two cannot be compared token by token: {plain(report.refusal)}."
        return _row(COMPARABLE, Verdict.FAIL, text, _OTHER)
    if report.problem or report.vocabulary is None:
        text = f"The comparison did not come to its end: {plain(report.problem) or 'nothing was said'}."
        return _row(COMPARABLE, Verdict.ERROR, text, "See why, and run it again.")
    notes = report.vocabulary.notes
    text = f"Both have the same vocabulary of {report.vocabulary.base_tokens} tokens."
    if notes:
        listed = " ".join(plain(note) for note in notes)
        return _row(COMPARABLE, Verdict.PASS, f"The vocabularies can be compared. {listed}", is_warning=True)
    return _row(COMPARABLE, Verdict.PASS, text)


def _must_not_change(report: DriftReport, policy: DriftPolicy) -> Evidence:
    found = report.set_named("must_not_change")
    if (missing := _missing(MUST_NOT, found, policy)) is not None or found is None:
        return missing or _nothing(MUST_NOT)
    told = (
        f"On {_sample(found)} that must not change, the candidate is {interval(found.kl, 'nats')} a token from "
        f"the baseline, about as much as {nearest(found.kl.mean)} quantization costs; both want the same token "
        f"in {found.same_top.mean:.1%} of cases"
    )
    verdict = _verdict(found.kl, policy.max_kl)
    data = _data(found, report, limit=policy.max_kl)
    if verdict is Verdict.PASS:
        return _row(MUST_NOT, verdict, f"{told}. Allowed are {policy.max_kl:g}.", data=data)
    if verdict is Verdict.FAIL:
        is_warning = policy.when_beyond == "warn"
        text = f"{told}. That is more than the {policy.max_kl:g} allowed."
        return _row(MUST_NOT, verdict, text, _LOOK, data=data, is_warning=is_warning)
    text = f"Not judged: {told}. The bounds lie on both sides of the {policy.max_kl:g} allowed."
    return _row(MUST_NOT, verdict, text, _MORE, data=data)


def _meant_to_change(report: DriftReport, policy: DriftPolicy) -> Evidence:
    found = report.set_named("meant_to_change")
    if (missing := _missing(MEANT_TO, found, policy)) is not None or found is None:
        return missing or _nothing(MEANT_TO)
    change = found.nll_change
    told = (
        f"On {_sample(found)} that are meant to change, the right tokens cost the candidate "
        f"{found.cand_nll.mean:.3f} nats each and the baseline {found.base_nll.mean:.3f}: "
        f"a change of {interval(change, 'nats', signed=True)}"
    )
    verdict = _verdict(change, policy.max_nll_rise)
    data = _data(found, report, limit=policy.max_nll_rise)
    if verdict is Verdict.PASS:
        is_better = change.high is not None and change.high < 0
        ending = "The candidate learned them." if is_better else "They did not become less likely."
        return _row(MEANT_TO, verdict, f"{told}. {ending}", data=data)
    is_warning = policy.when_worse == "warn"
    if verdict is Verdict.FAIL:
        text = f"{told}. They became less likely by more than the {policy.max_nll_rise:g} allowed."
    else:
        text = f"{told}. It is not shown that they did not become less likely."
    return _row(MEANT_TO, verdict, text, _WORSE, data=data, is_warning=is_warning)


def _quantization(report: DriftReport, policy: DriftPolicy) -> Evidence:
    found = report.set_named("must_not_change")
    if (missing := _missing(QUANTIZATION, found, policy)) is not None or found is None:
        return missing or _nothing(QUANTIZATION)
    kind = report.candidate.file_type
    damage = beside_usual(found.kl.mean, kind)
    usual = USUAL_KL.get(kind)
    limit = policy.max_kl_quantized or (usual and usual * policy.max_kl_factor_quantized)
    spread = found.delta_p_percentiles
    tail = ""
    if spread.p5 is not None and spread.p95 is not None:
        is_damage = -spread.p5 > 1.5 * spread.p95
        tail = (
            f" The probability of the right token changes by {spread.p5:+.1%} to {spread.p95:+.1%} in 9 of 10 "
            f"cases: {'more loss than gain' if is_damage else 'noise to both sides'}."
        )
    told = (
        f"The divergence from the baseline is {interval(found.kl, 'nats')} a token on {_sample(found)}, "
        f"{damage.words}{f' (Llama-3 8B: {damage.usual:.4f})' if damage.usual else ''}; the same token is the "
        f"likeliest in {found.same_top.mean:.1%} of cases, and perplexity is {perplexity_ratio(found)} the baseline's.{tail}"
    )
    data = {**_data(found, report, limit=limit), "file_type": kind, "usual_kl": damage.usual}
    if limit is None:
        text = f"Not judged: there is no usual figure for {kind or 'a file without a type'}. {told}"
        return _row(
            QUANTIZATION, Verdict.NOT_JUDGED, text, "Set drift.max_kl_quantized in the policy.", data=data
        )
    verdict = _verdict(found.kl, limit)
    if verdict is Verdict.FAIL:
        return _row(
            QUANTIZATION, verdict, f"Damaged: more than the {limit:.4g} allowed. {told}", _QUANTIZE, data=data
        )
    if verdict is Verdict.NOT_JUDGED:
        text = f"Not judged: the bounds lie on both sides of the {limit:.4g} allowed. {told}"
        return _row(QUANTIZATION, verdict, text, _MORE, data=data)
    return _row(QUANTIZATION, verdict, told, data=data)


def _same_model(report: DriftReport) -> Evidence:
    """Headers of a quantization and its source differ in what quantizing writes, and in nothing else."""
    if report.vocabulary is None:
        return _nothing(SAME_MODEL)
    changes = [change for change in report.header_changes if not is_of_quantizing(change.name)]
    base_type = report.base.file_type
    problems = [
        f"{plain(change.name, SHOWN_NAME)}: {plain(change.old, SHOWN_NAME) or 'none'} -> "
        f"{plain(change.new, SHOWN_NAME) or 'none'}"
        for change in changes[:SHOWN_CHANGES]
    ]
    if len(changes) > SHOWN_CHANGES:
        problems.append(f"{len(changes) - SHOWN_CHANGES} more")
    if base_type not in UNQUANTIZED:
        problems.append(f"the baseline is itself {base_type or 'of no stated type'}, not f16")
    if problems:
        text = f"The headers do not say that this is one model and its quantization: {'; '.join(problems)}."
        return _row(SAME_MODEL, Verdict.PASS, text, _SOURCE, is_warning=True)
    return _row(SAME_MODEL, Verdict.PASS, "The headers differ only in what quantizing writes.")


def _missing(check: str, found: SetDrift | None, policy: DriftPolicy) -> Evidence | None:
    """Why there is no verdict on a set; None when there can be one."""
    if found is None:
        return _nothing(check)
    if found.unmeasured:
        first = next(iter(found.unmeasured.items()))
        text = (
            f"Not judged: {plural(len(found.unmeasured), 'text')} of {len(found.unmeasured) + found.texts} could not "
            f"be measured, first {plain(first[0], SHOWN_NAME)}: {plain(first[1])}."
        )
        return _row(check, Verdict.NOT_JUDGED, text, "Correct or leave out these texts, or give more time.")
    if found.texts < policy.min_texts:
        text = f"Not judged: {plural(found.texts, 'text')}; a verdict needs {policy.min_texts}."
        return _row(check, Verdict.NOT_JUDGED, text, _MORE)
    return None


def _nothing(check: str) -> Evidence:
    return _row(check, Verdict.NOT_JUDGED, "Not judged: nothing was measured.", "See drift.comparable.")


def _verdict(found: Estimate, limit: float) -> Verdict:
    if found.low is None or found.high is None:
        return Verdict.NOT_JUDGED
    return judge_interval(found.low, found.high, limit)


def _sample(found: SetDrift) -> str:
    return f"{plural(found.texts, 'text')} ({found.tokens:,} tokens)"


def interval(found: Estimate, unit: str, *, signed: bool = False) -> str:
    """`0.031 nats (0.029 to 0.034)`."""
    form = "+.3g" if signed else ".3g"
    if found.low is None or found.high is None:
        return f"{found.mean:{form}} {unit} (one text gives no bounds)"
    return f"{found.mean:{form}} {unit} ({found.low:{form}} to {found.high:{form}})"


def perplexity_ratio(found: SetDrift) -> str:
    """The exponential of the change of the mean negative log-likelihood, with its bounds."""
    change = found.nll_change
    if change.low is None or change.high is None:
        return f"{math.exp(change.mean):.4f} times"
    return f"{math.exp(change.mean):.4f} times ({math.exp(change.low):.4f} to {math.exp(change.high):.4f})"


def _data(found: SetDrift, report: DriftReport, *, limit: float | None) -> dict[str, Any]:
    """The numbers of a row; the whole report is kept elsewhere."""
    return {
        "limit": limit,
        "kl": found.kl.model_dump(),
        "same_top": found.same_top.model_dump(),
        "nll_change": found.nll_change.model_dump(),
        "texts": found.texts,
        "tokens": found.tokens,
        "set": {"source": found.source, "digest": found.digest},
        "noise_floor_kl": report.noise.kl_mean if report.noise else None,
        "base_digest": report.base.digest,
        "digest": report.candidate.digest,
    }


def _row(
    check: str,
    verdict: Verdict,
    summary: str,
    remedy: str = "",
    *,
    data: Mapping[str, Any] | None = None,
    is_warning: bool = False,
) -> Evidence:
    """A warning passes with its text; `level` says so to whoever shows it."""
    level = {"level": "warning"} if is_warning else {}
    return Evidence(
        gate=Gate.QUALITY,
        check=check,
        verdict=Verdict.PASS if is_warning else verdict,
        summary=summary,
        remedy=remedy,
        data={**(data or {}), **level},
    )
