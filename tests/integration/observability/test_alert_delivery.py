"""From a metric to a notice, with the real Prometheus and Alertmanager: the right alert, at the right organization only."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from deployments.setup.monitoring import MonitoringTools
from tests.integration.observability.processes import get, hurry, process, wait_for
from tests.integration.observability.sinks import Outside, outside
from tidegate.observability.monitoring_files import render_monitoring
from tidegate.observability.monitoring_settings import Mail, MonitoringSettings, OnCall
from tidegate.stack.port_choice import choose_ports

STANDING = Path(__file__).resolve().parents[3] / "deployments" / "monitoring"
ORGANIZATIONS = ("swaggystacks", "scientiacapital")
TOKEN = "what the console wants to hear"


@pytest.fixture
def world() -> Iterator[Outside]:
    with outside() as made:
        yield made


def metrics(swaggystacks_ready: int) -> str:
    """`swaggystacks/support-chat` loses its only set, so that probes fail, too. The other's probes alone fail."""
    chat, desk = 'org="swaggystacks",service="support-chat"', 'org="scientiacapital",service="research-desk"'
    backup = "tidegate_backup_last_success_timestamp_seconds"
    return "\n".join(
        [
            f'tidegate_set_state{{{chat},set="a",slot="stable",state="ready"}} {swaggystacks_ready}',
            f'tidegate_probe_success{{{chat},slot="stable"}} {swaggystacks_ready}',
            f'tidegate_set_state{{{desk},set="b",slot="stable",state="ready"}} 1',
            f'tidegate_probe_success{{{desk},slot="stable"}} 0',
            f'tidegate_release_state{{{chat},state="baking"}} 1',
            f'tidegate_release_info{{{chat},model="pipit",version="v4"}} 1',
            f"tidegate_reconcile_last_success_timestamp_seconds {time.time()}",
            *(f'{backup}{{step="{step}"}} {time.time()}' for step in ("made", "verified")),
            "",
        ]
    )


@pytest.fixture
def alertmanager(world: Outside, tools: MonitoringTools, tmp_path: Path) -> Iterator[str]:
    """Both run with the rendered files; only the waiting times are shorter."""
    ports = choose_ports(tmp_path, {"prometheus": 24300, "alertmanager": 24400}, "127.0.0.1")
    addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    (tmp_path / "token").write_text(TOKEN)
    settings = MonitoringSettings(
        exporter=world.http,
        console=f"http://{world.http}",
        alert_token_file=str(tmp_path / "token"),
        mail=Mail(smarthost=world.smtp, sender="alerts@tidegate.example", require_tls=False),
        on_call=OnCall(organizations={"swaggystacks": ("on-call@swaggystacks.example",)}),
        **addresses,
    )
    files = render_monitoring(settings, ORGANIZATIONS, STANDING)
    files.write(tmp_path)
    _hurry(tmp_path)
    with ExitStack() as running:
        for words, folder in (
            (
                [
                    tools.alertmanager,
                    f"--config.file={tmp_path}/alertmanager/alertmanager.yml",
                    f"--storage.path={tmp_path}/alertmanager-data",
                    f"--web.listen-address={addresses['alertmanager']}",
                    "--cluster.listen-address=",
                ],
                "alertmanager",
            ),
            (
                [
                    tools.prometheus,
                    f"--config.file={tmp_path}/prometheus/prometheus.yml",
                    f"--storage.tsdb.path={tmp_path}/prometheus-data",
                    f"--web.listen-address={addresses['prometheus']}",
                ],
                "prometheus",
            ),
        ):
            log = tmp_path / f"{folder}.log"
            running.enter_context(process(words, log))
            wait_for(lambda at=addresses[folder]: get(f"http://{at}/-/ready") is not None, log.read_text)
        yield addresses["alertmanager"]


def test_an_alert_reaches_its_organization_alone_and_what_follows_from_it_reaches_nobody(
    world: Outside, alertmanager: str
) -> None:
    world.metrics = metrics(swaggystacks_ready=0)

    wait_for(lambda: world.arrived("swaggystacks/page"), lambda: f"{world.notices} {_alerts(alertmanager)}")
    wait_for(lambda: world.arrived("scientiacapital/page"), lambda: str(world.notices))
    wait_for(lambda: _suppressed(alertmanager), lambda: str(_alerts(alertmanager)))
    wait_for(lambda: world.mails, lambda: str(world.notices))

    assert {name for name, _ in world.arrived("swaggystacks/page")} == {"NoSetReady"}
    assert {name for name, _ in world.arrived("scientiacapital/page")} == {"ServiceUnreachable"}
    assert {notice.path for notice in world.notices} == {"/v1/alerts/tell"}
    for notice in world.notices:
        orgs = {alert["labels"]["org"] for alert in notice.body["alerts"]}
        owner = notice.body["receiver"].partition("/")[0]
        assert orgs == {"_installation" if owner == "operators" else owner}
    assert {notice.authorization for notice in world.notices} == {f"Bearer {TOKEN}"}
    assert _suppressed(alertmanager) == {("ServiceUnreachable", "swaggystacks")}
    to, mail = world.mails[0]
    assert to == "on-call@swaggystacks.example"
    assert "Subject: [FIRING] swaggystacks/support-chat: NoSetReady" in mail
    for words in ("state baking", "towards pipit:v4", "docs/operations/runbooks/NoSetReady.md"):
        assert words in " ".join(mail.replace("=\n", "").split())

    world.metrics = metrics(swaggystacks_ready=1)

    wait_for(
        lambda: ("NoSetReady", "resolved") in world.arrived("swaggystacks/page"),
        lambda: str(world.notices),
    )


def _hurry(folder: Path) -> None:
    """Scrape every two seconds, judge every second; group for a moment only; alerts on services wait for nothing."""
    hurry(
        folder,
        ("prometheus/prometheus.yml", r"evaluation_interval: \d+s", "evaluation_interval: 1s"),
        # A scrape that comes too late on a busy machine is a gap: twice a second would be quicker, and less sure.
        ("prometheus/prometheus.yml", r"scrape_(interval|timeout): \d+s", r"scrape_\1: 2s"),
        ("prometheus/rules/services.yml", r"for: \d+m", "for: 0s"),
        ("alertmanager/alertmanager.yml", r"group_(wait|interval): \w+", r"group_\1: 1s"),
    )


def _alerts(alertmanager: str) -> list[dict[str, Any]]:
    return json.loads(get(f"http://{alertmanager}/api/v2/alerts") or b"[]")


def _suppressed(alertmanager: str) -> set[tuple[str, str]]:
    return {
        (alert["labels"]["alertname"], alert["labels"]["org"])
        for alert in _alerts(alertmanager)
        if alert["status"]["inhibitedBy"]
    }
