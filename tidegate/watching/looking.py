"""Makes the checks at their times and writes what they saw to the ledger, or makes some once for who asks now."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from tidegate.domain import TidegateError
from tidegate.domain.error_tracking import FORGET, NoteError
from tidegate.domain.health import Health, Judgement, Part
from tidegate.ledger import Ledger
from tidegate.observability.concealing import conceal
from tidegate.observability.health import Check, Turn
from tidegate.observability.health.checks import Told

log = logging.getLogger(__name__)
POLL_S = 0.5
Record = Callable[[Told], None]


def watch(checks: Sequence[Check], ledger: Ledger, stop: threading.Event, note: NoteError = FORGET) -> None:
    """Until `stop` is set. A ledger that cannot be written now is tried again with the next look."""
    turn = Turn(checks, conceal, note=note)
    last: dict[str, Health] = {}
    # What was made once and is made no more would be stale for ever.
    wanted = {check.name for check in checks}
    for state in _known(ledger):
        if state not in wanted:
            ledger.forget_health(state)
    while not stop.is_set():
        for told in turn.advance(time.monotonic()):
            _record(ledger, told, note)
            _log(told, last)
        stop.wait(POLL_S)


def look_once(checks: Sequence[Check], record: Record) -> list[Told]:
    """Each check once, all at the same time; ends when the slowest has answered or its time is over."""
    turn = Turn([_Once(check).check for check in checks], conceal)
    found: dict[str, Told] = {}
    while len(found) < len(checks):
        for told in turn.advance(time.monotonic()):
            if told.check.name not in found:
                found[told.check.name] = told
                record(told)
        time.sleep(0.02)
    return [found[check.name] for check in checks]


class _Once:
    """A check that looks a single time: a turn that waits for slow ones would make quick ones again."""

    def __init__(self, check: Check):
        self._look = check.look
        self._seen: Judgement | None = None
        self.check = Check(check.name, self.look)

    def look(self) -> Judgement:
        self._seen = self._seen or self._look()
        return self._seen


def _known(ledger: Ledger) -> list[str]:
    try:
        return [state.check for state in ledger.health_states()]
    except TidegateError:
        return []


def _record(ledger: Ledger, told: Told, note: NoteError) -> None:
    try:
        record(ledger, told)
    except TidegateError as error:
        note(error, "health")
        log.warning("what %s saw is not kept: %s", told.check.name, conceal(str(error)))


def record(ledger: Ledger, told: Told) -> None:
    """What is kept holds no secret, whatever a check was told by others; remedies are our own words. Raises: what the
    ledger raises."""
    seen = told.judgement
    parts = tuple(Part(one.name, one.health, conceal(one.text), one.remedy) for one in seen.parts)
    clean = Judgement(seen.health, conceal(seen.text), seen.remedy, parts, seen.measures)
    ledger.record_health(
        told.check.name, clean, took_s=round(told.took_s, 3), interval_s=told.check.kind.interval_s
    )


def _log(told: Told, last: dict[str, Health]) -> None:
    """Changes only: a healthy installation has a quiet log."""
    health = told.judgement.health
    if last.get(told.check.name, Health.OK) is not health:
        level = logging.INFO if health is Health.OK else logging.WARNING
        log.log(level, "%s is %s: %s", told.check.name, health.value, conceal(told.judgement.text))
    last[told.check.name] = health
