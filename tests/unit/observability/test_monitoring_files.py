"""What Prometheus and Alertmanager are told of an installation, and that the committed files say it."""

from pathlib import Path
from typing import Any

import pytest

from tidegate.access import load_organizations
from tidegate.domain import InvalidInput
from tidegate.observability.alertmanager_config import alertmanager_config
from tidegate.observability.monitoring_files import render_monitoring
from tidegate.observability.monitoring_settings import Mail, MonitoringSettings, OnCall, load_monitoring
from tidegate.observability.prometheus_config import prometheus_config
from tidegate.steps.alerts import MAX_ALERTS

DEPLOYMENTS = Path(__file__).resolve().parents[3] / "deployments"
STANDING = DEPLOYMENTS / "monitoring"


def receivers(settings: MonitoringSettings, *organizations: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in alertmanager_config(settings, organizations)["receivers"]}


def test_the_committed_files_are_what_the_organizations_make_of_them() -> None:
    organizations = load_organizations(DEPLOYMENTS / "organizations", DEPLOYMENTS / "policies")
    files = render_monitoring(load_monitoring(STANDING / "monitoring.yaml"), organizations, STANDING)

    assert files.differing(STANDING) == [], "run: tidegate monitoring render --out deployments/monitoring"


def test_a_new_organization_gets_receivers_of_its_own() -> None:
    made = receivers(MonitoringSettings(), "acme", "globex")

    assert sorted(made) == [
        *("acme/page", "acme/ticket", "globex/page", "globex/ticket"),
        *("operators/page", "operators/ticket", "watchdog"),
    ]


def test_a_page_goes_by_mail_to_those_of_its_organization_who_are_on_call() -> None:
    settings = MonitoringSettings(
        mail=Mail(smarthost="127.0.0.1:25", sender="a@b.example"),
        on_call=OnCall(operators=("op@b.example",), organizations={"acme": ("x@acme.example",)}),
    )

    mailed = {
        name: [mail["to"] for mail in one.get("email_configs", ())]
        for name, one in receivers(settings, "acme", "globex").items()
    }

    assert {name: boxes for name, boxes in mailed.items() if boxes} == {
        "operators/page": ["op@b.example"],
        "acme/page": ["x@acme.example"],
    }


def test_without_a_mail_server_nothing_is_mailed() -> None:
    config = alertmanager_config(MonitoringSettings(on_call=OnCall(operators=("op@b.example",))), ["acme"])

    assert "global" not in config
    assert not any("email_configs" in one for one in config["receivers"])


def test_no_file_holds_a_secret_only_the_name_of_the_file_that_does() -> None:
    settings = MonitoringSettings(
        mail=Mail(
            smarthost="m.example:587", sender="a@b.example", username="a", password_file="/run/secrets/mail"
        )
    )

    config = alertmanager_config(settings, ["acme"])

    assert config["global"]["smtp_auth_password_file"] == "/run/secrets/mail"
    assert config["receivers"][0]["webhook_configs"][0]["http_config"]["authorization"] == {
        "type": "Bearer",
        "credentials_file": "/run/secrets/tidegate-alerts",
    }


def test_alerts_never_go_to_the_webhook_that_rolls_back() -> None:
    urls = {
        webhook["url"]
        for one in receivers(MonitoringSettings(console="https://console.example/"), "acme").values()
        for webhook in one.get("webhook_configs", ())
    }

    assert urls == {"https://console.example/v1/alerts/tell"}


def test_the_watchdog_is_heard_outside_when_somebody_listens() -> None:
    deaf = receivers(MonitoringSettings())["watchdog"]
    heard = receivers(MonitoringSettings(dead_man_url="https://dead-man.example/ping"))["watchdog"]

    assert deaf == {"name": "watchdog"}
    assert heard["webhook_configs"][0]["url"] == "https://dead-man.example/ping"


def test_engines_are_scraped_where_they_can_be_found_and_lose_their_colons() -> None:
    plain = prometheus_config(MonitoringSettings())
    with_engines = prometheus_config(MonitoringSettings(engine_targets="http://127.0.0.1:8091/sd/engines"))

    assert [job["job_name"] for job in plain["scrape_configs"]] == ["tidegate", "prometheus", "alertmanager"]
    engines = with_engines["scrape_configs"][-1]
    assert engines["http_sd_configs"] == [{"url": "http://127.0.0.1:8091/sd/engines"}]
    assert engines["metric_relabel_configs"][0]["replacement"] == "llamacpp_${1}"


def test_somebody_on_call_for_no_organization_is_refused() -> None:
    settings = MonitoringSettings(on_call=OnCall(organizations={"gone": ("x@gone.example",)}))

    with pytest.raises(InvalidInput, match="gone") as caught:
        render_monitoring(settings, ["acme"], STANDING)

    assert "acme" in caught.value.remedy


def test_only_files_that_differ_are_written(tmp_path: Path) -> None:
    files = render_monitoring(MonitoringSettings(), ["acme"], STANDING)

    first = files.write(tmp_path)
    (tmp_path / "alertmanager" / "alertmanager.yml").write_text("changed by hand")

    assert len(first) == len(files.texts)
    assert files.differing(tmp_path) == ["alertmanager/alertmanager.yml"]
    assert files.write(tmp_path) == ["alertmanager/alertmanager.yml"]
    assert files.write(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("exporter: not-an-address", "exporter"),
        ("console: ftp://x", "console"),
        ("mail: {smarthost: '127.0.0.1:25', sender: nobody}", "mail.sender"),
        ("on_call: {operators: ['two words@x']}", "on_call.operators.0"),
        ("colour: red", "colour"),
    ],
)
def test_a_wrong_setting_is_named(text: str, field: str, tmp_path: Path) -> None:
    file = tmp_path / "monitoring.yaml"
    file.write_text(text)

    with pytest.raises(InvalidInput, match=field) as caught:
        load_monitoring(file)

    assert caught.value.context["field"] == field


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"nowhere\.yaml"):
        load_monitoring(tmp_path / "nowhere.yaml")


def test_no_message_of_alertmanager_holds_more_alerts_than_the_console_takes():
    """A message that is refused is told to nobody, and of all nights the one with most alerts would be that night."""
    config = alertmanager_config(MonitoringSettings(on_call=OnCall()), ["acme"])
    hooks = [hook for one in config["receivers"] for hook in one.get("webhook_configs", ())]
    assert hooks
    assert {hook["max_alerts"] for hook in hooks} == {MAX_ALERTS}
