"""The relay between two real sockets: it carries, breaks, refuses, slows only whom it should, and heals."""

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from tidegate.drill.relay import Relay


@pytest.fixture
def echo_port() -> Iterator[int]:
    """A server that sends back what it gets."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve_one(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(4096):
                    connection.sendall(data)
            except OSError:
                return

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve_one, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield int(server.getsockname()[1])
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def connect(relay: Relay) -> socket.socket:
    return socket.create_connection(("127.0.0.1", relay.port), timeout=60)


def is_broken(connection: socket.socket) -> bool:
    try:
        connection.sendall(b"x")
        return connection.recv(10) == b""
    except OSError:
        return True


def is_carried(relay: Relay) -> bool:
    with connect(relay) as connection:
        connection.sendall(b"hello")
        return connection.recv(10) == b"hello"


def test_a_cut_breaks_what_is_open_and_refuses_what_comes_until_it_heals(echo_port: int):
    with Relay(echo_port) as relay, connect(relay) as early:
        assert is_carried(relay)
        early.sendall(b"hi")
        assert early.recv(10) == b"hi"
        relay.cut()
        assert is_broken(early)
        with connect(relay) as late:
            assert is_broken(late)
        relay.heal()
        assert is_carried(relay)


def test_a_cut_of_other_processes_leaves_ours_alone(echo_port: int):
    with Relay(echo_port) as relay, connect(relay) as ours:
        ours.sendall(b"hi")
        assert ours.recv(10) == b"hi"
        relay.cut(lambda: {1})
        ours.sendall(b"still")
        assert ours.recv(10) == b"still"
        relay.cut(lambda: {os.getpid()})
        assert is_broken(ours)


def test_a_slow_relay_carries_everything(echo_port: int):
    with Relay(echo_port) as relay:
        relay.slow(0.01)
        assert is_carried(relay)
