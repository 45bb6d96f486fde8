"""Counts calls to the control plane of a platform, and writes them to the ledger now and then.

A platform is asked every few hundred milliseconds while a set starts: a row each time would cost more than the call.
What was counted in the last seconds before a kill is lost.
"""

import atexit
import threading
import time
from collections.abc import Callable, Sequence

from tidegate.domain import TidegateError
from tidegate.domain.totals import CALL_S, PLATFORM_CALL_SECONDS, PLATFORM_CALLS, Gain, observed

WRITE_EVERY_S = 5.0
MOST_KEPT = 2_000
_OPERATIONS = {"POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete", "GET": "find"}


class CallMeter:
    """For one platform; safe to share between threads. `write` adds gains to the ledger's totals."""

    def __init__(
        self,
        platform: str,
        write: Callable[[Sequence[Gain]], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._platform = platform
        self._write = write
        self._clock = clock
        self._gains: list[Gain] = []
        self._written_at = clock()
        self._lock = threading.Lock()
        atexit.register(self.flush)

    def note(self, method: str, status: int | None, seconds: float) -> None:
        """One call that ended; without a status nothing answered in time."""
        labels = self._platform, _OPERATIONS.get(method, "other"), code_class(status)
        with self._lock:
            self._gains.append(Gain(PLATFORM_CALLS, labels))
            self._gains += observed(PLATFORM_CALL_SECONDS, (self._platform,), seconds, CALL_S)
            is_due = self._clock() - self._written_at >= WRITE_EVERY_S
        if is_due:
            self.flush()

    def flush(self) -> None:
        """Write what is kept. A ledger that cannot take it gets it with the next ones."""
        with self._lock:
            gains, self._gains = self._gains, []
            self._written_at = self._clock()
        if not gains:
            return
        try:
            self._write(gains)
        except TidegateError:
            with self._lock:
                self._gains = (gains + self._gains)[-MOST_KEPT:]


def code_class(status: int | None) -> str:
    """As in every metric of ours."""
    if status is None:
        return "timeout"
    if status == 429:
        return "429"
    return f"{status // 100}xx" if 200 <= status < 600 else "5xx"
