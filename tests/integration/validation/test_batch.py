"""Several files at once, each read by its own confined child."""

import os
import threading
from pathlib import Path

import pytest

from tests.unit.gguf.writer import tiny_llama
from tidegate.domain import Policy
from tidegate.validation import Recommendation, ValidationReport, validate_artifact, validate_many
from tidegate.validation.confinement import Cancellation, ChildLimits, cancellable, run_confined

SMALL = Policy.model_validate({"artifact": {"min_bytes": 0}})
SLEEPER = "tidegate.validation.render_child"


def _validate(path: Path, progress: object) -> ValidationReport:
    return validate_artifact(path, SMALL, expected_digest=None, context_tokens=256, parallel=1)


def test_results_come_in_the_order_of_the_files(tmp_path: Path):
    sound, broken = tmp_path / "sound.gguf", tmp_path / "broken.gguf"
    sound.write_bytes(tiny_llama().encode())
    broken.write_bytes(b"GGUF")
    reports = validate_many([sound, broken], _validate)
    assert [report.recommendation is Recommendation.DO_NOT_DEPLOY for report in reports] == [False, True]


def test_progress_names_the_file(tmp_path: Path):
    seen: list[tuple[str, int, int]] = []

    def report(path: Path, tell: object) -> str:
        assert callable(tell)
        tell(1, 2)
        return path.name

    names = validate_many(
        ["a", "b"], report, workers=2, progress=lambda path, *how_far: seen.append((path.name, *how_far))
    )
    assert names == ("a", "b")
    assert sorted(seen) == [("a", 1, 2), ("b", 1, 2)]


def test_one_failure_ends_the_children_of_all_others():
    started = threading.Event()
    reading, writing = os.pipe()

    def wait_for_ever(path: Path, tell: object) -> str:
        if path.name == "fails":
            assert started.wait(30)
            raise ValueError("no file")
        started.set()
        # A child that reads from a pipe into which nobody writes runs until it is killed.
        ended.append(run_confined(SLEEPER, {}, ChildLimits(wall_s=60.0), stdin=reading).problem)
        return ""

    ended: list[str] = []
    try:
        with pytest.raises(ValueError, match="no file"):
            validate_many(["fails", "waits"], wait_for_ever, workers=2)
    finally:
        os.close(reading)
        os.close(writing)
    assert ["SIGKILL" in problem for problem in ended] == [True]


def test_a_child_started_after_the_end_is_ended_at_once():
    cancellation = Cancellation()
    cancellation.cancel()
    with cancellable(cancellation):
        assert "SIGKILL" in run_confined(SLEEPER, {}, ChildLimits()).problem
