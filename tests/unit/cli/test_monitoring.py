"""`tidegate monitoring`: render, and what `up` wants first. That `up` works is seen on a whole stack, in tests/e2e."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from tidegate.cli.app import app


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))

    def call(*words: str | Path):
        return CliRunner().invoke(app, ["monitoring", "render", *(str(word) for word in words)])

    return call


def test_a_folder_gets_everything_that_both_programs_read(run, tmp_path: Path) -> None:
    result = run("--out", tmp_path / "out")

    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["alertmanager", "prometheus"]
    routes = yaml.safe_load((tmp_path / "out/alertmanager/alertmanager.yml").read_text())["route"]["routes"]
    assert ['org="swaggystacks"'] in [route["matchers"] for route in routes]
    assert "written" in result.output


def test_check_changes_nothing_and_fails_when_something_differs(run, tmp_path: Path) -> None:
    first = run("--out", tmp_path / "out", "--check")
    run("--out", tmp_path / "out")
    second = run("--out", tmp_path / "out", "--check", "--json")

    assert first.exit_code == 1
    assert second.exit_code == 0, second.output
    assert json.loads(second.output)["changed"] == []


def test_a_wrong_setting_is_told_by_its_field(run, tmp_path: Path) -> None:
    (tmp_path / "monitoring.yaml").write_text("exporter: nowhere\n")

    result = run("--out", tmp_path / "out", "--settings", tmp_path / "monitoring.yaml")

    assert result.exit_code == 2
    assert "exporter" in result.output
    assert not (tmp_path / "out").exists()


def test_a_deployments_folder_without_rules_of_its_own_gets_those_of_tidegate(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in ("organizations", "policies"):
        (tmp_path / "own" / room).mkdir(parents=True)
    (tmp_path / "own/organizations/acme.yaml").write_text(
        "{name: acme, display_name: Acme, services: {chat: {}}}"
    )
    (tmp_path / "own/policies/acme.yaml").write_text("")
    monkeypatch.setenv("TIDEGATE_DEPLOYMENTS_DIR", str(tmp_path / "own"))
    settings = tmp_path / "monitoring.yaml"
    settings.write_text("{}")

    result = run("--out", tmp_path / "out", "--settings", settings)

    assert result.exit_code == 0, result.output
    assert (tmp_path / "out/prometheus/rules/services.yml").exists()


def test_without_a_stack_there_is_nothing_to_run_them_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))

    result = CliRunner().invoke(app, ["monitoring", "up"])

    assert result.exit_code == 1
    assert "tidegate up" in result.output
    assert not (tmp_path / "home" / "monitoring").exists()
