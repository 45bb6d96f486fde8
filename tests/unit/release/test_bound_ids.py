"""While a release is driven, whatever logs or calls in its thread does so in its name."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
from world import World, world_with

from tidegate.correlation import current, end_tracing, trace_of_release, trace_with
from tidegate.domain import ReleaseState


@pytest.fixture
def world() -> World:
    return world_with("v1", "v2")


@pytest.fixture
def spans() -> Iterator[list[tuple[str, str]]]:
    seen: list[tuple[str, str]] = []

    class Watching:
        def follow(
            self, name: str, ids: Mapping[str, str], parent_span_id: str | None
        ) -> AbstractContextManager[object]:
            seen.append((name, ids["trace_id"]))
            return nullcontext()

    trace_with(Watching())
    yield seen
    end_tracing()


def test_every_step_is_taken_in_the_name_of_its_release(world: World):
    seen: list[dict[str, str]] = []

    def note(release: Any, step: object) -> None:
        seen.append(current())

    done = world.release("v1", on_step=note)

    assert done.state is ReleaseState.DONE
    assert {one["release_id"] for one in seen} == {done.id}
    assert {(one["org"], one["service"]) for one in seen} == {tuple(done.ref)}
    assert {one["trace_id"] for one in seen} == {trace_of_release(done.id)}
    assert current() == {}


def test_a_release_and_its_steps_are_spans_of_one_trace(world: World, spans: list[tuple[str, str]]):
    done = world.release("v1")

    assert spans[0] == ("drive a release", trace_of_release(done.id))
    assert {trace for _, trace in spans} == {trace_of_release(done.id)}
    assert "step: Enter" in {name for name, _ in spans}


def test_another_release_has_another_trace(world: World, spans: list[tuple[str, str]]):
    world.release("v1")
    world.release("v2")

    assert len({trace for _, trace in spans}) == 2
