"""The short list of chaos drills on one real stack: what was broken comes back, and no client pays for it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tidegate.stack.processes import MARK

pytestmark = pytest.mark.e2e

SHORT_LIST = ["kill-flow", "kill-agent", "kill-envoy", "kill-engine-candidate"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a short name: the path of a socket may have about a hundred letters."""
    with tempfile.TemporaryDirectory(prefix="tg-") as name:
        yield Path(name)


def test_the_short_list_loses_no_request_that_had_a_healthy_way_and_leaves_nothing_behind(folder: Path):
    """A busy machine may leave drills unjudged (exit code 3): seconds that say nothing, a release whose measurement
    was too noisy. Broken it leaves none."""
    report = folder / "drills.md"
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "PREFECT_"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "tidegate.cli", "drill", "--json", "--report", str(report)],
        env=kept | {"TIDEGATE_HOME": str(folder / "home"), "TMPDIR": str(folder)},
        capture_output=True, text=True, timeout=1500, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert "drills" in told, told
    by_name = {one["drill"]: one for one in told["drills"]}
    assert sorted(by_name) == sorted(SHORT_LIST)
    for name, one in by_name.items():
        assert one["verdict"] != "broken", (name, one)
        lost = one["requests"]["failed"] + one["requests"]["truncated"]
        assert lost == one["requests"]["allowed_to_fail"], (name, one)
    # It needs no release, so that nothing but the fault itself can keep it from being played.
    envoy = by_name["kill-envoy"]
    assert envoy["requests"]["answered"] > 0, envoy
    assert envoy["recovery_s"] is not None, envoy
    assert "# Chaos drills" in report.read_text(encoding="utf-8")
    assert left_behind(folder) == []


def left_behind(folder: Path) -> list[str]:
    """Processes of a stack below this folder."""
    found: list[str] = []
    for process in psutil.process_iter():
        try:
            if str(process.environ().get(MARK, "")).startswith(str(folder)):
                found.append(f"{process.pid} {' '.join(process.cmdline())[:120]}")
        except psutil.Error:
            continue
    return found
