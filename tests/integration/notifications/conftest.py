"""A real mail server, a real HTTP sink, and an installation of one organization with channels to both."""

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from tidegate.domain.events import Event
from tidegate.notifying import Notifications, load
from tidegate.settings import Settings, load_settings

SIGNING_KEY = "whsec_" + base64.b64encode(b"signs-what-the-hook-gets-0123456").decode()
HOOK_TOKEN = "hook-token-that-nobody-may-see"
RECIPIENT = "on-call-person@example.org"


def wait_for(condition: Callable[[], Any], what: Callable[[], Any] = lambda: "") -> Any:
    """A condition, not a time: the deadline only ends a test that hangs."""
    waited = threading.Event()
    for _ in range(2400):
        found = condition()
        if found:
            return found
        waited.wait(0.05)
    raise AssertionError(f"not within two minutes: {what()}")


@dataclass
class Mailbox:
    """What a mail server took. `refuse` answers the text with this line instead; `drop` breaks off after the text."""

    port: int = 0
    mails: list[Any] = field(default_factory=list)
    refuse: str = ""
    drop: bool = False
    offered: int = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str | None:  # noqa: N802
        self.offered += 1
        if self.refuse:
            return self.refuse
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        if self.drop:
            server.transport.abort()
            return None
        return "250 queued as 1"


@dataclass
class Sink:
    """What an HTTP server was sent, in order. `answers` are statuses for the next requests; then it is 200."""

    server: ThreadingHTTPServer | None = None
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)

    @property
    def port(self) -> int:
        assert self.server is not None
        return self.server.server_address[1]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, _, body in self.requests]


def new_sink() -> Sink:
    sink = Sink()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            sink.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status, headers = sink.answers.pop(0) if sink.answers else (200, {})
            self.send_response(status)
            for name, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    sink.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sink.server.daemon_threads = True
    return sink


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = new_sink()
    assert made.server is not None
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def login(server: Any, session: Any, envelope: Any, mechanism: Any, data: Any) -> AuthResult:
    is_right = isinstance(data, LoginPassword) and data.password == b"mail-password-of-acme"
    return AuthResult(success=is_right, handled=False)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox(port=free_port())
    controller = Controller(box, hostname="127.0.0.1", port=box.port)
    controller.start()
    yield box
    controller.stop()


@dataclass
class Office:
    """An installation in a folder, and what its notifier works with."""

    settings: Settings
    environ: dict[str, str]
    channels: dict[str, dict[str, Any]]
    opened: list[Notifications] = field(default_factory=list)

    def open(self) -> Notifications:
        self.opened.append(load(self.settings))
        return self.opened[-1]

    def secret(self, name: str, value: str) -> None:
        folder = self.settings.secrets_dir
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / name
        path.write_text(value)
        path.chmod(0o600)

    def write(self) -> None:
        organization = {
            "name": "acme",
            "display_name": "Acme",
            "notifications": self.channels,
            "services": {"chat": {}},
        }
        path = self.settings.organizations_dir / "acme.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(organization))
        self.settings.policies_dir.mkdir(parents=True, exist_ok=True)
        (self.settings.policies_dir / "acme.yaml").write_text("")


@pytest.fixture
def office(tmp_path: Path, mailbox: Mailbox, sink: Sink) -> Iterator[Office]:
    environ = {
        "TIDEGATE_HOME": str(tmp_path / "home"),
        "TIDEGATE_DEPLOYMENTS_DIR": str(tmp_path / "deployments"),
    }
    server = {
        "host": "127.0.0.1",
        "port": mailbox.port,
        "security": "none",
        "sender": "tidegate@acme.example",
    }
    made = Office(
        load_settings(environ),
        environ,
        {
            "mail": {"kind": "email", "address": "acme-mail", "mail": server},
            "hook": {
                "kind": "webhook",
                "address": "acme-hook",
                "signing_key": "acme-hook-key",
                "allow_private": True,
            },
        },
    )
    made.secret("acme-mail", RECIPIENT)
    made.secret("acme-hook", f"http://127.0.0.1:{sink.port}/{HOOK_TOKEN}?sig={HOOK_TOKEN}2")
    made.secret("acme-hook-key", SIGNING_KEY)
    made.write()
    yield made
    for one in made.opened:
        one.ledger.close()


def happening(number: int = 1, **fields: Any) -> Event:
    values = {
        "key": f"k{number}",
        "kind": "hold",
        "severity": "critical",
        "org": "acme",
        "service": "chat",
        "topic": f"release/r-{number}",
        "title": f"event {number}",
        "at": datetime.now(UTC),
    }
    return Event.model_validate(values | fields)
