"""The reconciler as a loop: a sweep every few seconds, while releases that lost their owner are driven beside it."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tidegate.domain import Release, TidegateError
from tidegate.steps.ports import Ports
from tidegate.steps.reconcile import ReconcileReport, reconcile, take_over
from tidegate.steps.rollback import OWNER_ALIVE_S, is_owner_alive

log = logging.getLogger(__name__)
DEFAULT_INTERVAL_S = 5.0
"""With the lease of 10 s: a release whose owner dies is driven again at most 15 s, and one sweep, after its last word."""


@dataclass(frozen=True)
class Sweep:
    """One turn of the loop. `error` when the ledger itself could not be read."""

    number: int
    report: ReconcileReport
    error: str = ""


class ReconcileWatch:
    """Stops when `stop` is set; a release that it drives then is left where it stands, for the next owner."""

    def __init__(
        self,
        ports: Ports,
        stop: threading.Event,
        *,
        interval_s: float = DEFAULT_INTERVAL_S,
        tell: Callable[[Sweep], None] = lambda sweep: None,
    ):
        self._ports = ports
        self._stop = stop
        self._interval_s = interval_s
        self._tell = tell
        self._driven: dict[str, threading.Thread] = {}
        self._ended: list[ReconcileReport] = []
        self._lock = threading.Lock()

    @property
    def bound_s(self) -> float:
        """Longest time from an owner's last word to the next owner, beside the time of one sweep."""
        return OWNER_ALIVE_S + self._interval_s

    def run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            self._tell(self._sweep(number))
            self._stop.wait(self._interval_s)

    def _sweep(self, number: int) -> Sweep:
        try:
            report = reconcile(self._ports, self._look)
        except TidegateError as error:
            self._ports.note_error(error, "reconcile")
            return Sweep(number, ReconcileReport(), str(error))
        with self._lock:
            ended, self._ended = self._ended, []
        for one in ended:
            report.add(one)
        return Sweep(number, report)

    def _look(self, release: Release, report: ReconcileReport) -> None:
        """One thread for each: a release may take an hour, and the other services must not wait for it."""
        self._driven = {name: one for name, one in self._driven.items() if one.is_alive()}
        thread = self._driven.get(release.id)
        if thread is not None or is_owner_alive(self._ports, release):
            report.left_to_owner.append(release.id)
            return
        thread = threading.Thread(
            target=self._drive, args=(release,), name=f"owner of {release.id}", daemon=True
        )
        self._driven[release.id] = thread
        thread.start()

    def _drive(self, release: Release) -> None:
        report = ReconcileReport()
        try:
            take_over(self._ports, release, report)
        except Exception as error:
            # The loop goes on, and the next sweep takes the release up again.
            log.exception("release %s could not be driven", release.id)
            self._ports.note_error(error, "reconcile", ref=release.ref, release_id=release.id)
            report.problems.append(f"{release.id}: {type(error).__name__}; see the log")
        with self._lock:
            self._ended.append(report)
