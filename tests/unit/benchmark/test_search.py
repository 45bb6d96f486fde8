"""The search for the highest load: bounded, decided by intervals, and honest about what it could not decide."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.benchmark.search import Answer, HighestLoad, LevelSearch, SearchPlan, Verdict, rising_levels
from tidegate.domain import InvalidInput


def search(plan: SearchPlan, share: "dict[float, float] | float", planned: int = 400) -> HighestLoad:
    """Search a server that serves all requests well up to a limit and few above it."""
    found = LevelSearch(plan)
    while (level := found.next_level()) is not None:
        good = (1.0 if level <= share else 0.5) if isinstance(share, float) else share.get(level, 0.0)
        found.tell(level, round(good * planned), planned)
    return found.result()


@given(st.floats(0.5, 900), st.floats(0.5, 8))
@settings(max_examples=60, deadline=None)
def test_the_limit_lies_between_the_two_ends_and_they_are_as_close_as_asked(limit: float, start: float):
    found = search(SearchPlan(start=start, most=1024, most_probes=40), limit)
    assert found.answer is Answer.BETWEEN
    assert found.misses is not None
    assert (found.holds or 0.0) <= limit < found.misses
    if found.holds:
        assert found.misses - found.holds <= 0.1 * found.holds + 1e-6


@given(st.integers(1, 500))
@settings(max_examples=60, deadline=None)
def test_numbers_of_requests_at_once_are_found_to_the_exact_one(limit: int):
    plan = SearchPlan(start=1, most=1024, is_whole=True, resolution=1e-6, most_probes=40)
    found = search(plan, float(limit))
    assert (found.holds, found.misses) == (limit, limit + 1)
    assert all(probe.level == int(probe.level) for probe in found.probes)


def test_a_server_that_holds_everything_is_reported_as_at_least():
    found = search(SearchPlan(start=4, most=100), 1e9)
    assert (found.answer, found.holds) == (Answer.AT_LEAST, 100)
    assert [probe.level for probe in found.probes] == [4, 8, 16, 32, 64, 100]
    assert found.describe("requests/s").startswith("at least 100 requests/s")


def test_a_server_that_holds_nothing_is_reported_as_below():
    found = search(SearchPlan(start=1, most=64, is_whole=True), 0.0)
    assert found.answer is Answer.BETWEEN
    assert found.describe("requests at once").startswith("below 1 requests at once")


def test_a_level_near_the_wanted_share_is_looked_at_again_and_then_left_undecided():
    found = search(SearchPlan(start=4, most=4, looks=3, most_probes=3), {4.0: 0.95}, planned=100)
    (probe,) = found.probes
    assert (probe.looks, probe.planned, probe.verdict) == (3, 300, Verdict.UNDECIDED)
    assert found.answer is Answer.UNDECIDED


def test_too_few_requests_decide_nothing():
    """Fifty of fifty good ones do not show 95 %: the interval reaches down to 90 %."""
    found = search(SearchPlan(start=4, most=4, looks=1), 1e9, planned=50)
    assert found.answer is Answer.UNDECIDED
    assert search(SearchPlan(start=4, most=4, looks=3), 1e9, planned=50).answer is Answer.AT_LEAST


def test_an_undecided_level_leaves_the_ends_that_are_decided():
    found = search(SearchPlan(start=4, most=64, looks=2), {4.0: 1.0, 8.0: 0.95, 16.0: 0.1})
    assert found.holds == 4
    assert found.misses is not None
    assert 4 < found.misses < 8
    assert found.answer is Answer.BETWEEN


def test_probes_are_bounded():
    found = search(SearchPlan(start=1, most=1e9, most_probes=5), 1e12)
    assert len(found.probes) == 5
    assert found.answer is Answer.UNDECIDED
    assert "5 probes" in found.why
    assert found.holds == 16


def test_a_search_that_is_ended_keeps_what_it_knows():
    found = LevelSearch(SearchPlan(start=2))
    found.tell(2.0, 400, 400)
    found.end("60 s were over")
    assert found.next_level() is None
    assert found.result().describe("requests/s") == "undecided; 2 requests/s hold (60 s were over)"


@pytest.mark.parametrize(
    "wrong", [{"start": 0}, {"start": 9, "most": 3}, {"wanted": 1.0}, {"most_probes": 0}, {"looks": 0}]
)
def test_a_search_without_sense_is_refused(wrong: dict[str, float]):
    with pytest.raises(InvalidInput):
        SearchPlan(**wrong)  # pyright: ignore[reportArgumentType]


def test_levels_of_a_sweep_rise_to_the_last_one():
    assert rising_levels(2, 10, 1.5) == [2, 3, 4.5, 6.75, 10]
    assert rising_levels(1, 8, 1.5, is_whole=True) == [1, 2, 3, 5, 8]
    with pytest.raises(InvalidInput):
        rising_levels(5, 2)
