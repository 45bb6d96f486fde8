"""What a whole process writes: its own lines, what others print, what ends its threads and itself."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tidegate.log_files import open_log
from tidegate.observability.log_output import LogOutput, PrintedLines, error_line

SECRET = "sk-abcdefghijklmnop"
PROGRAM = """
import logging, os, sys, threading, warnings
from pathlib import Path
from tidegate.correlation import bind
from tidegate.log_files import rotate
from tidegate.observability.log_output import log_as_json

secret = sys.argv[1]
output = log_as_json("platform", os.environ)
log = logging.getLogger("tidegate.x")
with bind(org="acme", release_id="r-1"):
    log.warning("set %s failed", "s-1", extra={"duration_ms": 1.5})
output.say("agent is running")
print("printed", secret)
print('{"ts": "then", "event": "of a run", "token": "%s"}' % secret, file=sys.stderr)
print("no end ", end="")
print("yet")
warnings.warn(f"old {secret}")
log.info("told %d", secret)
logging.getLogger("httpx").info("HTTP Request: GET x")

def broken():
    raise ValueError(secret)

thread = threading.Thread(target=broken, name="addresses")
thread.start()
thread.join()
if os.environ.get("TIDEGATE_LOG_FILE"):
    rotate(Path(os.environ["TIDEGATE_LOG_FILE"]), max_bytes=0)
print("after the log was renamed")
broken()
"""


def run(tmp_path: Path, **environment: str) -> tuple[Path, int]:
    path = tmp_path / "platform.log"
    with open_log(path) as log:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, SECRET],
            stdout=log,
            stderr=log,
            env={"PATH": os.defpath, **environment},
            check=False,
        )
    return path, done.returncode


@pytest.fixture(scope="module")
def in_the_stack(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lines before and after the log was renamed."""
    folder = tmp_path_factory.mktemp("logs")
    path, code = run(folder, TIDEGATE_LOG_FILE=str(folder / "platform.log"))
    assert code == 1
    before, after = (one.read_text() for one in (path.with_name("platform.log.1"), path))
    assert SECRET not in before + after
    return [json.loads(line) for line in before.splitlines()], [
        json.loads(line) for line in after.splitlines()
    ]


def test_every_line_of_a_process_in_the_stack_is_json_and_without_secrets(in_the_stack: Any):
    before, _ = in_the_stack

    assert [line["event"] for line in before] == [
        "set %s failed",
        "agent is running",
        "printed [redacted]",
        "of a run",
        "no end yet",
        "<string>:18: UserWarning: old [redacted]",
        "told %d",
        "thread %s was ended by an error",
    ]
    assert {line["process"] for line in before if line["event"] != "of a run"} == {"platform"}


def test_a_line_carries_what_is_bound_and_what_it_was_given(in_the_stack: Any):
    first = in_the_stack[0][0]

    assert (first["message"], first["org"], first["release_id"]) == ("set s-1 failed", "acme", "r-1")
    assert (first["level"], first["duration_ms"]) == ("warning", 1.5)


def test_an_error_that_ends_a_thread_or_the_process_is_a_line_too(in_the_stack: Any):
    before, after = in_the_stack

    assert (before[-1]["error.type"], before[-1]["message"]) == (
        "ValueError",
        "thread addresses was ended by an error",
    )
    assert (after[-1]["level"], after[-1]["error.type"]) == ("critical", "ValueError")
    assert "broken" in after[-1]["error.stack"]


def test_after_its_log_was_renamed_a_process_writes_to_the_new_one(in_the_stack: Any):
    assert [line["event"] for line in in_the_stack[1]] == ["after the log was renamed", "ended by an error"]


def test_outside_the_stack_what_people_print_stays_as_it_is(tmp_path: Path):
    path, _ = run(tmp_path)

    assert "\nno end yet\n" in path.read_text()


def test_a_key_that_is_printed_line_by_line_is_left_out(capfd: pytest.CaptureFixture[str]):
    printed = PrintedLines(LogOutput(), 1)
    dashes = "-" * 5
    key = f"{dashes}BEGIN RSA PRIVATE KEY{dashes}\nDEK-Info: AES, 00\n\nMIIEowIBAAKC\nshort=\n{dashes}END RSA PRIVATE KEY{dashes}\n"
    printed.write(f"before\n{key}after\n{key[: key.index('MIIE')]}cut off: by this line\nand this\n")

    events = [json.loads(line)["event"] for line in capfd.readouterr().out.splitlines()]
    assert events == [
        "before",
        "[redacted PEM]",
        "after",
        "[redacted PEM]",
        "cut off: by this line",
        "and this",
    ]


def test_a_long_stack_is_cut_after_its_secrets_were_taken_out():
    dashes = "-" * 5
    body = "\n".join("MIIEowIBAAKC" for _ in range(1200))
    error = ValueError(
        f"{dashes}BEGIN PRIVATE KEY{dashes}\n{body}\n{dashes}END PRIVATE KEY{dashes} at the end"
    )

    line = json.loads(error_line("test", "failed", error, {}))
    assert "MIIE" not in line["error.stack"]
    assert line["error.stack"].rstrip().endswith("[redacted PEM] at the end")
