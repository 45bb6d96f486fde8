"""Every state that the release machine can reach in small worlds with faults, and the same without each guard."""

from functools import cache

import pytest

from tests.model.configurations import CONFIGURATIONS
from tests.model.events import Configuration
from tests.model.explorer import Explorer, Result
from tests.model.mutants import MUTANTS, Mutant


@cache
def explored(name: str) -> Result:
    return Explorer(next(one for one in CONFIGURATIONS if one.name == name)).run()


@pytest.mark.parametrize("world", CONFIGURATIONS, ids=lambda world: world.name)
def test_no_reachable_state_breaks_a_property_and_each_leads_to_an_end(world: Configuration) -> None:
    result = explored(world.name)
    print(f"{world.name}: {result.states} states, {result.transitions} transitions")
    assert result.violation is None, f"\n{result.violation}"
    assert result.calm >= result.states


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.guard)
def test_a_published_failure_is_found_again_when_its_guard_is_taken_away(mutant: Mutant) -> None:
    found = mutant.run().violation
    assert found is not None, f"{mutant.failure}: nothing was found without: {mutant.guard}"
    assert found.broken.startswith(mutant.expected), f"\n{found}"
    assert mutant.unchanged().violation is None


def test_a_violation_is_told_as_the_shortest_way_to_it() -> None:
    told = str(next(one for one in MUTANTS if one.failure.startswith("2 ")).run().violation)
    assert "old dies" in told
    assert told.startswith("S3: puts 100 % on old, which is not ready now\n    1. start")


def test_the_same_world_has_the_same_figures_each_time() -> None:
    world = next(one for one in CONFIGURATIONS if one.name.startswith("silent"))
    first, second = explored(world.name), Explorer(world).run()
    assert (first.states, first.transitions) == (second.states, second.transitions)
