"""How pairs of scores become a verdict, and how often that errs."""

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.quality.asked import graded
from tidegate.domain import Verdict
from tidegate.quality import BankResult, QuestionResult
from tidegate.quality.decision import Decision, decide
from tidegate.quality.paired_tests import Rules
from tidegate.quality.pairs import Pairs

RULES = Rules(0.05)
LOOKED_AT = Rules(0.05, is_sequential=True)
GRADED = Rules(0.05, is_sequential=True, is_graded=True)
MARKS = [(1.0, 1.0), (0.0, 1.0), (1.0, 0.0)]
Marks = Sequence[tuple[float, float]]
"""Candidate's and baseline's score of each question."""


def pairs(
    marks: Marks, clusters: Sequence[str | None] | None = None, weights: Sequence[float] | None = None
) -> Pairs:
    def of(side: int) -> BankResult:
        results = [
            QuestionResult(
                id=f"q{n}",
                topic="t",
                value=values[side],
                is_right=values[side] >= 0.5,
                cluster=None if clusters is None else clusters[n],
                weight=1.0 if weights is None else weights[n],
            )
            for n, values in enumerate(marks)
        ]
        return graded([]).model_copy(update={"results": tuple(results)})

    return Pairs.of(of(0), of(1))


def discordant(count: int, losses: int, wins: int) -> list[tuple[float, float]]:
    return [(0.0, 1.0)] * losses + [(1.0, 0.0)] * wins + [(1.0, 1.0)] * (count - losses - wins)


def drawn(chance: random.Random, count: int, lost: float, won: float, size: float = 1.0) -> Marks:
    """Independent questions of which so many shares are lost and won, by `size`."""
    found: list[tuple[float, float]] = []
    for _ in range(count):
        place = chance.random()
        if place < lost:
            found.append((1 - size, 1.0))
        else:
            found.append((1.0, 1 - size) if place < lost + won else (1.0, 1.0))
    return found


def shares(draw: Callable[[random.Random], Decision], rounds: int) -> dict[Verdict, float]:
    chance = random.Random(7)
    verdicts = [draw(chance).verdict for _ in range(rounds)]
    return {verdict: verdicts.count(verdict) / rounds for verdict in Verdict}


def test_an_equal_candidate_passes_a_large_bank_and_is_not_judged_by_a_small_one():
    assert decide(pairs(discordant(400, 10, 10)), RULES).verdict is Verdict.PASS
    assert decide(pairs(discordant(20, 0, 0)), RULES).verdict is Verdict.NOT_JUDGED


def test_a_small_difference_that_is_sure_passes_inside_the_margin():
    found = decide(pairs(discordant(2000, 12, 2)), RULES)
    assert found.tested.is_worse
    assert found.verdict is Verdict.PASS


def test_graded_scores_are_judged_by_their_mean_and_not_by_right_and_wrong():
    # Always right, and always a little worse than before.
    little = [(0.97 + 0.01 * (n % 3), 1.0) for n in range(120)]
    much = [(0.80 + 0.05 * (n % 3), 1.0) for n in range(120)]
    assert decide(pairs(little), RULES).verdict is Verdict.PASS
    assert decide(pairs(much), RULES).verdict is Verdict.FAIL


def test_questions_of_one_cluster_count_as_related():
    marks = discordant(200, 12, 0)
    alone = decide(pairs(marks), RULES)
    related = decide(pairs(marks, clusters=[f"c{n // 12}" for n in range(200)]), RULES)
    assert alone.verdict is Verdict.FAIL
    # All lost questions are of one document.
    assert related.verdict is Verdict.NOT_JUDGED


def test_a_heavy_question_counts_more():
    marks = discordant(150, 10, 0)
    light = decide(pairs(marks, weights=[0.1] * 10 + [1.0] * 140), RULES)
    heavy = decide(pairs(marks, weights=[5.0] * 10 + [1.0] * 140), RULES)
    assert light.tested.loss == pytest.approx(10 * 0.1 / 141)
    assert heavy.tested.loss == pytest.approx(10 * 5 / 190)
    assert (light.verdict, heavy.verdict) == (Verdict.PASS, Verdict.FAIL)


@given(
    st.lists(st.sampled_from([(1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.5, 1.0)]), min_size=1, max_size=80),
    st.booleans(),
)
def test_a_missing_answer_never_helps_the_candidate(marks: Marks, is_sequential: bool):
    rules = Rules(0.05, is_sequential=is_sequential, is_graded=True)
    whole = pairs(marks)
    gap = Pairs(
        (
            *whole.every,
            pairs([(1.0, 1.0)])
            .every[0]
            .__class__("missing", whole.every[0].ours, whole.every[0].theirs, None, 1.0),
        )
    )
    assert decide(gap, rules).verdict is not Verdict.PASS
    assert decide(gap, rules).is_undecided is False


@settings(max_examples=40)
@given(
    st.integers(1, 60),
    st.one_of(
        st.tuples(st.just(LOOKED_AT), st.lists(st.sampled_from(MARKS), min_size=1, max_size=300)),
        st.tuples(st.just(GRADED), st.lists(st.sampled_from([*MARKS, (0.5, 1.0)]), min_size=1, max_size=300)),
    ),
)
def test_a_run_that_was_looked_at_gives_one_verdict_whatever_the_batches(step: int, run: tuple[Rules, Marks]):
    rules, marks = run
    asked = pairs(marks)
    whole = decide(asked, rules)
    looks = [Pairs(asked.every[:end]) for end in (*range(step, len(marks), step), len(marks))]
    first = next(
        (found for one in looks if (found := decide(one, rules)).verdict is not Verdict.NOT_JUDGED), None
    )
    if first is None:
        assert whole.verdict is Verdict.NOT_JUDGED
    else:
        assert (first.verdict, first.tested.used) == (whole.verdict, whole.tested.used)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(MARKS), min_size=1, max_size=300))
def test_bounds_of_a_run_that_was_looked_at_only_grow_tighter_and_hold_the_verdict(marks: Marks):
    asked = pairs(marks)
    half, whole = (decide(Pairs(asked.every[:end]), LOOKED_AT) for end in (len(marks) // 2 + 1, len(marks)))
    if not half.tested.is_worse and not whole.tested.is_worse:
        assert whole.tested.most_loss <= half.tested.most_loss
        assert whole.tested.least_loss >= half.tested.least_loss
    assert (whole.verdict is Verdict.PASS) <= (whole.tested.most_loss <= LOOKED_AT.margin + 0.001)
    assert whole.tested.least_loss <= whole.tested.most_loss


def test_what_more_would_be_needed_is_what_decides_when_it_comes():
    found = decide(pairs(discordant(100, 4, 2)), RULES)
    assert found.verdict is Verdict.NOT_JUDGED
    assert found.more is not None
    factor = 1.25 * (100 + found.more) / 100
    grown = discordant(round(100 * factor), round(4 * factor), round(2 * factor))
    assert decide(pairs(grown), RULES).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("rules", "count", "size"),
    [(RULES, 200, 1.0), (RULES, 120, 0.6), (LOOKED_AT, 150, 1.0)],
)
def test_false_alarms_and_false_passes_keep_to_their_rate(rules: Rules, count: int, size: float):
    """80 comparisons each: of a rate of 5 %, more than 11 come in one of 1,000 runs. The benchmark has thousands."""
    equal = shares(lambda chance: decide(pairs(drawn(chance, count, 0.05, 0.05, size)), rules), 80)
    lost = 0.02 + rules.margin / size
    at_margin = shares(lambda chance: decide(pairs(drawn(chance, count, lost, 0.02, size)), rules), 80)
    assert equal[Verdict.FAIL] <= 11 / 80
    assert at_margin[Verdict.PASS] <= 11 / 80


def test_a_true_drop_of_ten_points_is_found_with_the_power_that_the_plan_says():
    """200 questions, 15 % discordant: exact McNemar finds 10 points in more than 90 %."""
    found = shares(lambda chance: decide(pairs(drawn(chance, 200, 0.125, 0.025)), RULES), 60)
    assert found[Verdict.FAIL] >= 0.8
    assert found[Verdict.PASS] == 0
