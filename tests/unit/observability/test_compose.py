"""`compose.yaml` and Grafana's provisioning, without docker: that both are what their readers expect, and hold no secret."""

import json
import re
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
import yaml

from deployments.monitoring.grafana.drawing import Places
from tests.unit.observability.board_files import MONITORING
from tidegate.observability.monitoring_settings import load_monitoring

COMPOSE = MONITORING / "compose.yaml"
PROVISIONING = MONITORING / "grafana" / "provisioning"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]

of_each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def provisioned(kind: str) -> dict[str, Any]:
    (file,) = (PROVISIONING / kind).glob("*.yaml")
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Path inside -> path here, of what is mounted from this folder."""
    pairs = [mount.split(":") for mount in service["volumes"]]
    return {pair[1]: pair[0] for pair in pairs if pair[0].startswith(".")}


def test_compose_fits_its_schema() -> None:
    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"

    jsonschema.validate(yaml.safe_load(COMPOSE.read_text(encoding="utf-8")), json.loads(schema.read_text()))


@of_each_service
def test_an_image_is_pinned_to_one_version(service: dict[str, Any]) -> None:
    assert re.fullmatch(r"(prom|grafana)/\w+:v?\d+\.\d+\.\d+", service["image"])


@of_each_service
def test_a_service_listens_at_loopback_only(service: dict[str, Any]) -> None:
    assert service["network_mode"] == "host"
    assert "ports" not in service
    told = [word for word in service.get("command", ()) if word.startswith("--web.listen-address=")]
    address = told[0].partition("=")[2] if told else service["environment"]["GF_SERVER_HTTP_ADDR"] + ":"
    assert address.startswith("127.0.0.1:")


@of_each_service
def test_a_service_may_do_nothing_that_it_need_not(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert all(mount.endswith(":ro") for mount in service["volumes"] if mount.startswith("."))


@of_each_service
def test_everything_that_is_mounted_is_there(service: dict[str, Any]) -> None:
    assert [here for here in mounts(service).values() if not (MONITORING / here).exists()] == []


def test_addresses_are_those_of_the_standing_configuration() -> None:
    settings = load_monitoring(MONITORING / "monitoring.yaml")
    assert f"--web.listen-address={settings.prometheus}" in SERVICES["prometheus"]["command"]
    assert f"--web.listen-address={settings.alertmanager}" in SERVICES["alertmanager"]["command"]
    assert SERVICES["grafana"]["environment"]["TIDEGATE_PROMETHEUS_URL"] == f"http://{settings.prometheus}"
    (token,) = SERVICES["alertmanager"]["secrets"]
    assert settings.alert_token_file == f"/run/secrets/{token['target']}"


def test_grafana_finds_its_boards_and_shows_the_runbooks_that_they_link() -> None:
    inside = mounts(SERVICES["grafana"])
    (provider,) = provisioned("dashboards")["providers"]
    assert inside[provider["options"]["path"]] == "./grafana/dashboards"
    assert inside["/etc/grafana/provisioning"] == "./grafana/provisioning"
    public = f"/usr/share/grafana{Places().docs}/operations"
    assert (MONITORING / inside[public] / "runbooks" / "NoSetReady.md").is_file()
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (MONITORING / "grafana" / "dashboards" / home.rpartition("/")[2]).is_file()


def test_what_is_provisioned_cannot_be_changed_by_a_click() -> None:
    (provider,) = provisioned("dashboards")["providers"]
    (source,) = provisioned("datasources")["datasources"]
    assert provider["allowUiUpdates"] is False
    assert source["editable"] is False
    assert source["url"] == "$TIDEGATE_PROMETHEUS_URL"


def test_no_password_stands_in_any_of_them() -> None:
    for file in (COMPOSE, *PROVISIONING.rglob("*.yaml")):
        for line in file.read_text(encoding="utf-8").splitlines():
            if re.search(r"password|token|secret", line, re.IGNORECASE) and not line.lstrip().startswith("#"):
                assert re.search(r"/run/secrets/|^\s*secrets:|_FILE:\?|target: |__FILE", line), line
