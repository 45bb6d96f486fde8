"""A short run of each fuzzer, bounded by executions and not by time, with a fixed seed. `make fuzz` runs longer."""

import platform
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[3]
RUNS = 1000
HAS_BUILDS = sys.platform == "linux" and platform.machine() == "x86_64"


# The fuzzer minds its peak memory, and a process that is started takes over that of the starter: here a shell's.
OWN_PEAK = ("/bin/sh", "-c", '"$@"; exit $?', "sh")


@pytest.mark.skipif(
    not HAS_BUILDS, reason="atheris is built for Linux on x86-64 only; the kept inputs run everywhere"
)
@pytest.mark.parametrize("target", TARGETS)
def test_a_short_run_finds_nothing(target: str, tmp_path: Path):
    assert find_spec("atheris"), (
        "atheris is missing although this platform has builds of it: run `make setup-dev`"
    )
    command = [
        *OWN_PEAK,
        sys.executable,
        "-m",
        "tests.fuzz",
        target,
        f"-runs={RUNS}",
        "-seed=1",
        f"--found={tmp_path}",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"stat::number_of_executed_units: {RUNS}" in done.stderr
