"""The socket that takes copies of requests: answers at once, keeps what is whole, survives everything else."""

import contextlib
import http.client
import queue
import socket
import stat
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tidegate.domain import ServiceRef, Transient
from tidegate.replay.sampler import MAX_BODY_BYTES, Sampler, sampling

CHAT = ServiceRef("acme", "chat")
WAIT_S = 60


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path):
        super().__init__("sampler", timeout=WAIT_S)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(WAIT_S)
        self.sock.connect(str(self.path))


class Kept:
    """Where a test finds what was kept; `trouble` is raised instead."""

    def __init__(self) -> None:
        self.found: queue.Queue[tuple[ServiceRef, bytes]] = queue.Queue()
        self.trouble: list[Exception] = []
        self.lost = threading.Event()

    def __call__(self, copies: Sequence[tuple[ServiceRef, bytes]]) -> None:
        if self.trouble:
            self.lost.set()
            raise self.trouble.pop()
        for one in copies:
            self.found.put(one)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.sock"


@pytest.fixture
def kept(path: Path) -> Iterator[Kept]:
    made, stop = Kept(), threading.Event()
    sampler = Sampler(path, made)
    thread = threading.Thread(target=sampler.serve, args=(stop,))
    thread.start()
    assert sampler.is_listening.wait(WAIT_S)
    yield made
    stop.set()
    thread.join(WAIT_S)
    assert not thread.is_alive()
    assert not path.exists()


def send(
    path: Path,
    body: bytes | Iterator[bytes],
    service: str = "acme/chat",
    where: str = "/v1/chat/completions",
    **more: str,
) -> int:
    headers = {
        "x-tidegate-captured": service,
        **{name.replace("_", "-"): text for name, text in more.items()},
    }
    with contextlib.closing(UnixConnection(path)) as connection:
        connection.request("POST", where, body=body, headers=headers)
        return connection.getresponse().status


def test_a_copy_is_answered_and_kept(path: Path, kept: Kept):
    assert send(path, b"{}") == 204
    assert kept.found.get(timeout=WAIT_S) == (CHAT, b"{}")


def test_a_copy_in_chunks_is_kept_whole(path: Path, kept: Kept):
    assert send(path, iter([b'{"a":', b" 1}"])) == 204
    assert kept.found.get(timeout=WAIT_S) == (CHAT, b'{"a": 1}')


def test_other_paths_strange_services_large_bodies_and_our_own_probe_are_not_kept(path: Path, kept: Kept):
    send(path, b"{}", where="/v1/models")
    send(path, b"{}", service="no-service")
    # It answers before it has read so much, and hangs up.
    with contextlib.suppress(OSError):
        send(path, b"x" * (MAX_BODY_BYTES + 1))
    send(path, b"{}", x_tidegate_client="tidegate-probe")
    send(path, b"last")
    assert kept.found.get(timeout=WAIT_S) == (CHAT, b"last")
    assert kept.found.empty()


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (Transient("the ledger does not answer"), "the ledger does not answer"),
        (TypeError("secret words are no list"), "TypeError"),
    ],
)
def test_one_that_cannot_be_kept_is_lost_and_the_next_one_is_not(
    path: Path, kept: Kept, caplog, trouble: Exception, told: str
):
    """Whatever it is: nothing that a client sends ends the sampling of all others."""
    kept.trouble.append(trouble)
    send(path, b"secret words")
    assert kept.lost.wait(WAIT_S)
    send(path, b"next")
    assert kept.found.get(timeout=WAIT_S) == (CHAT, b"next")
    assert told in caplog.text
    assert "secret words" not in caplog.text


def test_the_socket_is_its_owners_alone(path: Path, kept: Kept):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_who_hangs_up_in_the_middle_is_forgotten(path: Path, kept: Kept):
    with socket.socket(socket.AF_UNIX) as half:
        half.connect(str(path))
        half.sendall(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 100\r\n\r\nabc")
    send(path, b"whole")
    assert kept.found.get(timeout=WAIT_S) == (CHAT, b"whole")


def test_more_than_can_be_kept_is_dropped_and_never_waited_for(path: Path):
    sampler = Sampler(path, lambda copies: None)
    for _ in range(300):
        sampler.offer(CHAT, b"{}")
    assert sampler.dropped == 300 - 256


def test_without_a_service_that_samples_nothing_listens(path: Path):
    with sampling(None, Kept()):
        assert not path.exists()
