"""The real programs as processes of a test, and how it waits for them."""

import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DEADLINE_S = 120


@contextmanager
def process(
    words: list[Any], log: Path, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[Any]]:
    """Run it until the end of the block."""
    with log.open("w") as sink:
        started = subprocess.Popen(
            [str(word) for word in words], stdout=sink, stderr=subprocess.STDOUT, env=environ
        )
        try:
            yield started
        finally:
            started.terminate()
            started.wait(timeout=60)


def get(url: str) -> bytes | None:
    """What it answers; None while it does not, or answers with an error."""
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            return reply.read()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def wait_for(holds: Callable[[], object], seen: Callable[[], str]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, seen()
        time.sleep(0.05)


def hurry(folder: Path, *changes: tuple[str, str, str]) -> None:
    """Replace waiting times in rendered files: file below the folder, pattern, text instead."""
    for file, pattern, instead in changes:
        for path in folder.glob(file):
            text, count = re.subn(pattern, instead, path.read_text())
            assert count or "*" in file, f"{file} has no {pattern}"
            path.write_text(text)
