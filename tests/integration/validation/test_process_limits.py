"""No input makes the process that reads it exceed a stated memory and time, or flood the report.

What the kernel counted is asserted, not the clock: the limits themselves are the kernel's as well.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.corpus import corpus
from tests.integration.validation.heavy import HEAVY
from tidegate.gguf import LIMITS
from tidegate.validation.confinement import SOURCE_ROOT, ChildLimits, run_confined

PEAK_MIB = 150
CPU_S_OF_A_SMALL_FILE = 5.0
EACH = 10
# The worst of `HEAVY`; each costs a start of the child.
ALONE = (
    "one string of 39 MiB", "four million empty tokens", "two million merges", "65536 tensors",
    "safetensors: 65536 tensors",
)  # fmt: skip

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="ru_maxrss is in other units there")


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the real child used for each file of `ALONE`."""
    folder = tmp_path_factory.mktemp("heavy")
    paths = {name: folder / f"{number}" for number, name in enumerate(ALONE)}
    for name, path in paths.items():
        path.write_bytes(HEAVY[name]())
    command = [sys.executable, "-m", "tests.integration.validation.measured", *map(str, paths.values())]
    done = subprocess.run(command, cwd=SOURCE_ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    rows = {row["path"]: row for row in map(json.loads, done.stdout.splitlines())}
    for path in paths.values():
        path.unlink()
    return {name: rows[str(path)] for name, path in paths.items()}


@pytest.mark.parametrize("name", ALONE)
def test_the_child_stays_within_its_memory_and_time_and_answers(name: str, costs: dict[str, dict[str, Any]]):
    cost = costs[name]
    assert cost["problem"] == ""
    assert cost["peak_kib"] < PEAK_MIB * 1024
    assert cost["cpu_s"] < cost["cpu_limit_s"]
    assert cost["findings"] <= LIMITS.max_findings


def test_a_sample_of_the_corpus_in_one_process_stays_within_the_same_memory(tmp_path: Path):
    for number, case in enumerate(corpus()):
        if isinstance(case.content, bytes) and number % EACH == 0:
            (tmp_path / f"{number:05}-{case.name.replace('/', '-')[:200]}").write_bytes(case.content)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        outcome = run_confined(
            "tests.integration.validation.corpus_child",
            {"folder": descriptor},
            ChildLimits(wall_s=900, cpu_s=240),
            inherit=(descriptor,),
        )
    finally:
        os.close(descriptor)
    assert outcome.result is not None, f"{outcome.problem}: {outcome.stderr_tail}"
    seen = outcome.result
    assert seen["files"] > 100
    assert seen["most"][0] < PEAK_MIB * 1024**2, seen["most"]
    assert seen["slowest"][0] < CPU_S_OF_A_SMALL_FILE, seen["slowest"]
    assert seen["flooding"][0] <= LIMITS.max_findings, seen["flooding"]
