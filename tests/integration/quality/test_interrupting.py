"""Ctrl-C of `tidegate quality run`, as a process of its own: only there a signal is one."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from tests.unit.cli.openai_server import FakeModel, served

QUESTIONS, ANSWERED = 40, 6


def test_ctrl_c_keeps_what_was_answered_and_shows_no_traceback(tmp_path: Path):
    bank = tmp_path / "numbers.jsonl"
    row = {"topic": "t", "expect": "1", "scorer": "exact"}
    bank.write_text(
        "".join(json.dumps({**row, "id": f"q{n}", "prompt": f"say {n}"}) + "\n" for n in range(QUESTIONS))
    )
    may_answer, is_waiting = threading.Semaphore(ANSWERED), threading.Event()

    def answer(text: str) -> str:
        # "Hi" asks who is there.
        if text != "Hi" and not may_answer.acquire(blocking=False):
            is_waiting.set()
            may_answer.acquire()
        return "1"

    with served(FakeModel(answer)) as model:
        command = [sys.executable, "-m", "tidegate.cli", "quality", "run", model.base_url, str(bank)]
        process = subprocess.Popen(
            command, env={**os.environ, "TIDEGATE_HOME": str(tmp_path / "home")},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert is_waiting.wait(120), "it never asked"
            process.send_signal(signal.SIGINT)
            while process.poll() is None:
                # What is on its way may end. Were the signal not heard, it would go on asking to the end.
                may_answer.release(2)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
            out, err = process.communicate()
        finally:
            process.kill()
            may_answer.release(QUESTIONS)
    kept = next((tmp_path / "home" / "answers").rglob("*.jsonl")).read_text().splitlines()
    assert (process.returncode, out, err) == (130, "", "")
    assert ANSWERED <= len(kept) < QUESTIONS
