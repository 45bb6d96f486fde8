"""How long a run waits for a GPU, and when it asks again. Decisions over values; asks nobody itself.

A run that waits is a scheduled run at Prefect: it holds no slot of a worker or pool, any worker goes on with it, and
whoever cancels it is obeyed at once.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from prefect.client.schemas.objects import State

AWAITING = "AwaitingCapacity"
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=2)


def waiting_since(states: Iterable[State]) -> datetime | None:
    """When a run began the wait that it is in; None before its first one. An earlier attempt's wait does not count."""
    since: datetime | None = None
    for state in sorted(states, key=lambda state: state.timestamp):
        if state.is_running() or state.is_final():
            since = None
        elif state.name == AWAITING and since is None:
            since = state.timestamp
    return since


def next_try(since: datetime, now: datetime, limit: timedelta) -> datetime | None:
    """When to ask again: after as long as was waited already, within bounds. None when the wait is over."""
    deadline = since + limit
    if now >= deadline:
        return None
    pause = min(max(now - since, FIRST_PAUSE), LONGEST_PAUSE)
    return min(now + pause, deadline)
