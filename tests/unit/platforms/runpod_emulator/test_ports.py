"""Ports that an emulator gives to what it starts. Each test has a range of its own: some run at the same time."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tidegate.platforms.runpod.emulator.ports import LOOPBACK, PORTS, Ports

LOWEST_OF_OUTGOING_CONNECTIONS = 32_768


@pytest.fixture
def made() -> Iterator[Callable[[range], Ports]]:
    """An emulator's ports, in blocks of five."""
    open_ones: list[Ports] = []

    def make(ports: range) -> Ports:
        open_ones.append(Ports(ports, per_block=5))
        return open_ones[-1]

    yield make
    for one in open_ones:
        one.close()


def test_outgoing_connections_never_take_them() -> None:
    assert max(PORTS) < LOWEST_OF_OUTGOING_CONNECTIONS
    with closing(Ports()) as ports:
        assert ports.take() in PORTS


def test_emulators_that_run_at_once_choose_different_ones(made: Callable[[range], Ports]) -> None:
    both = range(19_000, 19_010)
    first, second = made(both), made(both)

    # Nobody listens on what is given: only the blocks keep them apart.
    ours, theirs = ({ports.take() for _ in range(4)} for ports in (first, second))

    assert (len(ours), len(theirs)) == (4, 4)
    assert not ours & theirs


def test_one_that_was_given_comes_again_only_after_all_others(made: Callable[[range], Ports]) -> None:
    ports = made(range(19_100, 19_105))

    given = [ports.take() for _ in range(8)]

    assert len(set(given[:4])) == 4
    assert given[4:] == given[:4]


def test_one_that_somebody_listens_on_is_not_given(made: Callable[[range], Ports]) -> None:
    ports = made(range(19_200, 19_205))
    taken = ports.take()

    with socket.create_server((LOOPBACK, taken)):
        assert taken not in {ports.take() for _ in range(6)}


def test_another_block_is_taken_when_the_first_is_in_use(made: Callable[[range], Ports]) -> None:
    ports = made(range(19_300, 19_310))
    listening = [socket.create_server((LOOPBACK, ports.take())) for _ in range(4)]

    try:
        assert ports.take() in range(19_300, 19_310)
    finally:
        for one in listening:
            one.close()


def test_without_a_block_left_the_system_names_one(made: Callable[[range], Ports]) -> None:
    block = range(19_400, 19_405)
    made(block).take()

    assert made(block).take() not in block


def test_what_is_closed_is_there_for_others(made: Callable[[range], Ports]) -> None:
    block = range(19_500, 19_505)
    former = made(block)
    former.take()
    former.close()

    assert made(block).take() in block
