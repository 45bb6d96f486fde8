"""Validates many files at once: threads that wait for confined children, a bar for each, and a clean end on Ctrl-C."""

import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tidegate.domain import TidegateError
from tidegate.validation.children import end_children

if TYPE_CHECKING:
    from rich.progress import TaskID

    from tidegate.validation import ValidationReport

STAGES = {
    "read": "reading",
    "ask": "asking",
    "ask the baseline": "asking the baseline",
    "compare": "comparing",
}
END_INTERVAL_S = 0.05
LOOK_S = 0.5
"""Python sees a signal that came just before a wait only when that wait ends, so none is without end."""
NAME_CHARACTERS = 36

Stage = Callable[[str, int, int], None]
Work = Callable[[Path, Stage], "ValidationReport"]


@dataclass(frozen=True)
class Done:
    """What came of one file: a report, or why it could not be validated at all."""

    path: Path
    report: "ValidationReport | None" = None
    error: TidegateError | None = None

    @property
    def may_be_deployed(self) -> bool:
        return self.report is not None and self.report.passed


def is_without_fault(done: Done) -> bool:
    """What the exit code says: may be deployed, or was only looked at and nothing was wrong."""
    return done.may_be_deployed or (done.report is not None and done.report.is_fine_at_a_glance)


class Watch(Protocol):
    """Shows how far each file is."""

    def begin(self, path: Path) -> None: ...
    def stage(self, path: Path, name: str, done: int, total: int) -> None: ...
    def end(self, path: Path) -> None: ...


def run_all(
    paths: Sequence[Path],
    work: Work,
    watch: Watch,
    *,
    on_done: Callable[[Done], None] = lambda done: None,
    at_once: int | None = None,
) -> list[Done]:
    """Do `work` for every file, as many at once as there are cores; results in the order of `paths`.

    `on_done` is called in this thread as each one ends. When this thread is interrupted (Ctrl-C, SIGTERM), the
    children of all others are ended before the interrupt goes on.
    """
    results: dict[Path, Done] = {}
    with ThreadPoolExecutor(at_once or min(len(paths), os.cpu_count() or 1)) as pool, _sigterm_interrupts():
        try:
            pending = {pool.submit(_one, path, work, watch) for path in dict.fromkeys(paths)}
            while pending:
                ended, pending = wait(pending, LOOK_S, return_when=FIRST_COMPLETED)
                for future in ended:
                    done = future.result()
                    results[done.path] = done
                    on_done(done)
        except BaseException:
            _stop(pool)
            raise
    return [results[path] for path in dict.fromkeys(paths)]


def _one(path: Path, work: Work, watch: Watch) -> Done:
    watch.begin(path)
    try:
        return Done(path, report=work(path, lambda name, done, total: watch.stage(path, name, done, total)))
    except TidegateError as error:
        return Done(path, error=error)
    finally:
        watch.end(path)


def _stop(pool: ThreadPoolExecutor) -> None:
    """A thread may start its next child while we end one, so this goes on until every thread has returned."""
    is_over = threading.Event()

    def end() -> None:
        while not is_over.wait(END_INTERVAL_S):
            end_children()

    ender = threading.Thread(target=end, name="ends children")
    ender.start()
    try:
        pool.shutdown(cancel_futures=True)
    finally:
        is_over.set()
        ender.join()


@contextmanager
def _sigterm_interrupts() -> Generator[None]:
    """SIGTERM ends a run as Ctrl-C does. Only the main thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Quiet:
    """Shows nothing: a program reads, or the work is short."""

    def begin(self, path: Path) -> None:
        return None

    def stage(self, path: Path, name: str, done: int, total: int) -> None:
        return None

    def end(self, path: Path) -> None:
        return None


class Bars:
    """One bar for each file on the terminal, gone when all is done."""

    def __init__(self, progress: Any):
        self._progress = progress
        self._tasks: dict[Path, TaskID] = {}

    def begin(self, path: Path) -> None:
        from rich.markup import escape

        from tidegate.domain.plain import plain

        name = escape(plain(path.name, NAME_CHARACTERS))
        self._tasks[path] = self._progress.add_task(name, total=None, stage="starting", amount="")

    def stage(self, path: Path, name: str, done: int, total: int) -> None:
        from tidegate.domain.plain import size

        amount = f"{size(done)} of {size(total)}" if name == "read" else f"{done} of {total}"
        self._progress.update(
            self._tasks[path], completed=done, total=total, stage=STAGES.get(name, name), amount=amount
        )

    def end(self, path: Path) -> None:
        self._progress.remove_task(self._tasks[path])


@contextmanager
def watching(*, is_wanted: bool) -> Generator[Watch]:
    """Bars on stderr when a person looks at it, else nothing."""
    from tidegate.cli.output import console

    target = console(stderr=True)
    if not is_wanted or not target.is_terminal:
        yield Quiet()
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[stage]} [dim]{task.fields[amount]}[/dim]"),
    )
    with Progress(*columns, console=target, transient=True) as progress:
        yield Bars(progress)
