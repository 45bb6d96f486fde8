"""What collectors ask of the ledger, and the moment that they share: sets of a platform are named by it."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from tidegate.domain import ServiceRef
from tidegate.domain.overview import Overview, StandingSet
from tidegate.domain.totals import Gain, PipelineRun, Total

QUERY_LIMIT_S = 5.0
"""A database that is slower than this has other troubles; the collector then says that it failed."""
REUSE_S = 4.0


class Figures(Protocol):
    """The ledger, as far as the exporter reads it."""

    def overview(self, timeout_s: float) -> Overview: ...
    def totals(self, timeout_s: float) -> list[Total]: ...


class TotalsWriter(Protocol):
    """The ledger, as far as the exporter writes it: what it alone can count."""

    def add_totals(self, gains: Sequence[Gain]) -> None: ...
    def record_runs(self, runs: Sequence[PipelineRun]) -> int: ...


class Moments:
    """Reads the overview at most once every few seconds, however many ask."""

    def __init__(
        self,
        figures: Figures,
        configured: Sequence[ServiceRef] = (),
        *,
        reuse_s: float = REUSE_S,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._figures = figures
        self._configured = configured
        self._reuse_s = reuse_s
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._overview = Overview()

    def overview(self) -> Overview:
        """Raises: TidegateError when the ledger cannot be read."""
        with self._lock:
            if self._clock() - self._read_at > self._reuse_s:
                self._overview = self._figures.overview(QUERY_LIMIT_S)
                self._read_at = self._clock()
            return self._overview

    def sets_of(self, platform: str) -> list[StandingSet]:
        """Recorded sets of one platform."""
        return [one for one in self.overview().sets if one.platform == platform]

    def services(self) -> list[ServiceRef]:
        """Those that are configured, and those that the ledger knows."""
        return sorted({*self._configured, *self.overview().services})

    def organizations(self) -> list[str]:
        return sorted({*self.overview().organizations, *(ref.org for ref in self._configured)})
