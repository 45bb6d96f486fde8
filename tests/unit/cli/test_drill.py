"""`tidegate drill` before anything is started: what there is, and what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tidegate.settings import SOURCE_ROOT


def test_the_list_names_every_fault_with_what_must_come_of_it(run: Any):
    result = run("drill", "--list", "--json")
    assert result.exit_code == 0
    told = {one["name"]: one for one in json.loads(result.stdout)}
    assert {"kill-flow", "kill-emulator", "cut-database", "disk-full", "stale-owner", "no-capacity"} <= set(
        told
    )
    assert all(one["fault"] and one["expected"] and one["promised_s"] > 0 for one in told.values())
    assert "kill-flow" in run("drill", "--list").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("kill-moon",), "There is no drill 'kill-moon'"),
        (("kill-flow", "--all"), "Name drills, or say --all"),
        (("kill-flow", "--report", "drills.html"), "neither in .md nor in .json"),
        (("kill-flow", "--service", "swaggystacks/nothing"), "There is no service swaggystacks/nothing"),
    ],
)
def test_wrong_input_ends_with_exit_code_2_and_starts_nothing(
    run: Any, arguments: tuple[str, ...], says: str
):
    result = run("drill", *arguments)
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_service_in_production_is_refused_with_the_two_ways_out(run: Any, tmp_path: Path):
    deployments = tmp_path / "deployments"
    for name in ("organizations", "policies"):
        shutil.copytree(SOURCE_ROOT / "deployments" / name, deployments / name)
    file = deployments / "organizations" / "swaggystacks.yaml"
    file.write_text(file.read_text().replace("stage: demo", "stage: production"))
    result = run("drill", "kill-flow", TIDEGATE_DEPLOYMENTS_DIR=str(deployments))
    assert result.exit_code == 2
    assert "stage: staging" in result.stderr
    assert "--allow swaggystacks/support-chat" in result.stderr
