"""Many artifacts at once: one confined child for each, as many at a time as there are cores.

Threads suffice, because each only waits for its child. What ends the batch ends every child that it started.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import TypeVar

from tidegate.validation.confinement import Cancellation, cancellable

Validated = TypeVar("Validated")
Progress = Callable[[int, int], None]
BatchProgress = Callable[[Path, int, int], None]


def validate_many(
    paths: Iterable[str | Path],
    validate: Callable[[Path, Progress], Validated],
    *,
    workers: int | None = None,
    progress: BatchProgress | None = None,
) -> tuple[Validated, ...]:
    """Validate several files side by side; results come in the order of the paths.

    Args:
        paths: Files; one named twice is validated twice.
        validate: What to do with one file, such as a call of `validate_artifact`, and how to tell progress.
        workers: Files at a time; the cores of this machine by default.
        progress: Called with the file, bytes done and bytes in all, from several threads.

    Raises:
        Whatever `validate` raises for a file, after the children of all others were ended; so does Ctrl-C.
    """
    wanted = [Path(path) for path in paths]
    cancellation = Cancellation()
    pool = ThreadPoolExecutor(max_workers=workers or usable_cores(), thread_name_prefix="validation")

    def one(path: Path) -> Validated:
        def tell(done: int, total: int) -> None:
            if progress is not None:
                progress(path, done, total)

        return validate(path, tell)

    try:
        with cancellable(cancellation):
            futures = [pool.submit(copy_context().run, one, path) for path in wanted]
        return tuple(future.result() for future in futures)
    except BaseException:
        cancellation.cancel()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def usable_cores() -> int:
    """Cores that this process may use, which in a container are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
