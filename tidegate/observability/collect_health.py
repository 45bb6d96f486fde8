"""Collectors of what health checks saw, of backups, of the audit log's chain, and of what expires."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from tidegate.domain.health import BackupMark, Health, HealthState
from tidegate.observability.health.judging import Expiring
from tidegate.observability.registry import Readings

AUDIT_CHECK, INTACT = "audit", "intact"


class HealthRows(Protocol):
    """The ledger, as far as it keeps what others saw."""

    def health_states(self) -> Sequence[HealthState]: ...
    def backup_marks(self) -> Mapping[str, BackupMark]: ...


class HealthCollector:
    """What nobody looked at, or nobody looks at any more, is `unknown`. The exporter itself looks at nothing: an exporter
    that judged would be one more thing to be judged."""

    name = "health"
    interval_s = 5.0
    names = (
        "tidegate_health_check_state",
        "tidegate_health_check_last_run_timestamp_seconds",
        "tidegate_backup_last_success_timestamp_seconds",
        "tidegate_audit_chain_intact",
    )

    def __init__(self, rows: HealthRows, wanted: Iterable[str], clock: Callable[[], datetime]):
        self._rows = rows
        self._wanted = tuple(wanted)
        self._clock = clock

    def collect(self, into: Readings) -> None:
        now = self._clock()
        seen = {state.check: state for state in self._rows.health_states()}
        for check in sorted({*self._wanted, *seen}):
            state = seen.get(check)
            health = state.seen_from(now).health if state else Health.UNKNOWN
            into.put_state("tidegate_health_check_state", Health, health, check)
            if state:
                at = state.checked_at.timestamp()
                into.put("tidegate_health_check_last_run_timestamp_seconds", at, check)
        audit = seen.get(AUDIT_CHECK)
        # As it was found last, however long ago: a chain does not mend itself when nobody looks.
        if audit and INTACT in audit.measures:
            into.put("tidegate_audit_chain_intact", audit.measures[INTACT])
        for step, mark in self._rows.backup_marks().items():
            into.put("tidegate_backup_last_success_timestamp_seconds", mark.at.timestamp(), step)


class ExpiryCollector:
    """The first end of each kind. A key that a rotation replaced ends on purpose and is not among them."""

    name = "expiry"
    interval_s = 60.0
    names = ("tidegate_expiry_timestamp_seconds",)

    def __init__(self, expiring: Callable[[], Iterable[Expiring]]):
        self._expiring = expiring

    def collect(self, into: Readings) -> None:
        first: dict[tuple[str, str], datetime] = {}
        for one in self._expiring():
            place = one.org, one.kind
            first[place] = min(one.at, first.get(place, one.at))
        for place, at in first.items():
            into.put("tidegate_expiry_timestamp_seconds", at.timestamp(), *place)
