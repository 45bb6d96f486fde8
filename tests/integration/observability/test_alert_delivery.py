"""From something that breaks to the people whom it concerns: exporter, Prometheus, Alertmanager, console, notifier, mail.

All of them are the real programs with the real rules; only waiting times are shorter. What breaks are rows of the ledger,
written as Tidegate writes them, of one organization of three. One start for everything: it takes most of the time.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deployments.setup.monitoring import MonitoringTools
from tests.integration.observability.asking_boards import FILES, Prometheus, asked, load, questions
from tests.integration.observability.broken_world import (
    ACME,
    CHAT,
    DESK,
    GLOBEX,
    HOUSE,
    OF_GLOBEX,
    World,
    a_healthy_world,
)
from tests.integration.observability.processes import get, hurry, process, wait_for
from tests.integration.observability.sinks import People, people
from tidegate.observability.alertmanager_config import INSTALLATION
from tidegate.observability.monitoring_files import render_monitoring
from tidegate.observability.monitoring_settings import Mail, MonitoringSettings, OnCall
from tidegate.observability.monitors import keep_token, monitors
from tidegate.stack.port_choice import choose_ports

STANDING = Path(__file__).resolve().parents[3] / "deployments" / "monitoring"
ON_CALL = "on-call@acme.example"
PAGES = {"NoSetReady", "GatewayBehind", "AvailabilityBurn"}
TICKETS = {"ReleaseWaits", "EvalRegression", "DriftPersists"}


@dataclass
class Watched:
    """The world, whom it tells, and the programs between them."""

    world: World
    people: People
    prometheus: Prometheus
    alertmanager: str
    exporter: subprocess.Popen[Any]
    logs: list[Path]

    def comes(self, holds: Callable[[], object]) -> None:
        wait_for(holds, self.seen)

    def seen(self) -> str:
        """What a person would want to know of a test that fails."""
        ends = "\n".join(
            f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-8:]) for log in self.logs
        )
        names = {(one["labels"]["alertname"], one["labels"]["org"]) for one in self.alerts()}
        return f"told {self.people.told}\nat Alertmanager {names}\n{ends}"

    def alerts(self) -> list[dict[str, Any]]:
        return json.loads(get(f"http://{self.alertmanager}/api/v2/alerts") or b"[]")

    def held_back(self) -> set[tuple[str, str]]:
        """Alerts of which nobody is told, as their cause is known."""
        return {
            (one["labels"]["alertname"], one["labels"]["org"])
            for one in self.alerts()
            if one["status"]["inhibitedBy"] and one["labels"]["severity"] == "page"
        }


@pytest.fixture
def watched(tools: MonitoringTools, tmp_path: Path) -> Iterator[Watched]:
    wanted = {"prometheus": 24300, "alertmanager": 24400, "exporter": 24450, "console": 24470, "smtp": 24490}
    ports = choose_ports(tmp_path, wanted, "127.0.0.1")
    at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    with people(ports["smtp"]) as whom, a_healthy_world(tmp_path, whom) as world, ExitStack() as running:
        settings = MonitoringSettings(
            exporter=at["exporter"],
            prometheus=at["prometheus"],
            alertmanager=at["alertmanager"],
            console=f"http://{at['console']}",
            alert_token_file=str(tmp_path / "alert-token"),
            engine_targets=f"http://{at['exporter']}/sd/engines",
            mail=Mail(
                smarthost=f"127.0.0.1:{whom.smtp_port}", sender="alerts@house.example", require_tls=False
            ),
            on_call=OnCall(organizations={ACME: (ON_CALL,)}),
        )
        render_monitoring(settings, (ACME, GLOBEX, HOUSE), STANDING).write(tmp_path)
        shorten_waits(tmp_path)
        keep_token(tmp_path, world.alert_token())
        started = {
            "exporter": world.command("exporter", "--port", str(ports["exporter"])),
            "console": world.command("agent", "console", "--port", str(ports["console"])),
            "notifier": world.command("notifier"),
            **{
                one.name: list(one.words)
                for one in monitors(settings, tmp_path, tools.prometheus, tools.alertmanager)
            },
        }
        logs = {name: tmp_path / f"{name}.log" for name in started}
        alive = {
            name: running.enter_context(process(words, logs[name], world.environ))
            for name, words in started.items()
        }
        yield Watched(
            world,
            whom,
            Prometheus(at["prometheus"]),
            at["alertmanager"],
            alive["exporter"],
            list(logs.values()),
        )


def shorten_waits(folder: Path) -> None:
    """Scrape every two seconds, judge every second, wait for nothing, group for a moment. Nothing else differs."""
    hurry(
        folder,
        ("prometheus/prometheus.yml", r"evaluation_interval: \d+s", "evaluation_interval: 1s"),
        # A scrape that comes too late on a busy machine is a gap: twice a second would be quicker, and less sure.
        ("prometheus/prometheus.yml", r"scrape_(interval|timeout): \d+s", r"scrape_\1: 2s"),
        ("prometheus/rules/*.yml", r"for: \d+[mh]", "for: 0s"),
        ("prometheus/rules/*.yml", r"interval: 1m", "interval: 1s"),
        ("alertmanager/alertmanager.yml", r"group_(wait|interval): \w+", r"group_\1: 1s"),
    )


def test_what_breaks_is_told_to_those_whom_it_concerns_and_its_end_too(watched: Watched) -> None:
    world, whom = watched.world, watched.people

    # Prefect is away. That is the installation's trouble: its operators hear of it, and no organization.
    watched.comes(lambda: "CollectorStale" in whom.heard(HOUSE))
    assert (whom.heard(ACME), whom.heard(GLOBEX)) == (set(), set())

    world.a_release_waits_since_long_ago()
    world.its_traffic_goes_nowhere()
    world.clients_get(DESK, empty=5, c2xx=500, c5xx=500)
    world.clients_get(OF_GLOBEX, c2xx=1000)
    world.the_night_finds(CHAT, regression=True)
    world.reality_differs()
    watched.comes(lambda: whom.heard(ACME) >= PAGES | TICKETS)
    # What follows from a known cause is known, and told to nobody.
    world.probes_fail(CHAT, fail=True)
    watched.comes(lambda: watched.held_back() == {("ServiceUnreachable", ACME)})

    check_boards(watched)

    # In this order: a probe that fails without its cause would be told.
    world.probes_fail(CHAT, fail=False)
    world.nothing_is_routed()
    world.the_gateway_has(world.asked["generation"])
    world.the_release_ends()
    world.clients_get(DESK, c2xx=500_000)
    world.the_night_finds(CHAT, regression=False)
    world.reality_is_as_wanted()
    # The other one's turn: that it heard nothing until now was no deafness.
    world.the_night_finds(OF_GLOBEX, regression=True)
    watched.comes(lambda: whom.heard(ACME, resolved=True) >= PAGES | TICKETS)
    watched.comes(lambda: whom.heard(GLOBEX))

    watched.exporter.terminate()
    watched.comes(lambda: "ExporterDown" in whom.heard(HOUSE))

    assert whom.heard(ACME) == whom.heard(ACME, resolved=True) == PAGES | TICKETS
    assert whom.heard(GLOBEX) == {"EvalRegression"}
    assert {one.org for one in whom.told[ACME]} == {ACME}
    assert {one.org for one in whom.told[GLOBEX]} == {GLOBEX}
    assert {(one.org, one.labels["org"]) for one in whom.told[HOUSE]} == {(None, INSTALLATION)}
    desk = {one.alert for one in whom.told[ACME] if one.service == DESK.service}
    assert desk == {"AvailabilityBurn"}
    check_mails(whom)


def check_boards(watched: Watched) -> None:
    """What boards show only of a world where something is wrong. Of a healthy stack: tests/e2e/flows/test_monitoring.py."""
    trouble = {
        asked(one.expr)
        for file in FILES
        for one in questions(load(file))
        if "ALERTS_FOR_STATE" in one.expr or "tidegate_output_validation_failures_total" in one.expr
    }
    assert len(trouble) > 2
    for expr in trouble:
        watched.comes(lambda expr=expr: watched.prometheus.series(expr))


def check_mails(whom: People) -> None:
    """By the organization's channel, and pages also by Alertmanager itself, past Tidegate."""
    straight = {str(mail["Subject"]) for mail in whom.mailed(ON_CALL)}
    assert {subject.rpartition(" ")[2] for subject in straight} == PAGES
    assert "[FIRING] acme/chat: NoSetReady" in straight
    assert "[RESOLVED] acme/chat: NoSetReady" in straight
    assert {to for to, _ in whom.mails} == {
        ON_CALL,
        *(f"team@{org}.example" for org in (ACME, GLOBEX, HOUSE)),
    }
    (first, *_) = [mail for mail in whom.mailed("team@acme.example") if "NoSetReady" in mail["Subject"]]
    body = first.get_body(("plain",))
    assert body is not None
    text = " ".join(body.get_content().split())
    for words in ("state hold", "towards pipit:v4", "docs/operations/runbooks/NoSetReady.md"):
        assert words in text
