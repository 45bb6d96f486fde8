"""Every expression of every board, asked of a real Prometheus that a stand-in of the exporter feeds."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.monitoring.grafana.boards import BOARDS
from deployments.setup.monitoring import MonitoringTools
from tests.integration.observability.asking_boards import (
    FILES,
    Prometheus,
    asked,
    columns,
    is_number,
    load,
    panels,
    questions,
)
from tests.integration.observability.processes import get, hurry, process, wait_for
from tests.integration.observability.sample_world import (
    FLAWLESS,
    HURT,
    IDLE,
    OPEN_RELEASES,
    ORGANIZATIONS,
    SERVICES,
    standing_in,
)
from tidegate.observability.monitoring_files import render_monitoring
from tidegate.observability.monitoring_settings import MonitoringSettings
from tidegate.stack.port_choice import choose_ports

STANDING = Path(__file__).resolve().parents[3] / "deployments" / "monitoring"


@pytest.fixture(scope="module")
def prometheus(tools: MonitoringTools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """With the rules as they are; only their waiting times are shorter."""
    folder = tmp_path_factory.mktemp("boards")
    (port,) = choose_ports(folder, {"prometheus": 24500}, "127.0.0.1").values()
    address = f"127.0.0.1:{port}"
    with standing_in() as exporter:
        settings = MonitoringSettings(exporter=exporter, prometheus=address, alertmanager=address)
        render_monitoring(settings, ORGANIZATIONS, STANDING).write(folder)
        hurry(
            folder,
            ("prometheus/prometheus.yml", r"(evaluation|scrape)_interval: \d+s", r"\1_interval: 1s"),
            ("prometheus/prometheus.yml", r"scrape_timeout: \d+s", "scrape_timeout: 1s"),
            ("prometheus/rules/*.yml", r"for: \d+[mh]", "for: 0s"),
            ("prometheus/rules/*.yml", r"interval: 1m", "interval: 1s"),
        )
        words = [
            tools.prometheus,
            f"--config.file={folder}/prometheus/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={address}",
        ]
        with process(words, folder / "log"):
            wait_for(lambda: get(f"http://{address}/-/ready") is not None, (folder / "log").read_text)
            yield Prometheus(address)


def fed(prometheus: Prometheus, file: Path) -> dict[str, Any]:
    """The content of a board, once every expression of it finds something."""
    content = load(file)
    waiting = {asked(one.expr) for one in questions(content)}

    def found() -> bool:
        waiting.difference_update([expr for expr in waiting if prometheus.series(expr)])
        return not waiting

    wait_for(found, lambda: "nothing is found by:\n" + "\n\n".join(sorted(waiting)))
    return content


of_each_board = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


@of_each_board
def test_every_expression_finds_numbers_and_the_labels_that_its_legend_names(
    prometheus: Prometheus, file: Path
) -> None:
    for one in questions(fed(prometheus, file)):
        answer = prometheus.series(asked(one.expr))
        assert all(is_number(series) for series in answer), f"{one.panel}: {one.expr}"
        lacking = [series["metric"] for series in answer if not one.wanted <= series["metric"].keys()]
        assert not lacking, f"{one.panel} names {set(one.wanted)}: {lacking[:3]}"


@of_each_board
def test_the_columns_of_a_table_are_labels_and_its_queries_have_some_in_common(
    prometheus: Prometheus, file: Path
) -> None:
    for panel in panels(fed(prometheus, file)):
        if panel["type"] == "table":
            answers = [prometheus.series(asked(target["expr"])) for target in panel["targets"]]
            given = [{label for one in answer for label in one["metric"]} for answer in answers]
            assert columns(panel) <= set.union(*given), panel["title"]
            assert set.intersection(*given), f"{panel['title']}: Grafana could not join its rows"


@of_each_board
def test_every_variable_finds_values(prometheus: Prometheus, file: Path) -> None:
    found: dict[str, list[str]] = {}
    for variable in load(file)["templating"]["list"]:
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
            assert match, variable["query"]
            wait_for(lambda match=match: prometheus.values(match[2], asked(match[1])), lambda: str(found))
            found[variable["name"]] = prometheus.values(match[2], asked(match[1]))
    assert found == {"org": list(ORGANIZATIONS), "service": sorted(service for _, service in SERVICES)}


@of_each_board
def test_a_board_of_one_organization_shows_nothing_of_another(prometheus: Prometheus, file: Path) -> None:
    org, service = HURT
    for one in questions(fed(prometheus, file)):
        answer = prometheus.series(asked(one.expr, {"org": org, "service": service}))
        seen = {series["metric"].get("org", "_installation") for series in answer}
        assert seen <= {org, "_installation"}, one.panel
        assert {series["metric"].get("service", service) for series in answer} == (
            {service} if answer else set()
        )


def answers_of(prometheus: Prometheus, board: str, title: str, of: str = "") -> dict[tuple[str, str], float]:
    """Of a panel's query, or of one column: each service's number."""
    (panel,) = [one for made in BOARDS if made.uid == board for one in made.panels if one.title == title]
    (query,) = [one for one in panel.queries if not of or one.legend == of]
    return {
        (one["metric"]["org"], one["metric"]["service"]): float(one["value"][1])
        for one in prometheus.series(asked(query.expr))
    }


def test_the_overview_tells_the_hurt_service_from_the_others(prometheus: Prometheus) -> None:
    title = "Services, the hurt ones first"

    def pages() -> dict[tuple[str, str], float]:
        return answers_of(prometheus, "tidegate-overview", title, "Pages")

    wait_for(lambda: pages().get(HURT, 0) >= 1, lambda: str(pages()))
    fed(prometheus, next(file for file in FILES if file.stem == "tidegate-overview"))
    assert set(pages()) == set(SERVICES), "every service has a row"
    assert pages()[FLAWLESS] == pages()[IDLE] == 0, prometheus.series('ALERTS{severity="page"}')
    assert set(answers_of(prometheus, "tidegate-overview", title, "Release")) == set(OPEN_RELEASES)
    failed = answers_of(prometheus, "tidegate-overview", title, "Failed, 5 min")
    assert failed[HURT] > 0.01
    assert failed[FLAWLESS] == 0, "no error yet is 0, not nothing"
    assert IDLE not in failed, "without requests there is no share"


def test_only_what_costs_and_is_asked_nothing_is_called_idle(prometheus: Prometheus) -> None:
    def idle() -> set[tuple[str, str]]:
        return set(answers_of(prometheus, "tidegate-cost", "Costs and is asked nothing"))

    wait_for(lambda: idle() == {IDLE}, lambda: str(idle()))


def test_a_release_is_shown_in_the_step_that_it_is_in(prometheus: Prometheus) -> None:
    from deployments.monitoring.grafana.boards.releases_shown import TEXTS

    def steps() -> dict[tuple[str, str], float]:
        return answers_of(prometheus, "tidegate-release", "Open releases", "Release")

    wait_for(lambda: len(steps()) == len(OPEN_RELEASES), lambda: str(steps()))
    assert {ref: TEXTS[int(step)][0] for ref, step in steps().items()} == {
        HURT: "takes traffic",
        FLAWLESS: "waits for a person",
    }
