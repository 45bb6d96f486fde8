"""Ports: the preferred ones, else the next free, the same again while they stay free."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tidegate.domain import NeedsOperator
from tidegate.stack import port_choice
from tidegate.stack.port_choice import choose_ports, is_free

HOST = "127.0.0.1"


def reserve(port: int = 0) -> socket.socket:
    """The system gives a port that is bound to nobody else, and it stays free for who asks for it by number."""
    reserved = socket.socket()
    try:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((HOST, port))
    except OSError:
        reserved.close()
        raise
    return reserved


@pytest.fixture
def taken() -> Iterator[int]:
    """A port with a listener; the one behind it is free and stays so."""
    with ExitStack() as stack:
        while True:
            listener = stack.enter_context(reserve())
            port = listener.getsockname()[1]
            try:
                stack.enter_context(reserve(port + 1))
            except OSError:
                continue
            break
        listener.listen()
        yield port


@pytest.fixture
def free() -> Iterator[int]:
    with reserve() as reserved:
        yield reserved.getsockname()[1]


def test_a_port_that_others_use_is_passed_over_and_the_choice_is_kept(tmp_path: Path, taken: int):
    first = choose_ports(tmp_path, {"gateway": taken}, HOST)
    again = choose_ports(tmp_path, {"gateway": taken}, HOST)

    assert first["gateway"] > taken
    assert again == first


def test_two_names_never_get_the_same_port(tmp_path: Path, taken: int):
    chosen = choose_ports(tmp_path, {"gateway": taken, "prefect": taken}, HOST)

    assert len(set(chosen.values())) == 2


def test_a_remembered_port_that_was_lost_is_replaced(tmp_path: Path, taken: int):
    (tmp_path / "ports.json").write_text(f'{{"gateway": {taken}}}')

    assert choose_ports(tmp_path, {"gateway": taken + 1}, HOST)["gateway"] != taken


def test_a_port_that_another_stack_is_about_to_bind_is_passed_over(tmp_path: Path, free: int):
    program = (
        "import sys; from pathlib import Path; from tidegate.stack.port_choice import choose_ports as c\n"
    )
    program += f"print(c(Path({str(tmp_path / 'other')!r}), {{'gateway': {free}}}, {HOST!r}), flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == f"{{'gateway': {free}}}\n"

        assert choose_ports(tmp_path, {"gateway": free}, HOST)["gateway"] > free

        other.communicate("")


def test_a_port_that_our_own_leftover_holds_is_kept(tmp_path: Path, taken: int):
    (tmp_path / "ports.json").write_text(f'{{"gateway": {taken}}}')

    assert choose_ports(tmp_path, {"gateway": taken}, HOST, held=["gateway"]) == {"gateway": taken}


def test_without_any_free_port_a_person_is_asked(tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(port_choice, "SEARCHED_PORTS", 1)

    with pytest.raises(NeedsOperator, match="for gateway"):
        choose_ports(tmp_path, {"gateway": taken}, HOST)


def test_a_listening_port_is_not_free(taken: int):
    assert not is_free(HOST, taken)
