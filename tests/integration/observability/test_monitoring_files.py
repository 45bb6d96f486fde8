"""The committed files of Prometheus and Alertmanager, read by their own checkers."""

import subprocess
from pathlib import Path

import pytest

from deployments.setup.monitoring import MonitoringTools
from tidegate.access import load_organizations
from tidegate.observability.alertmanager_config import PAGE, TICKET
from tidegate.observability.monitoring_files import render_monitoring
from tidegate.observability.monitoring_settings import Mail, MonitoringSettings, OnCall

DEPLOYMENTS = Path(__file__).resolve().parents[3] / "deployments"
MONITORING = DEPLOYMENTS / "monitoring"
ALERTMANAGER = MONITORING / "alertmanager" / "alertmanager.yml"
DEADLINE_S = 300


def answer(*words: str | Path) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_prometheus_accepts_its_configuration_and_every_rule(tools: MonitoringTools) -> None:
    answer(tools.promtool, "check", "config", MONITORING / "prometheus" / "prometheus.yml")


def test_every_alert_fires_and_is_silent_when_its_tests_say_so(tools: MonitoringTools) -> None:
    answer(tools.promtool, "test", "rules", *sorted((MONITORING / "prometheus" / "tests").glob("*.yml")))


def test_alertmanager_accepts_its_configuration(tools: MonitoringTools) -> None:
    assert "1 templates" in answer(tools.amtool, "check-config", ALERTMANAGER)


def test_prometheus_and_alertmanager_accept_every_setting(tools: MonitoringTools, tmp_path: Path) -> None:
    settings = MonitoringSettings(
        engine_targets="http://127.0.0.1:8091/sd/engines",
        dead_man_url="https://dead-man.example/ping",
        mail=Mail(
            smarthost="mail.example:587",
            sender="a@b.example",
            username="a",
            password_file="/run/secrets/mail",
        ),
        on_call=OnCall(operators=("a@b.example",), organizations={"acme": ("c@d.example", "e@f.example")}),
    )
    render_monitoring(settings, ["acme"], MONITORING).write(tmp_path)

    answer(tools.promtool, "check", "config", "--syntax-only", tmp_path / "prometheus" / "prometheus.yml")
    answer(tools.amtool, "check-config", tmp_path / "alertmanager" / "alertmanager.yml")


def _organizations() -> list[str]:
    return sorted(load_organizations(DEPLOYMENTS / "organizations", DEPLOYMENTS / "policies"))


@pytest.mark.parametrize("severity", [PAGE, TICKET])
@pytest.mark.parametrize("org", [*_organizations(), "_installation", "an-organization-that-is-gone"])
def test_an_alert_goes_to_the_receiver_of_its_organization_and_severity(
    tools: MonitoringTools, org: str, severity: str
) -> None:
    owner = org if org in _organizations() else "operators"
    test = (tools.amtool, "config", "routes", "test", f"--config.file={ALERTMANAGER}")

    told = answer(*test, f"org={org}", f"severity={severity}", "service=chat", "alertname=AvailabilityBurn")

    assert told == f"{owner}/{severity}"


def test_the_watchdog_goes_to_whoever_listens_for_it_and_to_no_organization(tools: MonitoringTools) -> None:
    test = (tools.amtool, "config", "routes", "test", f"--config.file={ALERTMANAGER}")

    assert answer(*test, "alertname=Watchdog", "org=_installation", "severity=none") == "watchdog"
