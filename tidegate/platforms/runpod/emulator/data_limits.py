"""Request limits of the data plane: so many per ten seconds and at once, per endpoint and operation."""

from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tidegate.platforms.runpod.emulator.problems import Problem

WINDOW_S = 10.0
# What one running worker adds to a limit is not documented; this is a guess.
PER_WORKER = 100
# operation: requests per window, concurrent requests (None: unlimited)
LIMITS: dict[str, tuple[int, int | None]] = {
    "run": (1000, 200),
    "runsync": (2000, 400),
    "status": (2000, 400),
    "stream": (2000, 400),
    "cancel": (100, 20),
    "purge-queue": (2, None),
    "openai": (2000, 400),
}


@dataclass
class _Use:
    calls: deque[float] = field(default_factory=deque[float])
    open: int = 0


class DataLimits:
    """Counts what is going on."""

    def __init__(self, factor: float):
        self._factor = factor
        self._uses: dict[tuple[str, str], _Use] = {}

    @contextmanager
    def admitted(self, endpoint_id: str, operation: str, running_workers: int, now: float) -> Generator[None]:
        """Raises: Problem 429 when there is too much of it."""
        base = LIMITS.get(operation)
        if base is None:
            yield
            return
        calls, at_once = base
        use = self._uses.setdefault((endpoint_id, operation), _Use())
        while use.calls and use.calls[0] <= now - WINDOW_S:
            use.calls.popleft()
        limit = max(calls, running_workers * PER_WORKER if operation != "purge-queue" else 0) * self._factor
        if len(use.calls) >= limit or (at_once is not None and use.open >= at_once * self._factor):
            raise Problem(429, "too many requests", headers={"Retry-After": "1"})
        use.calls.append(now)
        use.open += 1
        try:
            yield
        finally:
            use.open -= 1
