"""What the exporter asks of a Prefect server: workers, waiting and ended runs, schedules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from tidegate.domain.totals import PipelineRun
from tidegate.stack.prefect_api import FINAL_STATES, Json, PrefectApi

MOST_RUNS = 2_000
"""Of one look: more ended only after a long absence, and the next look goes on."""
DAY_S, HOUR_S = 86_400.0, 3_600.0


@dataclass
class PrefectRuns:
    """One look over one connection."""

    api: PrefectApi

    def __post_init__(self) -> None:
        self._flows: dict[str, str] | None = None

    def __enter__(self) -> Self:
        self.api.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.api.__exit__(kind, error, trace)

    def pools(self) -> Sequence[str]:
        return self.api.work_pools()

    def worker_states(self, pool: str) -> Mapping[str, int]:
        workers = self.api.workers(pool)
        online = sum(worker.is_online for worker in workers)
        return {"online": online, "offline": len(workers) - online}

    def open_runs(self) -> Mapping[tuple[str, str], int]:
        """Without those that are scheduled for later."""
        found: dict[tuple[str, str], int] = {}
        for run in self._open():
            key = self._flow(run), str(run["state_type"]).lower()
            found[key] = found.get(key, 0) + 1
        return found

    def oldest_late(self, late_s: float) -> Mapping[str, datetime]:
        before = datetime.now(UTC) - timedelta(seconds=late_s)
        oldest: dict[str, datetime] = {}
        for run in self._open(("SCHEDULED",)):
            wanted, pool = _time(run.get("expected_start_time")), run.get("work_pool_name")
            if wanted is not None and wanted <= before and pool:
                oldest[pool] = min(wanted, oldest.get(pool, wanted))
        return oldest

    def ended_runs(self, since: datetime) -> Sequence[PipelineRun]:
        where: Json = {
            "flow_runs": {
                "state": {"type": {"any_": sorted(FINAL_STATES)}},
                "end_time": {"after_": since.isoformat()},
            }
        }
        rows = self.api.find_runs(where, most=MOST_RUNS)
        return [
            PipelineRun(
                id=str(row["id"]),
                flow=self._flow(row),
                state=str(row["state_type"]).lower(),
                seconds=float(row.get("total_run_time") or 0.0),
                ended_at=ended,
            )
            for row in rows
            if (ended := _time(row.get("end_time"))) is not None
        ]

    def intervals_s(self) -> Mapping[str, float]:
        found: dict[str, float] = {}
        for deployment in self.api.find("/deployments/filter"):
            for item in deployment.get("schedules") or ():
                seconds = interval_of(item.get("schedule") or {})
                if item.get("active") and seconds is not None:
                    flow = self._flow(deployment)
                    found[flow] = min(seconds, found.get(flow, seconds))
        return found

    def _open(self, states: Sequence[str] = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED")) -> list[Json]:
        """Prefect makes the runs of a schedule long before their time: those are left out."""
        where: Json = {
            "flow_runs": {
                "state": {"type": {"any_": list(states)}},
                "expected_start_time": {"before_": datetime.now(UTC).isoformat()},
            }
        }
        return self.api.find_runs(where, most=MOST_RUNS)

    def _flow(self, row: Json) -> str:
        if self._flows is None:
            self._flows = {str(flow["id"]): str(flow["name"]) for flow in self.api.find("/flows/filter")}
        return self._flows.get(str(row["flow_id"]), "unknown")


def interval_of(schedule: Json) -> float | None:
    """Seconds between two runs, the longest where they vary; None for a schedule of another kind."""
    if "interval" in schedule:
        return float(schedule["interval"])
    fields = str(schedule.get("cron", "")).split()
    if len(fields) != 5:
        return None
    minute, hour, day, _, weekday = fields
    if weekday != "*":
        return 7 * DAY_S
    if day != "*":
        return 31 * DAY_S
    if hour != "*":
        return float(hour[2:]) * HOUR_S if hour.startswith("*/") else DAY_S
    return float(minute[2:]) * 60 if minute.startswith("*/") else HOUR_S


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
