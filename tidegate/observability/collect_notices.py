"""Collectors of notices and of errors."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from tidegate.observability.registry import Readings

INSTALLATION = "_installation"
PENDING = frozenset({"waiting", "claimed", "sending"})
_RESULTS = {"sent": "sent", "dead": "dead", "unconfirmed": "failed"}


class Notices(Protocol):
    """The outbox."""

    def outbox_counts(self) -> Mapping[tuple[str, str, str], int]:
        """(organization, channel, state) -> messages of all times."""
        ...

    def oldest_undelivered(self) -> datetime | None: ...


class ErrorCount(Protocol):
    @property
    def org(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def count(self) -> int: ...


class Errors(Protocol):
    """Error tracking."""

    def error_totals(self) -> Sequence[ErrorCount]: ...


class NoticeCollector:
    """What became of messages. Rows of the outbox are never deleted, so that their number is a counter."""

    name = "notices"
    interval_s = 5.0
    names = (
        "tidegate_notifications_total",
        "tidegate_notifications_pending",
        "tidegate_notifications_dead",
        "tidegate_notifications_oldest_timestamp_seconds",
    )

    def __init__(self, notices: Notices):
        self._notices = notices

    def collect(self, into: Readings) -> None:
        counts = self._notices.outbox_counts()
        for org, channel in sorted({(org, channel) for org, channel, _ in counts}):
            mine = {state: count for (o, c, state), count in counts.items() if (o, c) == (org, channel)}
            owner = org or INSTALLATION
            for state, result in _RESULTS.items():
                into.put("tidegate_notifications_total", mine.get(state, 0), channel, owner, result)
            into.zero("tidegate_notifications_total", channel, owner, "suppressed")
            into.put(
                "tidegate_notifications_pending", sum(mine.get(one, 0) for one in PENDING), channel, owner
            )
            into.put("tidegate_notifications_dead", mine.get("dead", 0), channel, owner)
        oldest = self._notices.oldest_undelivered()
        if oldest is not None:
            into.put("tidegate_notifications_oldest_timestamp_seconds", oldest.timestamp(), INSTALLATION)


class ErrorCollector:
    """Errors by their stable code; never their text."""

    name = "errors"
    interval_s = 10.0
    names = ("tidegate_errors_total",)

    def __init__(self, errors: Errors):
        self._errors = errors

    def collect(self, into: Readings) -> None:
        sums: dict[tuple[str, str], int] = {}
        for one in self._errors.error_totals():
            key = one.org or INSTALLATION, one.code
            sums[key] = sums.get(key, 0) + one.count
        for (org, code), count in sums.items():
            into.put("tidegate_errors_total", count, org, code)
