"""What the exporter asks of Prefect's API."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tidegate.domain.totals import PipelineRun
from tidegate.stack.prefect_api import PrefectApi
from tidegate.stack.prefect_runs import PrefectRuns, interval_of

SINCE = datetime(2026, 11, 26, tzinfo=UTC)
ENDED = "2026-11-26T03:00:00+00:00"


def run(number: int, state: str, **fields: Any) -> dict[str, Any]:
    return {"id": f"r{number}", "flow_id": "f1", "state_type": state, **fields}


class Server:
    """Answers filters from a table, page by page."""

    def __init__(self) -> None:
        self.tables: dict[str, list[dict[str, Any]]] = {"/flows/filter": [{"id": "f1", "name": "release"}]}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path, body = request.url.path.removeprefix("/api"), json.loads(request.content)
        self.asked.append((path, body))
        rows = self.tables.get(path, [])
        if wanted := body.get("flow_runs", {}).get("state"):
            rows = [row for row in rows if row["state_type"] in wanted["type"]["any_"]]
        return httpx.Response(200, json=rows[body["offset"] : body["offset"] + body["limit"]])


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def prefect(server: Server) -> Iterator[PrefectRuns]:
    with PrefectRuns(PrefectApi("http://p/api", transport=httpx.MockTransport(server))) as runs:
        yield runs


def test_ended_runs_have_flow_state_duration_and_time(server: Server, prefect: PrefectRuns) -> None:
    server.tables["/flow_runs/filter"] = [
        run(1, "COMPLETED", end_time=ENDED, total_run_time=12.5),
        run(2, "RUNNING"),
        run(3, "CRASHED", end_time=None),
    ]

    assert prefect.ended_runs(SINCE) == [
        PipelineRun("r1", "release", "completed", 12.5, datetime.fromisoformat(ENDED))
    ]
    where = server.asked[0][1]["flow_runs"]
    assert where["end_time"] == {"after_": SINCE.isoformat()}
    assert set(where["state"]["type"]["any_"]) == {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def test_a_long_list_is_read_page_by_page(server: Server, prefect: PrefectRuns) -> None:
    server.tables["/flow_runs/filter"] = [run(n, "FAILED", end_time=ENDED) for n in range(450)]

    assert len(prefect.ended_runs(SINCE)) == 450


def test_open_runs_are_counted_by_flow_and_state(server: Server, prefect: PrefectRuns) -> None:
    server.tables["/flow_runs/filter"] = [run(1, "RUNNING"), run(2, "RUNNING"), run(3, "SCHEDULED")]

    assert prefect.open_runs() == {("release", "running"): 2, ("release", "scheduled"): 1}
    assert "before_" in server.asked[0][1]["flow_runs"]["expected_start_time"]


def test_the_oldest_late_run_of_each_pool_is_told(server: Server, prefect: PrefectRuns) -> None:
    now = datetime.now(UTC)
    times = [now - timedelta(hours=1), now - timedelta(hours=2), now + timedelta(hours=1)]
    server.tables["/flow_runs/filter"] = [
        run(n, "SCHEDULED", work_pool_name="gpu", expected_start_time=at.isoformat())
        for n, at in enumerate(times)
    ]

    assert prefect.oldest_late(30.0) == {"gpu": times[1]}


def test_only_active_schedules_say_how_often_a_flow_should_run(server: Server, prefect: PrefectRuns) -> None:
    server.tables["/deployments/filter"] = [
        {"flow_id": "f1", "schedules": [{"active": True, "schedule": {"interval": 20}}]},
        {"flow_id": "f2", "schedules": [{"active": False, "schedule": {"interval": 20}}]},
        {"flow_id": "f1", "schedules": []},
    ]

    assert prefect.intervals_s() == {"release": 20.0}


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [
        ({"interval": 20}, 20.0),
        ({"cron": "17 3 * * *"}, 86_400.0),
        ({"cron": "43 4 * * 0"}, 604_800.0),
        ({"cron": "0 0 1 * *"}, 31 * 86_400.0),
        ({"cron": "5 * * * *"}, 3_600.0),
        ({"cron": "*/10 * * * *"}, 600.0),
        ({"cron": "0 */6 * * *"}, 21_600.0),
        ({"rrule": "FREQ=DAILY"}, None),
    ],
)
def test_a_schedule_tells_its_interval(schedule: dict[str, Any], seconds: float | None) -> None:
    assert interval_of(schedule) == seconds
