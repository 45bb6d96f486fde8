"""The commands that people and machines run are the same ones."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

TARGETS = {
    *("help", "setup", "demo", "test", "test-unit", "test-integration", "test-e2e"),
    *("lint", "format", "bench", "clean", "lock"),
}
PINNED_ACTION = re.compile(r"^[\w-]+/[\w-]+@[0-9a-f]{40}$")


def makefile_targets(root: Path) -> set[str]:
    text = (root / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9-]+):", text, flags=re.MULTILINE))


def commands_of(script: Path) -> list[str]:
    lines = script.read_text(encoding="utf-8").splitlines()
    return [
        line.removeprefix("exec ") for line in lines if line and not line.startswith(("#", "set ", "cd "))
    ]


def steps_of(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def workflows(root: Path) -> list[Path]:
    return sorted((root / ".github" / "workflows").glob("*.yml"))


def test_every_promised_target_exists_and_is_described(root: Path) -> None:
    told = subprocess.run(
        ["make", "-C", str(root), "--no-print-directory"], capture_output=True, text=True, check=True
    )

    assert makefile_targets(root) >= TARGETS
    assert all(f"make {target} " in told.stdout for target in TARGETS)


def test_the_readme_shows_two_commands_and_ci_runs_the_second(root: Path) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")

    shown = re.findall(r"^(?:\$ )?(make [a-z-]+)\s*(?:#.*)?$", readme, flags=re.MULTILINE)

    assert shown[:2] == ["make demo", "make test"]
    assert commands_of(root / ".ci" / "run") == ["make test"]


def test_the_ci_script_can_be_executed(root: Path) -> None:
    assert os.access(root / ".ci" / "run", os.X_OK)


def test_workflows_run_only_what_a_person_can_run_too(root: Path) -> None:
    known = makefile_targets(root)
    for workflow in workflows(root):
        for command in (step["run"] for step in steps_of(workflow) if "run" in step):
            words = command.split()
            assert command == ".ci/run" or (words[0] == "make" and words[1] in known), (
                f"{workflow.name}: {command}"
            )


def test_workflows_use_actions_by_their_full_hash(root: Path) -> None:
    used = [step["uses"] for workflow in workflows(root) for step in steps_of(workflow) if "uses" in step]

    assert used
    assert [action for action in used if not PINNED_ACTION.match(action)] == []


@pytest.mark.parametrize("name", ["checks.yml", "nightly.yml"])
def test_workflows_read_only_and_end_by_themselves(root: Path, name: str) -> None:
    workflow = yaml.safe_load((root / ".github" / "workflows" / name).read_text(encoding="utf-8"))

    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 90 for job in workflow["jobs"].values())


def test_checks_cover_every_python_that_the_project_declares(root: Path) -> None:
    declared = re.findall(r"Python :: (3\.\d+)", (root / "pyproject.toml").read_text(encoding="utf-8"))
    checks = yaml.safe_load((root / ".github" / "workflows" / "checks.yml").read_text(encoding="utf-8"))

    assert checks["jobs"]["test"]["strategy"]["matrix"]["python"] == declared
