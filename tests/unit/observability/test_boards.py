"""What every board and panel must have, and that boards, alerts, metrics and runbooks speak of the same things."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.models import units

from deployments.monitoring.grafana.__main__ import STANDING, differing, drawn, main
from deployments.monitoring.grafana.boards import BOARDS
from deployments.monitoring.grafana.boards.releases_shown import STEPS
from deployments.monitoring.grafana.drawing import Places
from deployments.monitoring.grafana.panel import Board, Panel
from tests.unit.observability.board_files import FILES, everything_in, load, panels
from tests.unit.observability.promql import selectors
from tests.unit.observability.test_alert_rules import (
    ALERTS,
    NAMES,
    OF_PROMETHEUS,
    RECORDED,
    RULES,
    RUNBOOKS,
    label_faults,
)
from tidegate.domain import ReleaseState
from tidegate.domain.release import TERMINAL
from tidegate.observability import SERIES_NAMES

ALERT_SERIES = frozenset({"ALERTS", "ALERTS_FOR_STATE"})
GRID_WIDTH = 24
EVERY_PANEL = [(board, panel) for board in BOARDS for panel in board.panels]
ANY_UNIT = {
    value for name, value in vars(units).items() if not name.startswith("_") and isinstance(value, str)
}
RECORDING = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}

of_each_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
of_each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
of_each_panel = pytest.mark.parametrize(
    ("board", "panel"), EVERY_PANEL, ids=[f"{board.uid}: {panel.title}" for board, panel in EVERY_PANEL]
)


def metrics_of(expression: str) -> set[str]:
    """Names of metrics, through recorded ones."""
    found: set[str] = set()
    for one in selectors(expression):
        found |= metrics_of(RECORDING[one.name]) if one.name in RECORDING else {one.name}
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


def expressions(board: Board) -> list[str]:
    asked = [query.expr for panel in board.panels for query in panel.queries]
    return asked + [annotation.expr for annotation in board.annotations]


def test_the_committed_dashboards_are_what_the_code_draws() -> None:
    assert differing(drawn(Places()), STANDING) == [], "run `python -m deployments.monitoring.grafana`"


def test_there_is_a_board_for_everything_that_an_operator_asks() -> None:
    assert [board.uid.removeprefix("tidegate-") for board in BOARDS] == [
        "overview", "release", "serving", "engines", "quality", "cost", "pipeline",
    ]  # fmt: skip


@of_each_panel
def test_a_panel_says_what_it_shows_in_a_unit_that_grafana_knows(board: Board, panel: Panel) -> None:
    assert len(panel.says) > 25
    assert panel.says.rstrip().endswith((".", "`."))
    shown = [panel.unit, *(column.unit for column in panel.columns)]
    assert {unit for unit in shown if unit not in ANY_UNIT} == set()
    assert panel.queries
    assert all(query.legend for query in panel.queries if panel.look in ("lines", "bars", "states"))


@of_each_board
def test_no_two_panels_of_a_board_have_one_title(board: Board) -> None:
    titles = Counter(panel.title for panel in board.panels)
    assert [title for title, count in titles.items() if count > 1] == []
    assert board.says


@of_each_board
def test_a_board_asks_only_for_metrics_labels_and_values_that_are_declared(board: Board) -> None:
    found = [one for expr in expressions(board) for one in selectors(expr)]

    assert {one.name for one in found} - SERIES_NAMES - RECORDED - OF_PROMETHEUS - ALERT_SERIES == set()
    assert [fault for one in found for fault in label_faults(one.name, one.matchers)] == []


@of_each_board
def test_windows_follow_the_zoom_or_are_a_length_that_a_title_can_name(board: Board) -> None:
    windows = {window for expr in expressions(board) for window in re.findall(r"\[([^\]]+)\]", expr)}
    assert windows <= {"$__rate_interval", "1m", "5m", "10m", "15m", "30m", "1h", "2h", "6h", "1d"}


@pytest.mark.parametrize("alert", NAMES)
def test_every_alert_has_a_panel_that_shows_what_it_is_about(alert: str) -> None:
    about = {name for rule in ALERTS if rule["alert"] == alert for name in metrics_of(rule["expr"])}
    showing = [panel for _, panel in EVERY_PANEL if alert in panel.alerts]

    assert showing
    for panel in showing if about else ():
        assert about & {name for query in panel.queries for name in metrics_of(query.expr)}, panel.title


@of_each_panel
def test_a_panel_leads_to_runbooks_that_exist(board: Board, panel: Panel) -> None:
    assert [alert for alert in panel.alerts if not (RUNBOOKS / f"{alert}.md").is_file()] == []


def test_every_release_state_that_is_open_belongs_to_one_shown_step() -> None:
    shown = Counter(state for _, _, states in STEPS for state in states)
    assert shown == Counter(state for state in ReleaseState if state not in TERMINAL)


def test_boards_about_releases_lead_to_their_runs_in_prefect() -> None:
    for uid in ("tidegate-overview", "tidegate-release"):
        (file,) = [one for one in FILES if one.stem == uid]
        urls = set(everything_in(load(file)["panels"], "url"))
        assert any(url.startswith("${prefect}/runs?flow-run-search=") for url in urls)


@of_each_file
def test_no_panel_names_a_data_source(file: Path) -> None:
    sources = list(everything_in(load(file), "datasource"))
    assert sources
    assert {(one["type"], one["uid"]) for one in sources} == {("prometheus", "${datasource}")}


@of_each_file
def test_a_board_lets_one_choose_organization_and_service(file: Path) -> None:
    variables = {one["name"]: one for one in load(file)["templating"]["list"]}
    assert list(variables) == ["datasource", "org", "service", "prefect", "docs"]
    assert all(variables[name]["includeAll"] and variables[name]["multi"] for name in ("org", "service"))
    assert all(variables[name]["hide"] == 2 for name in ("prefect", "docs"))
    assert load(file)["editable"] is False


@of_each_file
def test_panels_fill_the_grid_and_do_not_cover_each_other(file: Path) -> None:
    cells: Counter[tuple[int, int]] = Counter()
    for panel in load(file)["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= GRID_WIDTH
        cells.update(
            (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
        )
    assert max(cells.values()) == 1
    numbers = [panel["id"] for panel in load(file)["panels"]]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_the_overview_answers_within_its_first_screen() -> None:
    """1080 lines of a screen are about 26 units of Grafana's grid, those of a small one 21."""
    (file,) = [one for one in FILES if one.stem == "tidegate-overview"]
    first = {panel["title"] for panel in panels(file) if panel["gridPos"]["y"] + panel["gridPos"]["h"] <= 21}

    assert {
        "Pages",
        "Can this board be trusted?",
        "Services, the hurt ones first",
        "What the system is doing, service by service",
        "What fires, and since when",
    } <= first


def test_check_tells_what_differs_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path), "--check"]) == 1
    assert "tidegate-overview.json is not what the code draws" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_boards_are_written_for_other_places_and_old_ones_are_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--prefect", "https://prefect.example/", "--docs", "https://docs.example"]
    (tmp_path / "tidegate-gone.json").write_text("{}")
    (tmp_path / "somebody-elses.json").write_text("{}")

    assert main(["--out", str(tmp_path), *places]) == 0
    assert main(["--out", str(tmp_path), *places, "--check"]) == 0

    constants = {
        one["name"]: one["query"]
        for one in load(tmp_path / "tidegate-overview.json")["templating"]["list"]
        if one["type"] == "constant"
    }
    assert constants == {"prefect": "https://prefect.example", "docs": "https://docs.example"}
    assert not (tmp_path / "tidegate-gone.json").exists()
    assert (tmp_path / "somebody-elses.json").exists()
    assert "tidegate-gone.json removed" in capsys.readouterr().out


def _texts(panel: dict[str, Any]) -> list[str]:
    return [target["legendFormat"] for target in panel["targets"]]


@of_each_file
def test_a_table_asks_for_now_and_lines_for_the_time_between(file: Path) -> None:
    for panel in panels(file):
        is_now = panel["type"] in ("table", "stat")
        assert all(target["instant"] is is_now for target in panel["targets"]), panel["title"]
        assert all(_texts(panel)), panel["title"]
