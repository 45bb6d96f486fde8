"""Verdicts of drift: only what is shown passes or fails, and every row says what it rests on."""

import pytest

from tests.unit.drift.samples import SAME, report
from tidegate.domain import Evidence, Verdict
from tidegate.domain.policy import DRIFT_CHECKS, DriftLimits, DriftPolicy
from tidegate.drift.judging import USUAL_LIMITS, judge_drift, usual_limits
from tidegate.drift.report import DriftReport
from tidegate.drift.said import ChangedHeader

KL = DriftPolicy(must_not_change=DriftLimits(max_mean_kl=0.1))


def row_of(found: DriftReport, check: str, policy: DriftPolicy = KL) -> Evidence:
    return next(row for row in judge_drift(found, policy) if row.check == check)


def must_not(found: DriftReport, policy: DriftPolicy = KL) -> Evidence:
    return row_of(found, DRIFT_CHECKS["must_not_change"], policy)


@pytest.mark.parametrize(
    ("level", "verdict"),
    [(0.01, Verdict.PASS), (0.5, Verdict.FAIL), (0.1, Verdict.NOT_JUDGED), (0.0, Verdict.PASS)],
)
def test_only_an_interval_on_one_side_of_the_limit_decides(level: float, verdict: Verdict):
    assert must_not(report(level)).verdict is verdict


def test_a_summary_says_what_a_manager_asks():
    row = must_not(report(0.5))
    assert "On 20 texts (1,200 tokens) that must not change, the candidate is 0.5" in row.summary
    assert "quantizing to Q2_K costs" in row.summary
    assert "beyond the 0.1 allowed" in row.summary
    assert row.remedy
    assert (row.samples, row.data["base_digest"], row.data["digest"]) == (1200, "a" * 64, "b" * 64)
    assert "1e-07" in row.numbers
    assert "20 texts show" in row.reach


def test_a_policy_may_take_a_drift_as_a_warning():
    row = must_not(report(0.5), KL.model_copy(update={"when_changed": "warn"}))
    assert (row.verdict, row.data["level"]) == (Verdict.PASS, "warning")


def test_every_limit_must_be_kept():
    limits = DriftLimits(max_mean_kl=1.0, min_top1_agreement=0.5, max_kl_p99=0.005)
    row = must_not(report(0.01, tokens=100), DriftPolicy(must_not_change=limits))
    assert row.verdict is Verdict.FAIL
    assert "Its 99th percentile is beyond the 0.005 allowed" in row.summary
    assert "The share of other likeliest tokens is inside the 0.5 allowed" in row.summary


def test_a_percentile_of_too_few_tokens_is_not_judged():
    row = must_not(report(0.01, tokens=5), DriftPolicy(must_not_change=DriftLimits(max_kl_p99=1.0)))
    assert row.verdict is Verdict.NOT_JUDGED


@pytest.mark.parametrize(
    ("rise", "verdict", "words"),
    [
        (-0.5, Verdict.PASS, "so it learned them"),
        (0.001, Verdict.PASS, "inside the 0.02 allowed"),
        (0.3, Verdict.PASS, "beyond the 0.02 allowed"),
    ],
)
def test_texts_that_are_meant_to_change_must_not_become_less_likely(
    rise: float, verdict: Verdict, words: str
):
    row = row_of(report(rise=rise), DRIFT_CHECKS["meant_to_change"], USUAL_LIMITS)
    assert row.verdict is verdict
    assert words in row.summary
    assert (row.data.get("level") == "warning") is (rise > 0.1)


def test_a_strict_policy_fails_a_candidate_that_did_not_learn():
    strict = USUAL_LIMITS.model_copy(update={"when_worse": "fail"})
    assert row_of(report(rise=0.3), DRIFT_CHECKS["meant_to_change"], strict).verdict is Verdict.FAIL


def test_a_set_without_limits_is_shown_and_not_judged():
    assert [row.check for row in judge_drift(report(rise=0.1), DriftPolicy())] == ["drift.comparable"]


def test_what_was_not_measured_never_passes():
    wanted = DRIFT_CHECKS["must_not_change"]
    nothing = report(sets=())
    assert row_of(nothing, wanted).verdict is Verdict.NOT_JUDGED
    assert row_of(report(texts=5), wanted).summary == "Not judged: 5 texts; a verdict needs 20."
    some = row_of(report(texts=30, broken=2), wanted)
    assert some.verdict is Verdict.NOT_JUDGED
    assert "2 texts of 30 could not be measured" in some.summary
    one = row_of(report(texts=1), wanted, KL.model_copy(update={"min_texts": 1}))
    assert one.verdict is Verdict.NOT_JUDGED


def test_a_refusal_fails_and_a_broken_run_is_an_error():
    refused = report(refusal="3 of 9 tokens differ", sets=())
    broken = report(problem="it was ended by SIGKILL", sets=())
    assert row_of(refused, "drift.comparable").verdict is Verdict.FAIL
    assert "3 of 9 tokens differ" in row_of(refused, "drift.comparable").summary
    assert row_of(broken, "drift.comparable").verdict is Verdict.ERROR
    assert must_not(broken).verdict is Verdict.NOT_JUDGED


def test_special_tokens_that_differ_are_told_as_a_warning():
    note = "Only 1 special token differs, all others are the same: 5: '<a>' -> '<b>'."
    row = row_of(
        report(vocabulary=SAME.model_copy(update={"notes": (note,), "is_only_special": True})),
        "drift.comparable",
    )
    assert row.data["level"] == "warning"
    assert note in row.summary


def test_usual_limits_are_of_the_sets_that_were_measured():
    assert usual_limits({"must_not_change"}).meant_to_change.is_empty
    assert usual_limits({"must_not_change", "meant_to_change"}) == USUAL_LIMITS
    assert not usual_limits({"must_not_change"}, is_quantization=True).is_declared


@pytest.mark.parametrize(
    ("level", "verdict", "words"),
    [
        (0.03, Verdict.PASS, "as expected for Q4_K_M (0.0313 for Llama-3 8B)"),
        (0.001, Verdict.PASS, "less than is usual for Q4_K_M"),
        (0.5, Verdict.FAIL, "Damaged: more than the 0.09382 allowed"),
        (0.094, Verdict.NOT_JUDGED, "both sides"),
    ],
)
def test_a_quantization_is_judged_by_what_is_usual_for_its_type(level: float, verdict: Verdict, words: str):
    row = row_of(report(level, is_quantization=True), "drift.quantization", DriftPolicy())
    assert row.verdict is verdict
    assert words in row.summary
    assert "and perplexity is 1.0" in row.summary


def test_a_type_without_a_usual_figure_is_not_judged_until_a_policy_sets_a_limit():
    base = report()
    unknown = report(
        is_quantization=True, candidate=base.candidate.model_copy(update={"file_type": "type 99"})
    )
    assert row_of(unknown, "drift.quantization", DriftPolicy()).verdict is Verdict.NOT_JUDGED
    assert row_of(unknown, "drift.quantization", KL).verdict is Verdict.PASS


def test_a_quantization_of_another_model_is_a_warning():
    changes = (
        ChangedHeader(name="general.file_type", old="1", new="15"),
        ChangedHeader(name="general.name", old="'tern'", new="'pipit'"),
    )
    row = row_of(report(is_quantization=True, header_changes=changes), "drift.same_model")
    assert (row.verdict, row.data["level"]) == (Verdict.PASS, "warning")
    assert "general.name: 'tern' -> 'pipit'" in row.summary
    assert "file_type" not in row.summary
    sound = row_of(report(is_quantization=True, header_changes=changes[:1]), "drift.same_model")
    assert "level" not in sound.data
