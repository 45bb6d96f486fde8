"""The order in which processes start, derived from what they depend on."""

from pathlib import Path

import pytest

from tidegate.domain import InvalidInput
from tidegate.stack.specification import ProcessSpec, start_order


def spec(name: str, *after: str) -> ProcessSpec:
    return ProcessSpec(
        name=name, argv=("true",), cwd=Path("/"), log_path=Path("/tmp/x"), after=after, env={"KEY": "hush"}
    )


def test_processes_start_in_waves_after_what_they_depend_on():
    waves = start_order((spec("worker", "setup"), spec("setup", "server"), spec("gateway"), spec("server")))

    assert waves == [["gateway", "server"], ["setup"], ["worker"]]


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ((spec("a", "b"), spec("b", "a")), "wait for each other: a, b"),
        ((spec("a", "ghost"),), "Unknown dependency: ghost"),
        ((spec("a"), spec("a")), "same name"),
    ],
)
def test_an_order_that_cannot_be_is_refused(specs: tuple[ProcessSpec, ...], message: str):
    with pytest.raises(InvalidInput, match=message):
        start_order(specs)


def test_a_specification_never_shows_its_environment():
    assert "hush" not in repr(spec("a"))
