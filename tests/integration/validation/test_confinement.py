"""Children that die, hang, babble or eat memory, as real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tidegate.validation import confinement
from tidegate.validation.confinement import ChildLimits, ChildOutcome, run_confined

HEADER = """
import sys, os, time
from tidegate.validation.confinement import confine, limits_from_argv, say
limits, request = limits_from_argv(sys.argv)
confine(limits)
"""
# The wall clock is for a busy machine, where Python alone takes seconds to start; what hangs sleeps longer than this.
USUAL = ChildLimits(wall_s=120.0, cpu_s=10, address_space_bytes=1024**3)
LONG_S = 600


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a piece of code as a confined child."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def start(code: str, limits: ChildLimits = USUAL, **given: object) -> ChildOutcome:
        (tmp_path / "naughty_child.py").write_text(HEADER + code)
        return run_confined("naughty_child", {"x": 1}, limits, **given)

    return start


def test_a_child_that_answers_is_heard(run):
    outcome = run("say({'seen': request, 'in': sys.stdin.buffer.read().decode()})", stdin=b"hello")
    assert outcome.result == {"seen": {"x": 1}, "in": "hello"}
    assert outcome.problem == ""


def test_a_process_that_another_thread_is_just_starting_ends_no_child_early(
    run, monkeypatch: pytest.MonkeyPatch
):
    """A fork holds a copy of every pipe until it becomes another program; here it holds the input for good."""
    copies: list[int] = []

    class Forking(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **given: Any):
            super().__init__(*args, **given)
            assert self.stdin is not None
            copies.append(os.dup(self.stdin.fileno()))

    monkeypatch.setattr(subprocess, "Popen", Forking)
    outcome = run("time.sleep(0.2); say({'ok': 1})")
    for copy in copies:
        os.close(copy)
    assert len(copies) == 1
    assert (outcome.result, outcome.problem) == ({"ok": 1}, "")


def test_progress_is_passed_on(run):
    seen: list[tuple[int, int]] = []
    run(
        "say({'done': 1, 'total': 2}); say({'ok': 1})",
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 2)]


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("os.abort()", "SIGABRT"),
        ("os._exit(3)", "code 3"),
        ("raise SystemExit(0)", "without a result"),
        ("print('hello')", "no message"),
        ("print('[1, 2]')", "no message"),
        ("print('[' * 100000)", "no message"),
        (f"os.write(1, b'x' * (20 * 1024**2)); time.sleep({LONG_S})", "without end"),
        ("1 / 0", "without a result"),
    ],
)
def test_a_child_that_dies_or_babbles_is_an_outcome(run, code: str, problem: str):
    outcome = run(code)
    assert outcome.result is None
    assert problem in outcome.problem


def test_a_child_that_hangs_is_ended(run):
    assert "did not end within 2 s" in run(f"time.sleep({LONG_S})", ChildLimits(wall_s=2.0)).problem


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_child_is_ended_with_all_it_started(run):
    code = f"""
reader, writer = os.pipe()
if os.fork() == 0:
    print(os.getpid(), file=sys.stderr, flush=True)
    os.write(writer, b"x")
    time.sleep({LONG_S})
os.read(reader, 1)
print(os.getpid(), file=sys.stderr, flush=True)
print("nonsense", flush=True)
time.sleep({LONG_S})
"""
    outcome = run(code)
    assert "no message" in outcome.problem
    pids = [int(word) for word in outcome.stderr_tail.split() if word.isdigit()]
    assert len(pids) == 2
    # The kernel ends a killed grandchild a moment after the signal; what it must not do is sleep out its time.
    deadline = time.monotonic() + 60
    while left := [pid for pid in pids if is_running(pid)]:
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.02)


def test_a_child_that_closes_its_output_and_stays_is_ended(run):
    outcome = run(f"os.close(1); os.close(2); time.sleep({LONG_S})")
    assert outcome.result is None
    assert "did not end" in outcome.problem


@pytest.mark.skipif(sys.platform != "linux", reason="address space cannot be limited elsewhere")
def test_memory_and_processor_time_are_limited_by_the_kernel(run):
    assert "MemoryError" in run("bytearray(2 * 1024**3)").stderr_tail
    ended = run("while True: pass", ChildLimits(wall_s=300.0, cpu_s=2))
    assert (ended.exit_code, ended.is_unfinished) == (-signal.SIGXCPU, False)


def test_what_a_busy_machine_may_have_done_is_told_from_what_the_work_did(run):
    assert run("os.kill(os.getpid(), 9)").is_unfinished
    assert run(f"time.sleep({LONG_S})", ChildLimits(wall_s=0.5)).is_unfinished
    assert not run("print('no message')").is_unfinished
    assert not run("say({'ok': 1})").is_unfinished


def test_a_child_cannot_write_files_or_see_our_environment(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TIDEGATE_TEST_TOKEN", "do-not-show")
    outcome = run(f"say({{'env': sorted(os.environ)}}); open({str(tmp_path / 'out')!r}, 'w').write('x')")
    assert outcome.result is not None
    assert "TIDEGATE_TEST_TOKEN" not in outcome.result["env"]
    assert not (tmp_path / "out").exists() or (tmp_path / "out").read_text() == ""


def test_nothing_is_left_open(run):
    before = set(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else set()
    for _ in range(3):
        run("say({'ok': 1})")
    after = set(os.listdir("/proc/self/fd")) if before else set()
    assert len(after) <= len(before)
    assert confinement.SOURCE_ROOT.is_dir()
