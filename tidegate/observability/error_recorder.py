"""Keeps errors in the ledger: one thin thing that every part of the product tells of what ended it.

It never raises, never hides an error, and never makes trouble worse: repeats are counted here and written together, and
while the ledger does not answer nothing is asked of it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from tidegate.domain import ServiceRef
from tidegate.domain.error_tracking import SeenError, see

REPEAT_S = 10.0
"""The same error within this time of its last row is only counted."""
MOST_WRITES = 20
"""Rows within that time: of a flood of errors that all differ, the rest waits its turn."""
REST_S = 60.0
"""How long nothing is written after the ledger refused."""
MAX_REMEMBERED = 500
LEDGER_TROUBLE = frozenset({"TG-1100", "TG-1101", "TG-2100", "TG-3100", "TG-3101", "TG-3102"})
"""Codes that say that the ledger does not answer: they are written once it answers again."""
_NOTED = "tidegate_noted"
log = logging.getLogger(__name__)


class ErrorLedger(Protocol):
    def note_error(self, seen: SeenError, count: int = 1) -> None: ...


@dataclass
class _Repeats:
    seen: SeenError
    waiting: int = 0
    written_at: float = float("-inf")


class ErrorRecorder:
    """Implements `domain.error_tracking.NoteError`; safe to share between threads."""

    def __init__(
        self,
        ledger: ErrorLedger,
        conceal: Callable[[str], str],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._ledger = ledger
        self._conceal = conceal
        self._clock = clock
        self._lock = threading.Lock()
        self._repeats: dict[tuple[str, str, str], _Repeats] = {}
        self._rests_until = float("-inf")
        self._writes: deque[float] = deque(maxlen=MOST_WRITES)

    def __call__(
        self,
        error: BaseException,
        place: str,
        *,
        ref: ServiceRef | None = None,
        org: str | None = None,
        release_id: str | None = None,
    ) -> None:
        """Count one occurrence. An error that goes through several places is that of the first one that tells of it."""
        try:
            if not _is_new(error):
                return
            seen = see(
                error,
                place,
                self._conceal,
                org=ref.org if ref else org or "",
                service=ref.service if ref else "",
                release_id=release_id or "",
            )
            self._count(seen)
        except Exception as problem:  # noqa: BLE001 - nothing may hide the error that is told of
            self._rest(problem)

    @contextmanager
    def watching(self, place: str, *, ref: ServiceRef | None = None) -> Generator[None]:
        """Tell of whatever ends this block, and let it go its way."""
        try:
            yield
        except Exception as error:
            self(error, place, ref=ref)
            raise

    def flush(self) -> None:
        """Write what was only counted so far: at the end of a process."""
        try:
            with self._lock:
                waiting = [one for one in self._repeats.values() if one.waiting]
            for one in waiting:
                self._write(one)
        except Exception as problem:  # noqa: BLE001 - as above
            self._rest(problem)

    def _count(self, seen: SeenError) -> None:
        now = self._clock()
        with self._lock:
            key = (seen.fingerprint, seen.org, seen.service)
            one = self._repeats.pop(key, None) or _Repeats(seen)
            # The newest stands last; the one that was silent for longest makes room.
            self._repeats[key] = one
            one.seen = seen
            one.waiting += 1
            while len(self._repeats) > MAX_REMEMBERED:
                del self._repeats[next(iter(self._repeats))]
            is_flood = len(self._writes) == MOST_WRITES and now - self._writes[0] < REPEAT_S
            is_early = is_flood or now - one.written_at < REPEAT_S or now < self._rests_until
        if not is_early and seen.code not in LEDGER_TROUBLE:
            self._write(one)
            self._write_overdue(now)

    def _write_overdue(self, now: float) -> None:
        """What waited for the ledger, or for its turn."""
        with self._lock:
            overdue = [
                one for one in self._repeats.values() if one.waiting and now - one.written_at >= REPEAT_S
            ]
        for one in overdue[:MOST_WRITES]:
            self._write(one)

    def _write(self, one: _Repeats) -> None:
        with self._lock:
            count, one.waiting = one.waiting, 0
        if not count:
            return
        try:
            self._ledger.note_error(one.seen, count)
        except Exception:
            with self._lock:
                one.waiting += count
            raise
        one.written_at = self._clock()
        self._writes.append(one.written_at)

    def _rest(self, problem: Exception) -> None:
        self._rests_until = self._clock() + REST_S
        # Not its text: it may be the one that could not be concealed.
        log.warning("an error could not be kept in the ledger: %s", type(problem).__name__)


def _is_new(error: BaseException) -> bool:
    if getattr(error, _NOTED, False):
        return False
    with suppress(AttributeError):
        setattr(error, _NOTED, True)
    return True
