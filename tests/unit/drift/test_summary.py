"""From tokens to a set: bounds with the text as the unit, and nothing that too few tokens could say."""

import numpy as np
import pytest

from tests.unit.drift.samples import packed, report, said_text, text_set
from tidegate.drift.said import ChildReport, measures_of, read_outcome
from tidegate.drift.summary import estimate, summarize_set
from tidegate.validation.confinement import ChildOutcome


def test_the_mean_is_over_tokens_and_the_bounds_count_texts():
    found = report(0.01).sets[0]
    assert (found.texts, found.tokens, found.kl.texts) == (20, 1200, 20)
    assert found.kl.low is not None
    assert found.kl.high is not None
    assert found.kl.low < found.kl.mean < found.kl.high


def test_tokens_of_one_text_are_not_taken_for_independent():
    """The same number of tokens in fewer texts must give wider bounds."""
    generator = np.random.default_rng(5)
    widths: list[float] = []
    for texts in (10, 100):
        of_text = np.repeat(generator.normal(1, 0.3, texts), 1000 // texts)
        owners = [str(number) for number in range(texts) for _ in range(1000 // texts)]
        found = estimate(of_text.tolist(), owners, 0.0, float("inf"), 1)
        assert found.high is not None
        widths.append(found.high - found.mean)
    assert widths[0] > 2 * widths[1]


def test_bounds_stay_in_the_range_of_the_quantity():
    found = estimate([0.0, 0.0, 0.0, 5.0], ["a", "b", "c", "d"], 0.0, float("inf"), 1)
    assert found.low == 0.0
    shares = estimate([1.0] * 5, list("abcde"), 0.0, 1.0, 1)
    assert (shares.mean, shares.high) == (1.0, 1.0)


def test_one_text_has_no_bounds():
    found = estimate([0.1, 0.2], ["a", "a"], 0.0, 1.0, 1)
    assert (found.low, found.high, found.texts) == (None, None, 1)


@pytest.mark.parametrize(
    ("tokens", "stated"), [(4, ["p50"]), (20, ["p50", "p95"]), (60, ["p50", "p95", "p99"])]
)
def test_percentiles_are_stated_only_where_tokens_lie_beyond_them(tokens: int, stated: list[str]):
    found = report(0.01, tokens=tokens).sets[0].kl_percentiles
    assert [name for name in ("p50", "p95", "p99") if getattr(found, name) is not None] == stated
    assert (found.p99_bounds is not None) == ("p99" in stated)
    assert found.highest >= found.lowest


def test_the_same_numbers_give_the_same_bounds():
    assert report(0.05).sets == report(0.05).sets


def test_kinds_are_ordered_by_their_divergence_and_every_token_is_counted():
    found = report(0.05, spread=0.5).sets[0]
    assert [part.kl_mean for part in found.kinds] == sorted(
        (part.kl_mean for part in found.kinds), reverse=True
    )
    assert {part.name for part in found.kinds} == {"prose", "code"}
    assert sum(found.kl_histogram.counts) == found.tokens


def test_a_set_of_which_nothing_was_measured_is_no_set():
    assert summarize_set("must_not_change", text_set(3), [], {}, 0) is None


def outcome(result: dict[str, object] | None, problem: str = "") -> ChildOutcome:
    return ChildOutcome(result, 0, problem, "", 1.0)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"values": None}, "it was not measured"),
        ({"problem": "too slow"}, "too slow"),
        ({"tokens": 3}, "another number"),
        ({"windows": [1]}, "do not agree"),
    ],
)
def test_what_a_child_says_of_a_text_is_believed_only_when_it_fits(change: dict[str, object], why: str):
    row = {**said_text("a", "must_not_change", [0.1, 0.2]), **change}
    measured, problems = measures_of(ChildReport.model_validate({"texts": [row]}))
    assert measured == []
    assert why in problems["must_not_change", "a"]


@pytest.mark.parametrize(
    "values", ["!", packed([float("nan"), 0.1]), packed([-1.0, 0.1]), packed([0.5, 1.0])]
)
def test_values_that_cannot_be_are_no_evidence(values: str):
    row = said_text("a", "must_not_change", [0.1, 0.2])
    row["values"]["same_top"] = values
    measured, problems = measures_of(ChildReport.model_validate({"texts": [row]}))
    assert (measured, len(problems)) == ([], 1)


def test_a_child_that_died_or_babbles_is_a_problem():
    assert "SIGKILL" in read_outcome(outcome(None, "it was ended by SIGKILL")).problem
    assert "cannot be read" in read_outcome(outcome({"texts": 3})).problem
    assert "cannot be read" in read_outcome(outcome({"unknown": 1})).problem
