"""Ports: the preferred ones, else the next free, the same again while they stay free."""

import socket
from pathlib import Path

import pytest

from tidegate.domain import NeedsOperator
from tidegate.stack import port_choice
from tidegate.stack.port_choice import choose_ports, is_free

HOST = "127.0.0.1"


@pytest.fixture
def taken() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        yield listener.getsockname()[1]


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


def test_without_any_free_port_a_person_is_asked(tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(port_choice, "SEARCHED_PORTS", 1)

    with pytest.raises(NeedsOperator, match="for gateway"):
        choose_ports(tmp_path, {"gateway": taken}, HOST)


def test_a_listening_port_is_not_free(taken: int):
    assert not is_free(HOST, taken)
