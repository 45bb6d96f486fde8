"""What a night says beside earlier ones: drift of answers, change of level, cost, verdict."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain import Evidence, Gate, Verdict
from tidegate.domain.policy import NightlyPolicy
from tidegate.quality import BankResult, QuestionResult
from tidegate.steps.night_figures import (
    Agreement,
    Night,
    NightFigures,
    accepted_token_cost,
    agreement,
    judge_drift,
    judge_trends,
    night_summary,
    night_verdict,
    sparkline,
)

POLICY = NightlyPolicy()
START = datetime(2026, 11, 1, 3, 17, tzinfo=UTC)


def nights(ttft: list[float], **figures: float) -> list[Night]:
    return [
        Night(
            at=START + timedelta(days=number),
            figures=NightFigures(night=f"n{number}", digest="1" * 64, ttft_p50_ms=value, **figures),
        )
        for number, value in enumerate(ttft)
    ]


def bank(*answers: str, error: str = "") -> BankResult:
    rows = tuple(
        QuestionResult(id=f"q{n}", topic="t", is_right=None if error else True, answer=text, error=error)
        for n, text in enumerate(answers)
    )
    return BankResult(bank="b", bank_digest="0" * 64, model_digest=None, results=rows)


def test_a_slower_level_is_found_with_its_night_and_size():
    level = [100, 101, 99, 102, 98, 100, 101, 99, 140, 141, 139, 142, 140]
    (row,) = judge_trends(nights(level), POLICY)
    assert row.verdict is Verdict.FAIL
    assert "140 ms since the night of 2026-11-09" in row.summary
    assert "higher by 40%" in row.summary
    assert "tidegate nightly accept" in row.remedy


def test_a_level_that_moved_by_less_than_allowed_is_told_and_passes():
    level = [100, 101, 99, 102, 98, 100, 101, 99, 110, 111, 109, 112, 110]
    (row,) = judge_trends(nights(level), POLICY)
    assert row.verdict is Verdict.PASS
    assert "higher by 10%" in row.summary


def test_a_falling_score_is_worse_and_a_falling_latency_is_not():
    level = [0.9] * 9 + [0.6] * 6
    figures = [
        Night(at=night.at, figures=night.figures.model_copy(update={"score": score}))
        for night, score in zip(nights([100.0] * 9 + [50.0] * 6), level, strict=True)
    ]
    score, ttft = judge_trends(figures, POLICY)
    assert (score.check, score.verdict) == ("trend.score", Verdict.FAIL)
    assert "is 60% since" in score.summary
    assert (ttft.check, ttft.verdict) == ("trend.ttft", Verdict.PASS)


def test_a_few_nights_are_no_trend():
    (row,) = judge_trends(nights([100, 400, 900]), POLICY)
    assert row.verdict is Verdict.NOT_JUDGED
    assert "this is number 3" in row.summary


@given(st.lists(st.floats(1, 1000), min_size=8, max_size=12))
def test_equal_nights_are_judged_equally(level: list[float]):
    assert judge_trends(nights(level), POLICY) == judge_trends(nights(level), POLICY)


def test_answers_are_compared_where_both_were_given():
    found = agreement(bank("a", "b", "x", "d"), bank("a", "b ", "c"))
    assert found == Agreement(3, ("q2",))
    assert found.same == pytest.approx(2 / 3)
    assert agreement(bank("a", error="refused"), bank("a")).same is None


@pytest.mark.parametrize(
    ("compared", "changed", "verdict"),
    [
        (0, 0, Verdict.NOT_JUDGED),
        (30, 0, Verdict.PASS),
        (30, 3, Verdict.PASS),
        (30, 4, Verdict.NOT_JUDGED),
        (30, 20, Verdict.FAIL),
        (4, 1, Verdict.NOT_JUDGED),
    ],
)
def test_drift_fails_only_when_more_changes_are_proven(compared: int, changed: int, verdict: Verdict):
    row = judge_drift(Agreement(compared, tuple(f"q{n}" for n in range(changed))), POLICY)
    assert row.verdict is verdict
    assert (row.remedy != "") is (verdict is Verdict.FAIL)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))))
def test_more_changed_answers_are_never_judged_better(case: tuple[int, int]):
    compared, changed = case
    order = [Verdict.PASS, Verdict.NOT_JUDGED, Verdict.FAIL]
    fewer, more = (
        order.index(judge_drift(Agreement(compared, tuple(map(str, range(count)))), POLICY).verdict)
        for count in (changed, changed + 1)
    )
    assert fewer <= more


def test_the_cost_of_an_accepted_token_counts_wrong_answers_as_waste():
    assert accepted_token_cost(1.8, 100.0, 1.0) == pytest.approx(5.0)
    assert accepted_token_cost(1.8, 100.0, 0.5) == pytest.approx(10.0)
    assert accepted_token_cost(None, 100.0, 0.5) is None
    assert accepted_token_cost(1.8, 100.0, 0.0) is None
    assert accepted_token_cost(1.8, None, 0.5) is None


def _row(check: str, verdict: Verdict) -> Evidence:
    return Evidence(gate=Gate.QUALITY, check=check, verdict=verdict, summary="s")


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([], Verdict.NOT_JUDGED),
        ([("quality.score", Verdict.PASS), ("trend.ttft", Verdict.NOT_JUDGED)], Verdict.PASS),
        ([("quality.score", Verdict.NOT_JUDGED)], Verdict.NOT_JUDGED),
        ([("trend.ttft", Verdict.NOT_JUDGED)], Verdict.NOT_JUDGED),
        ([("quality.score", Verdict.ERROR), ("trend.ttft", Verdict.FAIL)], Verdict.FAIL),
        ([("quality.score", Verdict.ERROR), ("drift.answers", Verdict.PASS)], Verdict.ERROR),
    ],
)
def test_a_night_is_as_bad_as_its_worst_row(rows: list[tuple[str, Verdict]], verdict: Verdict):
    assert night_verdict([_row(check, one) for check, one in rows]) is verdict


def test_a_difference_that_was_measured_and_not_decided_colours_no_night():
    undecided = _row("quality.regression", Verdict.NOT_JUDGED).model_copy(update={"data": {"samples": 30}})
    unmeasured = _row("quality.regression", Verdict.NOT_JUDGED)
    score = _row("quality.score", Verdict.PASS)
    assert night_verdict([score, undecided]) is Verdict.PASS
    assert night_verdict([score, unmeasured]) is Verdict.NOT_JUDGED


def test_the_summary_of_a_night_names_what_made_it_so_and_nothing_else():
    rows = [
        _row("performance.ttft", Verdict.NOT_JUDGED).model_copy(update={"summary": "the client was late."}),
        _row("performance.itl", Verdict.NOT_JUDGED).model_copy(update={"summary": "the client was late."}),
        _row("trend.ttft", Verdict.NOT_JUDGED).model_copy(update={"summary": "night 2."}),
        _row("quality.score", Verdict.PASS),
    ]
    assert night_summary(rows, Verdict.NOT_JUDGED) == "the client was late"
    failed = [_row(f"x.{n}", Verdict.FAIL).model_copy(update={"summary": f"{n}."}) for n in range(4)]
    assert night_summary(failed, Verdict.FAIL) == "0; 1 (2 more)"
    assert night_summary(rows[3:], Verdict.PASS) == "no regression"


def test_a_sparkline_shows_the_course():
    assert sparkline([]) == ""
    assert sparkline([3, 3, 3]) == "▁▁▁"
    assert sparkline([0, 50, 100]) == "▁▅█"
