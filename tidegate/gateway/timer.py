"""What is done again and again, in one thread, at most once in each period."""

import time


class Timer:
    """Due at once, then at most once in each period."""

    def __init__(self, period_s: float):
        self._period_s = period_s
        self._next = 0.0

    def is_due(self) -> bool:
        """True at most once in each period."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._period_s
        return True

    def make_due(self) -> None:
        self._next = 0.0

    def postpone(self, seconds: float) -> None:
        self._next = time.monotonic() + seconds
