"""The real stack: up, healthy, up again, killed supervisor, down, nothing left. One start for all tests here."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tidegate.settings import SOURCE_ROOT
from tidegate.stack.launching import running_stack
from tidegate.stack.processes import MARK
from tidegate.stack.record import read_record

COMMAND_TIMEOUT_S = 600
pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Installation:
    """One home and the command that works on it."""

    home: Path

    def tidegate(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PREFECT_", "TIDEGATE_"))
        }
        env |= {"TIDEGATE_HOME": str(self.home), "COLUMNS": "200", "PYTHONPATH": str(SOURCE_ROOT)}
        return subprocess.run(
            [sys.executable, "-m", "tidegate.cli", *arguments],
            env=env,
            cwd=self.home.parent,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
        )

    def processes(self) -> list[psutil.Process]:
        """Everything of this home that lives, found by its mark or by a path of the home on its command line."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                is_marked = process.environ().get(MARK) == str(self.home)
                is_named = any(str(self.home) in word for word in process.cmdline())
                if (is_marked or is_named) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("stack") / "home")
    done = installation.tidegate("up")
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        yield installation
    finally:
        ended = installation.tidegate("down")
        left = installation.processes()
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert left == []


def statuses(installation: Installation) -> dict[str, str]:
    answer = json.loads(installation.tidegate("status", "--json").stdout)
    return {process["name"]: process["status"] for process in answer["processes"]}


def test_every_process_is_ready_and_the_doctor_finds_nothing(installation: Installation):
    assert statuses(installation) == {
        "prefect": "ready",
        "gateway": "ready",
        "platform": "ready",
        "console": "ready",
        "notifier": "ready",
        "exporter": "ready",
        "health": "ready",
        "bootstrap": "done",
        "flow-host": "ready",
        "worker-control": "ready",
        "worker-gpu": "ready",
    }
    checkup = installation.tidegate("doctor", "--json")
    assert checkup.returncode == 0, checkup.stdout


def test_a_second_up_reports_the_first(installation: Installation):
    before = running_stack(installation.home)

    again = installation.tidegate("up", "--json")

    assert again.returncode == 0
    assert json.loads(again.stdout)["already_up"] is True
    assert running_stack(installation.home) == before


def test_no_secret_is_in_any_file_but_its_own_or_on_a_command_line(installation: Installation):
    secrets = {path.read_text().strip() for path in (installation.home / "secrets").iterdir()}
    lines = command_lines(installation)
    assert len(lines) > 5
    for line in lines:
        assert not any(secret in line for secret in secrets)
    for path in [installation.home / "stack.json", *(installation.home / "logs").iterdir()]:
        text = path.read_text(errors="replace")
        assert not any(secret in text for secret in secrets), path


def command_lines(installation: Installation) -> list[str]:
    """Of all that live; one that ended since it was found has none any more."""
    lines: list[str] = []
    for process in installation.processes():
        with contextlib.suppress(psutil.Error):
            lines.append(" ".join(process.cmdline()))
    return lines


def test_prefect_refuses_callers_without_the_credential(installation: Installation):
    import httpx

    stack = running_stack(installation.home)
    assert stack is not None
    reply = httpx.post(f"{stack.urls['prefect']}/api/flows/filter", json={}, trust_env=False, timeout=60)

    assert reply.status_code == 401


def test_a_killed_worker_is_started_again(installation: Installation):
    def worker() -> Any:
        stack = running_stack(installation.home)
        return stack.process("worker-control") if stack else None

    before = worker()
    os.kill(before.identity.pid, signal.SIGKILL)

    wait_for(lambda: worker().restarts == before.restarts + 1 and worker().status == "ready")


def test_after_the_supervisor_was_killed_up_takes_the_stack_over(installation: Installation):
    before = running_stack(installation.home)
    assert before is not None
    os.kill(before.supervisor.pid, signal.SIGKILL)
    wait_for(lambda: running_stack(installation.home) is None)

    again = installation.tidegate("up", "--json")

    assert again.returncode == 0, again.stdout + again.stderr
    after = read_record(installation.home)
    assert after is not None
    for name in (
        "prefect",
        "gateway",
        "platform",
        "console",
        "notifier",
        "exporter",
        "flow-host",
        "worker-control",
        "worker-gpu",
    ):
        assert after.process(name).identity == before.process(name).identity, name


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "not within 120 s"
        time.sleep(0.1)
