"""The rules of the quality gate, one by one."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain import Evidence, Gate, Verdict, fold
from tidegate.domain.policy import QualityPolicy
from tidegate.quality import QUALITY_CHECKS, BankResult, QuestionResult, judge_quality

POLICY = QualityPolicy(min_score=0.5)


def result(marks: Sequence[bool | None], topic: str = "t", **changes: object) -> BankResult:
    topics = [topic] * len(marks)
    return result_by_topic(list(zip(topics, marks, strict=True)), **changes)


def result_by_topic(marks: Sequence[tuple[str, bool | None]], **changes: object) -> BankResult:
    results = tuple(
        QuestionResult(id=f"q{n}", topic=topic, is_right=mark, error="" if mark is not None else "HTTP 503")
        for n, (topic, mark) in enumerate(marks)
    )
    values = {
        "bank": "b",
        "bank_digest": "d",
        "model_digest": "m",
        "served_models": ("m",),
        "results": results,
    }
    return BankResult.model_validate(values | changes)


def paired(pairs: int, losses: int, wins: int) -> tuple[BankResult, BankResult]:
    same = pairs - losses - wins
    ours = result([False] * losses + [True] * (wins + same))
    theirs = result([True] * losses + [False] * wins + [True] * same)
    return ours, theirs


def row(rows: list[Evidence], check: str) -> Evidence:
    return next(entry for entry in rows if entry.check == f"quality.{check}")


@pytest.mark.parametrize(
    ("pairs", "losses", "wins", "verdict", "says"),
    [
        (68, 0, 0, Verdict.PASS, "ruled out"),
        (68, 0, 7, Verdict.PASS, "ruled out"),
        (68, 2, 2, Verdict.NOT_JUDGED, "neither shown to lose less than 5 points nor shown to be worse"),
        (10, 0, 0, Verdict.NOT_JUDGED, "about 42 more questions would decide"),
        (68, 1, 0, Verdict.NOT_JUDGED, "between 2.4 points better and 6.3 points worse"),
        (68, 4, 0, Verdict.NOT_JUDGED, "about 17 more questions would decide"),
        (68, 5, 0, Verdict.FAIL, "worse (p = 0.031"),
        (68, 21, 0, Verdict.FAIL, "worse"),
        (2000, 12, 2, Verdict.PASS, "ruled out"),
    ],
)
def test_regression_rule(pairs: int, losses: int, wins: int, verdict: Verdict, says: str):
    ours, theirs = paired(pairs, losses, wins)
    found = row(judge_quality(ours, theirs, POLICY), "regression")
    assert found.verdict is verdict
    assert says in found.summary
    assert found.samples == pairs


def test_a_bank_that_cannot_decide_says_what_it_could_detect_and_how_many_questions_would_do():
    ours, theirs = paired(68, 3, 3)
    found = row(judge_quality(ours, theirs, POLICY), "regression")
    assert "this bank can detect a drop of 9.4 points" in found.summary
    more = found.data["more_questions"]
    factor = (68 + more) / 68
    assert (
        row(judge_quality(*paired(round(68 * factor * 1.2), 4, 4), POLICY), "regression").verdict
        is Verdict.PASS
    )


@given(st.integers(1, 51), st.data())
def test_a_bank_that_is_too_small_to_rule_anything_out_never_passes(pairs: int, data: st.DataObject):
    wins = data.draw(st.integers(0, min(2, pairs)))
    ours, theirs = paired(pairs, 0, wins)
    if row(judge_quality(ours, theirs, POLICY), "regression").verdict is Verdict.PASS:
        # Wins alone can show it: the candidate is better.
        assert wins > 0


@given(st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=40), st.data())
def test_a_verdict_with_missing_answers_never_passes_and_a_fail_is_certain(
    marks: list[bool | None], data: st.DataObject
):
    theirs = result(data.draw(st.lists(st.booleans(), min_size=len(marks), max_size=len(marks))))
    rows = judge_quality(result(marks), theirs, POLICY)
    best = judge_quality(result([mark is not False for mark in marks]), theirs, POLICY)
    if None in marks:
        assert all(entry.verdict is not Verdict.PASS for entry in rows)
    for check in QUALITY_CHECKS:
        name = check.removeprefix("quality.")
        if row(rows, name).verdict is Verdict.FAIL:
            assert row(best, name).verdict is Verdict.FAIL


def test_score_below_the_minimum_fails_with_and_without_a_baseline():
    low = result([True] * 4 + [False] * 6)
    assert row(judge_quality(low, None, POLICY), "score").verdict is Verdict.FAIL
    assert row(judge_quality(low, low, POLICY), "score").verdict is Verdict.FAIL


def test_score_fails_early_only_when_missing_answers_could_not_save_it():
    assert row(judge_quality(result([False] * 6 + [None] * 4), None, POLICY), "score").verdict is Verdict.FAIL
    hopeful = row(judge_quality(result([False] * 4 + [None] * 6), None, POLICY), "score")
    assert hopeful.verdict is Verdict.NOT_JUDGED


def test_without_a_baseline_the_rows_say_that_only_the_score_was_judged():
    rows = judge_quality(result([True] * 10), None, POLICY)
    for name in ("regression", "topics"):
        assert row(rows, name).verdict is Verdict.PASS
        assert "No baseline" in row(rows, name).summary


def test_a_lost_topic_fails_and_is_named_with_before_and_after():
    same = [("sums", True)] * 40
    ours = result_by_topic([("capitals", False)] * 12 + same)
    theirs = result_by_topic([("capitals", True)] * 12 + same)
    found = row(judge_quality(ours, theirs, POLICY), "topics")
    assert found.verdict is Verdict.FAIL
    assert found.summary == "Topics lost: capitals 12/12 -> 0/12."
    assert found.data["topics"]["sums"] == "40/40 -> 40/40"


def test_one_lost_question_is_no_lost_topic():
    same = [("sums", True)] * 40
    ours = result_by_topic([("single", False), *same])
    theirs = result_by_topic([("single", True), *same])
    assert row(judge_quality(ours, theirs, POLICY), "topics").verdict is Verdict.PASS


def test_a_topic_that_gains_does_not_hide_one_that_is_lost():
    ours = result_by_topic([("a", False)] * 6 + [("b", True)] * 6 + [("c", True)] * 40)
    theirs = result_by_topic([("a", True)] * 6 + [("b", False)] * 6 + [("c", True)] * 40)
    rows = judge_quality(ours, theirs, POLICY)
    assert row(rows, "regression").data["won"] == row(rows, "regression").data["lost"]
    assert fold(Gate.QUALITY, rows, QUALITY_CHECKS).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("ours", "theirs", "says"),
    [
        (result([None, None]), None, "answered no question (HTTP 503)"),
        (result([]), None, "answered no question"),
        (result([True]), result([None]), "baseline answered no question"),
        (result([True]), result([True], bank_digest="other"), "different banks"),
        (result([True]), result([True, True]), "different banks"),
        (result([True, None]), result([None, True]), "answered by both"),
        (result([True], served_models=("m", "n")), None, "several models"),
    ],
)
def test_unusable_results_are_not_judged(ours: BankResult, theirs: BankResult | None, says: str):
    rows = judge_quality(ours, theirs, POLICY)
    assert {entry.verdict for entry in rows} == {Verdict.NOT_JUDGED}
    assert {entry.check for entry in rows} == QUALITY_CHECKS
    assert says in rows[0].summary
