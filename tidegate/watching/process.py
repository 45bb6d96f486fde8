"""`/healthz` and `/readyz` of a long process of ours: what each needs to do its work."""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from tidegate.observability.health.endpoint import Condition, Pulse, answering
from tidegate.settings import Settings

PULSE_LIMIT_S = 120.0
"""A round may take as long as a slow mail server or a platform far away; a loop that stands still takes for ever."""
SILENCE_S = 10.0


class LedgerCondition:
    """The ledger answers and has the schema of this code. Over a connection of its own, kept between questions."""

    def __init__(self, url: str):
        self._url = url
        self._lock = threading.Lock()
        self._opened: object = None

    def __call__(self) -> str:
        """Raises: what the ledger raises."""
        from tidegate.ledger import Ledger
        from tidegate.ledger.migrations import HEAD

        with self._lock:
            ledger = self._opened
            if not isinstance(ledger, Ledger):
                ledger = self._opened = Ledger.open(self._url)
        found = ledger.schema_revision()
        return "" if found == HEAD else f"its schema is {found}, {HEAD} is wanted"


def gateway_condition(url: str, name: str) -> Callable[[], str]:
    """The agent reports to the ledger that its Envoy has what is wanted."""

    def look() -> str:
        from tidegate.ledger import Ledger

        with Ledger.open(url) as ledger:
            own = next((one for one in ledger.gateways() if one.gateway == name), None)
        if own is None:
            return "it has not reported yet"
        silent_s = (datetime.now(UTC) - own.seen_at).total_seconds()
        if own.state == "stopped":
            return "it is stopped"
        return own.error or (f"it has not reported for {silent_s:.0f} s" if silent_s > SILENCE_S else "")

    return look


@contextmanager
def ready(
    settings: Settings, process: str, pulse: Pulse | None, more: Sequence[Condition] = ()
) -> Generator[None]:
    """Answer for the process while it works."""
    conditions = [Condition("ledger", LedgerCondition(settings.ledger_url)), *more]
    if pulse is not None:
        conditions.append(Condition("loop", pulse.why_not))
    with answering(settings.runtime_dir, process, conditions):
        yield
