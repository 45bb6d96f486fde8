"""Whom a benchmark asks: what a server says of itself, and a service of this installation by its name."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.cli import bench_target
from tidegate.cli.bench_options import Access
from tidegate.cli.bench_target import Offered, Target, ask_models, find_target
from tidegate.domain import Refused, Secret, Transient

CANARY = "sk-canary-0123456789abcdef"


class Server(http.server.BaseHTTPRequestHandler):
    """Answers by its path, and takes one key."""

    def do_GET(self):
        status, body = {
            "/llama/models": (200, json.dumps({"data": [{"id": "pipit", "owned_by": "llamacpp"}]})),
            "/odd/models": (200, '{"data": 7}'),
            "/html/models": (200, "<html>"),
        }.get(self.path, (404, ""))
        if self.path.startswith("/locked") and self.headers["authorization"] != f"Bearer {CANARY}":
            status = 401
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        return None


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked here answers, however long a busy machine takes."""
    monkeypatch.setattr(bench_target, "ASK_TIMEOUT_S", 60.0)


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "offered"), [("llama", [Offered("pipit", "llamacpp")]), ("odd", []), ("html", []), ("none", [])]
)
def test_a_server_says_which_models_it_has_or_nothing(origin: str, path: str, offered: list[Offered]):
    assert ask_models(Target(f"{origin}/{path}", Secret(""))) == offered


def test_a_key_that_is_not_taken_is_told_before_the_load(origin: str):
    with pytest.raises(Refused, match="does not take this key") as caught:
        ask_models(Target(f"{origin}/locked", Secret("wrong")))
    assert "--key-env" in caught.value.remedy
    assert ask_models(Target(f"{origin}/locked", Secret(CANARY))) == []


def test_a_host_that_does_not_exist_is_told_before_the_load():
    with pytest.raises(Transient, match="cannot be reached"):
        ask_models(Target("http://127.0.0.1:9/v1", Secret(CANARY)))


def test_a_service_is_asked_through_the_gateway_with_the_key_of_its_organization(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIDEGATE_GATEWAY_URL", "http://gateway:8080")
    with pytest.raises(Refused, match="holds no key of swaggystacks"):
        find_target("swaggystacks/support-chat", Access(), "")
    monkeypatch.setenv("TIDEGATE_SECRET_ORG_SWAGGYSTACKS_API_KEY", CANARY)
    found = find_target("swaggystacks/support-chat", Access(), "")
    assert found.base_url == "http://gateway:8080/swaggystacks/support-chat/v1"
    assert (found.key.reveal(), str(found.ref), found.digest) == (CANARY, "swaggystacks/support-chat", None)
    assert CANARY not in repr(found)
    given = find_target("swaggystacks/support-chat", Access(key=Secret("mine")), "")
    assert given.key.reveal() == "mine"
