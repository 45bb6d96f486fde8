"""Commands about notifications, in a home of their own, against a sink on this machine."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidegate.ledger import Ledger


@pytest.fixture
def hook() -> Iterator[tuple[str, list[bytes]]]:
    got: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/secret-path", got
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def notify(run: Any, tmp_path: Path, hook: tuple[str, list[bytes]]) -> Any:
    channels = {
        "hook": {"kind": "webhook", "address": "env:HOOK_URL", "allow_private": True},
        "broken": {"kind": "webhook", "address": "env:NOT_SET"},
        "team": {
            "kind": "chat",
            "address": "env:NOT_SET",
            "min_severity": "critical",
            "quiet_hours": {"start": "22:00", "end": "07:00", "timezone": "Europe/Berlin"},
        },
    }
    acme = {"name": "acme", "display_name": "Acme", "services": {"chat": {}}, "notifications": channels}
    for folder, text in (("organizations", yaml.safe_dump(acme)), ("policies", "")):
        path = tmp_path / "deployments" / folder / "acme.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text)

    def invoke(*arguments: str) -> Any:
        environ = {"TIDEGATE_DEPLOYMENTS_DIR": str(tmp_path / "deployments"), "HOOK_URL": hook[0]}
        return run("notify", *arguments, **environ)

    return invoke


def test_a_channel_that_works_is_told_and_history_shows_it(notify: Any, hook: tuple[str, list[bytes]]):
    told = notify("test", "acme/hook", "--json")
    assert told.exit_code == 0, told.output
    assert json.loads(hook[1][0])["events"][0]["kind"] == "test"
    (row,) = json.loads(notify("history", "acme/hook", "--json").stdout)
    assert (row["state"], row["to"], row["receipt"]) == ("sent", "acme/hook", "HTTP 204")
    assert "secret-path" not in told.output + notify("history").output + notify("channels", "--json").output


def test_every_channel_is_tried_and_what_fails_is_named_and_can_be_repeated(notify: Any):
    told = notify("test", "--all", "--json")
    assert told.exit_code == 1
    by_channel = {row["to"]: row for row in json.loads(told.stdout)}
    assert by_channel["acme/hook"]["state"] == "sent"
    assert by_channel["acme/broken"]["error"] == "there is no secret at 'env:NOT_SET' (its address)"
    assert json.loads(notify("history", "--state", "waiting", "--json").stdout)[0]["state"] == "waiting"
    again = notify("retry", by_channel["acme/broken"]["id"], "--json")
    assert json.loads(again.stdout)["state"] == "waiting"
    assert notify("retry", by_channel["acme/hook"]["id"]).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("test",),
        ("test", "acme/hook", "--all"),
        ("test", "acme/nobody"),
        ("test", "acme"),
        ("retry", "n-none"),
        ("history", "--state", "lost"),
        ("key", "acme/team"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(notify: Any, arguments: tuple[str, ...]):
    assert notify(*arguments).exit_code == 2


def test_channels_are_listed_with_what_and_when(notify: Any):
    rows = {row["channel"]: row for row in json.loads(notify("channels", "--json").stdout)}
    assert rows["acme/team"]["quiet"] == "22:00-07:00 Europe/Berlin"
    assert (rows["acme/team"]["from_severity"], rows["acme/hook"]["events"]) == ("critical", "all")
    assert "acme/hook" in notify("channels").stdout


def test_the_key_of_a_webhook_is_made_once_for_its_receiver(notify: Any):
    key = notify("key", "acme/hook").stdout.strip()
    assert key.startswith("whsec_")
    assert notify("key", "acme/hook").stdout.strip() == key


def test_titles_of_others_never_act_in_the_terminal(notify: Any, home: Path):
    from tidegate.domain.channel import ChannelRef
    from tidegate.domain.deliveries import Bundle, Sending
    from tidegate.domain.events import Event

    home.mkdir()
    at = datetime.now(UTC)
    with Ledger.open(f"sqlite:///{home / 'ledger.sqlite3'}") as ledger:
        hostile = {"key": "k", "kind": "hold", "severity": "info", "org": "acme", "topic": "t", "at": at}
        ledger.record_events([Event.model_validate(hostile | {"title": "\x1b[2J[red]x[/red]"})])
        ledger.route_events(lambda event: [ChannelRef("acme", "hook")])
        ledger.plan_channel(
            ChannelRef("acme", "hook"), "webhook", lambda found: Sending((Bundle(found.waiting),)), at
        )
    shown = notify("history").stdout
    assert "\x1b[2J" not in shown
    assert "[red]x[/red]" in shown
