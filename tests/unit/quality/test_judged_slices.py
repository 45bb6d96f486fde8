"""Parts of a bank: those that a policy declares decide, all others are shown."""

from collections.abc import Sequence

import pytest

from tests.unit.quality.asked import graded
from tidegate.domain import Evidence, Verdict
from tidegate.domain.policy import QualityPolicy
from tidegate.quality import BankResult, QuestionResult, judge_quality

Part = tuple[str, int, int, int]
"""A tag, with how many questions, of which so many are lost and won."""


def both(*parts: Part, missing: int = 0) -> tuple[BankResult, BankResult]:
    ours: list[QuestionResult] = []
    theirs: list[QuestionResult] = []
    for tag, count, lost, won in parts:
        for n in range(count):
            marks = (False, True) if n < lost else (True, False) if n < lost + won else (True, True)
            for side, mark in zip((ours, theirs), marks, strict=True):
                side.append(QuestionResult(id=f"{tag}-{n}", topic="all", tags=(tag,), is_right=mark))
    for n in range(missing):
        ours[-1 - n] = ours[-1 - n].model_copy(update={"is_right": None, "value": None, "error": "HTTP 500"})
    return tuple(graded([]).model_copy(update={"results": tuple(side)}) for side in (ours, theirs))  # pyright: ignore[reportReturnType]


def judged(
    results: tuple[BankResult, BankResult], slices: dict[str, dict[str, float]]
) -> dict[str, Evidence]:
    policy = QualityPolicy.model_validate({"margin": 0.05, "min_score": 0.0, "slices": slices})
    return {row.check: row for row in judge_quality(*results, policy)}


def shown(rows: dict[str, Evidence]) -> Sequence[dict[str, object]]:
    return rows["quality.regression"].data["slices"]


def test_without_declared_slices_there_is_no_such_row():
    assert "quality.slices" not in judged(both(("a", 80, 0, 0)), {})


def test_a_declared_slice_passes_by_its_own_margin():
    rows = judged(both(("a", 60, 0, 0), ("b", 300, 0, 0)), {"a": {"margin": 0.1}})
    assert rows["quality.slices"].verdict is Verdict.PASS
    assert rows["quality.slices"].samples == 60


def test_a_declared_slice_that_is_lost_fails_although_the_whole_bank_does_not():
    rows = judged(both(("a", 40, 9, 0), ("b", 960, 0, 9)), {"a": {"margin": 0.1}})
    assert rows["quality.regression"].verdict is Verdict.PASS
    assert rows["quality.slices"].verdict is Verdict.FAIL
    assert "a: Of 40 questions 9 lost" in rows["quality.slices"].summary


def test_an_undeclared_slice_that_is_lost_is_shown_first_and_decides_nothing():
    rows = judged(both(("a", 40, 9, 0), ("b", 960, 0, 9)), {})
    assert all(row.verdict is Verdict.PASS for row in rows.values())
    assert shown(rows)[0]["slice"] == "a"
    assert shown(rows)[0]["lost"] == 9


def test_failing_one_of_many_slices_is_corrected_for_their_number():
    # Five losses of five: p = 0.031 alone, and no proof when it is the worst of ten.
    parts = [("s0", 30, 5, 0), *((f"s{n}", 30, 0, 0) for n in range(1, 10))]
    alone = judged(both(*parts), {"s0": {"margin": 0.1}, "s1": {"margin": 0.2}})
    many = judged(both(*parts), {f"s{n}": {"margin": 0.2} for n in range(10)})
    single = judged(both(("s0", 30, 5, 0), ("s1", 300, 0, 5)), {"s0": {"margin": 0.01}})
    assert many["quality.slices"].verdict is Verdict.NOT_JUDGED
    assert alone["quality.slices"].verdict is Verdict.NOT_JUDGED
    assert single["quality.slices"].verdict is Verdict.NOT_JUDGED
    # Holm: once the first is found worse, the others are asked at a milder rate.
    stepped = judged(
        both(("s0", 60, 12, 0), ("s1", 60, 6, 0)), {"s0": {"margin": 0.01}, "s1": {"margin": 0.01}}
    )
    verdicts = {name: one["verdict"] for name, one in stepped["quality.slices"].data["slices"].items()}
    assert verdicts == {"s0": "fail", "s1": "fail"}


def test_values_of_shown_slices_are_corrected_for_their_number():
    # A sign test of five losses and no win says 0.031; as the least of ten it says ten times as much.
    parts = [("s0", 30, 5, 0), *((f"s{n}", 30, 0, 0) for n in range(1, 10))]
    first = shown(judged(both(*parts), {}))[0]
    assert first["worse_p_adjusted"] == pytest.approx(0.031 * 11 / 2, abs=0.01)


def test_a_slice_has_a_minimum_of_its_own():
    rows = judged(both(("a", 10, 4, 0), ("b", 300, 0, 4)), {"a": {"margin": 0.5, "min_score": 0.7}})
    assert rows["quality.slices"].verdict is Verdict.FAIL
    assert "60.0%" in rows["quality.slices"].summary


def test_a_slice_without_questions_or_with_missing_answers_is_not_judged_and_rests_on_nothing():
    rows = judged(both(("a", 80, 0, 0)), {"nothing": {"margin": 0.1}})
    assert rows["quality.slices"].verdict is Verdict.NOT_JUDGED
    assert rows["quality.slices"].samples is None
    rows = judged(both(("a", 80, 0, 0), missing=2), {"a": {"margin": 0.1}})
    assert rows["quality.slices"].verdict is Verdict.NOT_JUDGED
    assert rows["quality.slices"].samples is None


def test_without_a_baseline_a_slice_is_judged_by_its_minimum_alone():
    ours, _ = both(("a", 10, 4, 0))
    policy = QualityPolicy.model_validate(
        {"min_score": 0.0, "slices": {"a": {"margin": 0.1, "min_score": 0.5}}}
    )
    rows = {row.check: row for row in judge_quality(ours, None, policy)}
    assert rows["quality.slices"].verdict is Verdict.PASS


def test_answers_to_other_settings_are_not_compared():
    ours, theirs = both(("a", 80, 0, 0))
    rows = judge_quality(
        ours.model_copy(update={"settings": {"max_tokens": 64, "concurrency": 2}}),
        theirs.model_copy(update={"settings": {"max_tokens": 64, "concurrency": 8}}),
        QualityPolicy(),
    )
    assert {row.verdict for row in rows} == {Verdict.NOT_JUDGED}
    assert "other settings (concurrency)" in rows[0].summary
