"""Collector of pipelines: workers and waiting runs as Prefect tells them, and ended runs, which the ledger counts.

Prefect has no metrics of runs, and forgets them when somebody deletes them. What ended is therefore copied as rows.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol

from tidegate.domain.totals import PipelineRun
from tidegate.observability.labels import RUN_STATE
from tidegate.observability.ledger_source import TotalsWriter
from tidegate.observability.registry import Readings

INTERVAL_S = 15.0
LATE_S = 30.0
"""A run that should have begun so long ago is late."""
OVERLAP = timedelta(minutes=10)
"""Runs are told again that ended shortly before the last known one: their order of being told is not that of ending."""
FIRST_LOOK = timedelta(days=7)
OPEN_STATES = ("scheduled", "pending", "running", "paused")


class Pipelines(Protocol):
    """A Prefect server, as far as it is asked here. Raises: TidegateError."""

    def pools(self) -> Sequence[str]: ...
    def worker_states(self, pool: str) -> Mapping[str, int]:
        """Workers by `online` and `offline`."""
        ...

    def open_runs(self) -> Mapping[tuple[str, str], int]:
        """(flow, state) -> runs that have not ended and should have begun."""
        ...

    def oldest_late(self, late_s: float) -> Mapping[str, datetime]:
        """Pool -> since when its oldest late run waits."""
        ...

    def ended_runs(self, since: datetime) -> Sequence[PipelineRun]: ...
    def intervals_s(self) -> Mapping[str, float]:
        """Flow -> seconds between two scheduled runs, for those that have a schedule."""
        ...


class RunCounts(TotalsWriter, Protocol):
    def last_run_at(self) -> datetime | None: ...


class PrefectCollector:
    """`connect` opens a connection for one look."""

    name = "prefect"
    interval_s = INTERVAL_S
    names = (
        "tidegate_workers",
        "tidegate_queue_oldest_timestamp_seconds",
        "tidegate_pipeline_active_runs",
        "tidegate_pipeline_expected_interval_seconds",
    )

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[Pipelines]],
        counts: RunCounts,
        clock: Callable[[], datetime],
    ):
        self._connect = connect
        self._counts = counts
        self._clock = clock

    def collect(self, into: Readings) -> None:
        with self._connect() as prefect:
            newest = self._counts.last_run_at()
            since = newest - OVERLAP if newest else self._clock() - FIRST_LOOK
            ended = prefect.ended_runs(since)
            if ended:
                self._counts.record_runs(ended)
            self._show(into, prefect)

    def _show(self, into: Readings, prefect: Pipelines) -> None:
        for pool in prefect.pools():
            for state, count in {"online": 0, "offline": 0, **prefect.worker_states(pool)}.items():
                into.put("tidegate_workers", count, pool, state)
        for pool, since in prefect.oldest_late(LATE_S).items():
            into.put("tidegate_queue_oldest_timestamp_seconds", since.timestamp(), pool)
        open_runs = prefect.open_runs()
        for flow, interval_s in prefect.intervals_s().items():
            into.put("tidegate_pipeline_expected_interval_seconds", interval_s, flow)
            for state in OPEN_STATES:
                into.zero("tidegate_pipeline_active_runs", flow, state)
        for (flow, state), count in open_runs.items():
            if state in RUN_STATE.values:
                into.put("tidegate_pipeline_active_runs", count, flow, state)
