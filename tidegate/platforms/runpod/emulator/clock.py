"""Time as the emulator tells it: real seconds inside, the vendor's texts outside, skewed if a fault says so."""

import time
from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """`now()` measures; `text()` tells. A skew moves only what is told, as a host with a wrong clock does."""

    def __init__(self, read: Callable[[], float] = time.time):
        self._read = read
        self.skew_s = 0.0

    def now(self) -> float:
        return self._read()

    def text(self, moment: float) -> str:
        """RFC 3339 with milliseconds, in UTC."""
        return rfc3339(moment + self.skew_s)


def rfc3339(moment: float) -> str:
    """The text of a moment in UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_rfc3339(text: str) -> float:
    """Seconds since the epoch.

    Raises:
        ValueError: when the text is not a moment with a time zone.
    """
    moment = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return moment.timestamp()
