"""Every command that judges ends with the same code for the same thing."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidegate.cli.judging import exit_code
from tidegate.domain import Verdict

Run = Callable[..., Any]
DEMO = Path(__file__).parents[3] / "deployments" / "demo"


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([], 0),
        ([Verdict.PASS], 0),
        ([Verdict.PASS, Verdict.FAIL, Verdict.NOT_JUDGED], 1),
        ([Verdict.NOT_JUDGED, Verdict.ERROR], 1),
        ([Verdict.PASS, Verdict.NOT_JUDGED], 3),
    ],
)
def test_the_worst_verdict_is_the_exit_code(verdicts: list[Verdict], code: int):
    assert exit_code(verdicts) == code


@pytest.mark.parametrize(
    "command",
    [
        ("quality", "run", "http://127.0.0.1:9/v1", str(DEMO / "banks" / "pipit.jsonl")),
        ("drift", "http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1"),
        ("bench", "http://127.0.0.1:9/v1", "--duration", "1s", "--no-store"),
    ],
)
def test_a_server_that_does_not_answer_is_no_regression(run: Run, command: tuple[str, ...]):
    done = run(*command)
    assert (done.exit_code, "Traceback" in done.stderr) == (3, False), done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("http://user:pw-canary@h/v1", "http://h/v1"), "everyone who lists processes"),
        (("http://h/v1?key=pw-canary", "http://h/v1"), "everyone who lists processes"),
        (("http://h/v1", "http://h/v1", "--key-env", "pw-canary"), "The variable is not set"),
    ],
)
def test_drift_takes_no_secret_from_the_command_line_and_repeats_none(
    run: Run, arguments: tuple[str, ...], said: str
):
    done = run("drift", *arguments)
    assert (done.exit_code, said in done.stderr) == (2, True)
    assert "pw-canary" not in done.stdout + done.stderr


def test_a_reader_that_has_seen_enough_changes_no_exit_code():
    done = subprocess.run(
        f"{sys.executable} -c 'from tidegate.cli.output import say; "
        '[say("x" * 1000) for _ in range(200)]; raise SystemExit(7)\' | head -1 >&2; exit ${PIPESTATUS[0]}',
        shell=True, executable="/bin/bash", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n"), "Traceback" in done.stderr) == (7, 1, False)
