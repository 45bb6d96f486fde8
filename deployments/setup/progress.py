"""Runs a command that may take minutes: output goes to a log file, progress to the person who waits."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from deployments.setup.errors import SetupError

SPOKEN_EVERY_S = 15.0
DRAWN_EVERY_S = 0.5
TAIL_LINES = 40
# Ninja's `[17/268] Building ...`, and pip's `Progress 1024 of 4096`.
COUNTED = re.compile(r"^\s*\[(\d+)/(\d+)\]|^\s*Progress (\d+) of (\d+)")


def fraction_done(line: str) -> float | None:
    """How far a tool says that it is, 0 to 1; None when the line says nothing about that."""
    if not (found := COUNTED.match(line)):
        return None
    done, total = (int(part) for part in found.groups() if part is not None)
    return done / total if total else None


def spoken_time(seconds: float) -> str:
    """`42 s` or `3 min 05 s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class Progress:
    """Says which step runs and how far it is: one updating line on a terminal, else a line now and then."""

    def __init__(
        self,
        stream: TextIO = sys.stdout,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`stream` decides the manner: a terminal gets one updating line."""
        self._stream = stream
        self._clock = clock
        self._is_terminal = stream.isatty()
        self._title = ""
        self._started = self._spoken = clock()

    def begin(self, title: str) -> None:
        """Announce a step."""
        self._title = title
        self._started = self._spoken = self._clock()
        self._write(f"  {title} ...", ends=not self._is_terminal)

    def tick(self, fraction: float | None) -> None:
        """Show how far the step is. Call it as often as you like."""
        now = self._clock()
        if now - self._spoken < (DRAWN_EVERY_S if self._is_terminal else SPOKEN_EVERY_S):
            return
        self._spoken = now
        percent = "" if fraction is None else f" {fraction:.0%},"
        self._write(
            f"  {self._title} ...{percent} {spoken_time(now - self._started)}", ends=not self._is_terminal
        )

    def done(self, note: str = "") -> None:
        """The step is over."""
        taken = spoken_time(self._clock() - self._started)
        self._write(f"  {self._title}: done in {taken}{note and f' ({note})'}", ends=True)

    def say(self, line: str) -> None:
        """A line that stays."""
        self._write(line, ends=True)

    def _write(self, line: str, *, ends: bool) -> None:
        lead = "\r\x1b[K" if self._is_terminal else ""
        self._stream.write(f"{lead}{line}" + ("\n" if ends else ""))
        self._stream.flush()


def run_logged(
    command: Sequence[str | Path],
    *,
    log: Path,
    progress: Progress,
    failure: SetupError,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run the command to its end, appending what it prints to `log`.

    Raises: `failure`, with the log's last lines in the message, when the command does not end with 0.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in command]
    with log.open("a", encoding="utf-8", errors="replace") as sink:
        sink.write(f"$ {' '.join(words)}\n")
        sink.flush()
        status, last_lines = _watch(words, sink, progress, env)
    if status != 0:
        shown = "\n".join(f"    {line}" for line in last_lines)
        raise SetupError(
            f"{failure.message} ({Path(words[0]).name} ended with status {status}) Its last lines:\n{shown}",
            f"{failure.remedy} The whole output is in {log}",
        )


def _watch(
    words: list[str], sink: TextIO, progress: Progress, env: Mapping[str, str] | None
) -> tuple[int, list[str]]:
    # Its own session: whatever the command started ends with it, also when the person presses Ctrl-C.
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=None if env is None else dict(env),
        start_new_session=True,
    ) as child:
        reader = _Reader(child, sink)
        reader.start()
        try:
            while reader.is_alive():
                reader.join(DRAWN_EVERY_S)
                progress.tick(reader.fraction)
            return child.wait(), reader.last_lines
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGTERM)


class _Reader(threading.Thread):
    """Copies a command's output to the log and remembers its end."""

    def __init__(self, child: subprocess.Popen[str], sink: TextIO) -> None:
        super().__init__(daemon=True)
        self._child = child
        self._sink = sink
        self.fraction: float | None = None
        self.last_lines: list[str] = []

    def run(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self._sink.write(line)
            found = fraction_done(line)
            self.fraction = self.fraction if found is None else found
            self.last_lines.append(line.rstrip())
            del self.last_lines[:-TAIL_LINES]
