"""The image that pods of the pool `gpu-runpod` run: what can be said of it without building it."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.runpod_worker.variables import COMMAND
from tests.integration.runpod_worker.flows_image import DOCKERFILE, IGNORED, copied, instructions, left_out
from tidegate.settings import SOURCE_ROOT

HOME = "/opt/tidegate"


def values(name: str) -> list[str]:
    return [arguments for instruction, arguments in instructions() if instruction == name]


def test_the_dockerfile_is_clean() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.exists():
        pytest.skip("hadolint is not installed")
    checked = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True)

    assert checked.returncode == 0, checked.stdout


def test_everything_that_is_copied_exists_and_is_sent_to_the_build() -> None:
    sent = {line.removeprefix("!") for line in IGNORED.read_text().splitlines() if line.startswith("!")}

    assert {source.rstrip("/") for source, _ in copied()} == sent
    assert [source for source, _ in copied() if not (SOURCE_ROOT / source).exists()] == []
    assert [path for path in left_out() if "*" not in path and not (SOURCE_ROOT / path).exists()] == []


def test_every_package_of_ours_is_in_it() -> None:
    packages = {path.parent.name for path in SOURCE_ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}

    assert packages <= {source.rstrip("/") for source, _ in copied()}


def test_it_is_set_up_as_on_every_machine_from_the_locked_packages() -> None:
    (set_up,) = [run for run in values("RUN") if "bootstrap.py" in run]

    assert "python deployments/setup/bootstrap.py --portable" in set_up
    assert (SOURCE_ROOT / "deployments" / "setup" / "requirements.txt").exists()


def test_it_starts_what_the_worker_type_and_the_pool_start() -> None:
    pool = json.loads((SOURCE_ROOT / "deployments" / "pools" / "gpu-runpod.json").read_text())
    (command,) = values("CMD")

    assert json.loads(command) == shlex.split(COMMAND)
    assert pool["base_job_template"]["job_configuration"]["command"] == COMMAND
    # With one, RunPod would hand it the command as arguments.
    assert values("ENTRYPOINT") == []


def test_it_runs_where_it_was_made_and_not_as_root() -> None:
    assert set(values("WORKDIR")) == {HOME}
    assert [line for line in values("COPY") if line.startswith("--from")] == [f"--from=build {HOME} {HOME}"]
    assert any(line.startswith(f"PATH={HOME}/.venv/bin:") for line in values("ENV"))
    assert values("USER") == ["10001"]
