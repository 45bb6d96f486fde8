"""Time and chance of the RunPod room: every wait is bounded and jittered, and tests own the clock."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")
MIN_POLL_S = 1.0
MAX_POLL_S = 15.0
GROWTH = 1.5


@dataclass(frozen=True)
class Pace:
    """A monotonic clock, a way to sleep on it, and a number from 0 to 1 for jitter."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def jittered(self, seconds: float) -> float:
        """Between half of `seconds` and all of it, so that many waiters do not ask at once."""
        return seconds / 2 + seconds / 2 * self.chance()


def wait_for(
    ask: Callable[[], Result],
    is_done: Callable[[Result], bool],
    *,
    timeout_s: float,
    pace: Pace,
    first_s: float = MIN_POLL_S,
    longest_s: float = MAX_POLL_S,
) -> Result:
    """Ask until `is_done`, at growing intervals, and return the last answer. Always asks once.

    The caller sees from the answer whether it was done in time. RunPod wants at least a second between polls.
    """
    deadline = pace.now() + timeout_s
    interval = first_s
    while True:
        answer = ask()
        left = deadline - pace.now()
        if is_done(answer) or left <= 0:
            return answer
        pace.sleep(min(pace.jittered(interval), left))
        interval = min(interval * GROWTH, longest_s)
