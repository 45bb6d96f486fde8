"""The list of drills: each has its fault, names are found, and what the issue names is there."""

import pytest

from tidegate.domain import NotFound
from tidegate.drill import DRILLS, find_drills
from tidegate.drill.runner import FAULTS
from tidegate.drill.scenario import Path, Phase


def test_every_drill_has_a_fault_and_every_fault_a_drill():
    assert {drill.name for drill in DRILLS} == set(FAULTS)
    assert len(DRILLS) == len(FAULTS)


def test_a_drill_during_a_release_says_how_it_must_end():
    for drill in DRILLS:
        assert bool(drill.ends) == (drill.phase not in (Phase.STEADY, Phase.AFTER)), drill.name


def test_a_drill_that_allows_losses_says_so_in_what_it_expects():
    for drill in DRILLS:
        if drill.path is not Path.ALWAYS:
            assert "lost" in drill.expected or "fail" in drill.expected, drill.name


def test_without_a_name_the_short_list_is_played_and_all_only_when_asked_for():
    assert {drill.name for drill in find_drills(())} == {
        "kill-flow", "kill-agent", "kill-envoy", "kill-engine-candidate",
    }  # fmt: skip
    assert find_drills((), is_all=True) == DRILLS


def test_an_unknown_name_is_refused_by_name():
    with pytest.raises(NotFound, match="no drill 'kill-moon'"):
        find_drills(("kill-envoy", "kill-moon"))
