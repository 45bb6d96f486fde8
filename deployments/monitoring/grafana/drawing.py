"""Boards as Grafana's JSON, by the official SDK. No panel names a data source: the board's variable does."""

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import common as looks
from grafana_foundation_sdk.builders import dashboard as sdk
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deployments.monitoring.grafana.panel import Annotation, Board, Column, Leads, Panel, Steps, Texts
from deployments.monitoring.grafana.tables import transformations, value_names

SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
SERVICES = "tidegate_slo_objective_ratio"
"""Every service has an objective, also one that nobody asks anything."""
ALL = ".*"
REFRESH = "10s"
RUNBOOKS = "operations/runbooks"


@dataclass(frozen=True)
class Places:
    """Where links lead to. Both are constants of each board."""

    prefect: str = "http://127.0.0.1:4200"
    docs: str = "/public/tidegate"
    """Grafana itself shows the runbooks: `compose.yaml` puts them there, so that they can be read at night without
    anything else."""


def draw(board: Board, places: Places) -> str:
    """The text of one dashboard's file."""
    made = (
        sdk.Dashboard(board.title)
        .uid(board.uid)
        .description(board.says)
        .tags(list(board.tags))
        .time(board.since, "now")
        .refresh(REFRESH)
        .timezone("utc")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .readonly()
    )
    for variable in _variables(places):
        made = made.with_variable(variable)
    for link in _board_links():
        made = made.link(link)
    for annotation in board.annotations:
        made = made.annotation(_annotation(annotation))
    numbers = itertools.count(1)
    for row in board.rows:
        if row.title:
            made = made.with_row(sdk.Row(row.title).id(next(numbers)))
        for panel in row.panels:
            made = made.with_panel(_panel(panel, next(numbers)))
    content = json.loads(json.dumps(made.build(), cls=JSONEncoder))
    _complete(content, board)
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _complete(content: dict[str, Any], board: Board) -> None:
    """What Grafana reads and the SDK has no word for."""
    for variable in content["templating"]["list"]:
        if variable["type"] == "constant":
            variable["hide"] = int(dashboard.VariableHide.HIDE_VARIABLE)
    for drawn, wanted in zip(content["annotations"].get("list", ()), board.annotations, strict=True):
        drawn["textFormat"] = wanted.text
        drawn["titleFormat"] = wanted.name
        drawn["useValueForTime"] = wanted.at_value
        drawn["step"] = REFRESH


def _variables(places: Places) -> tuple[Any, ...]:
    return (
        sdk.DatasourceVariable("datasource").label("Prometheus").type("prometheus"),
        _of_services("org", "Organization", f"label_values({SERVICES}, org)"),
        _of_services("service", "Service", f'label_values({SERVICES}{{org=~"$org"}}, service)'),
        sdk.ConstantVariable("prefect").value(places.prefect.rstrip("/")),
        sdk.ConstantVariable("docs").value(places.docs.rstrip("/")),
    )


def _of_services(name: str, label: str, query: str) -> Any:
    return (
        sdk.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(SOURCE)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(ALL)
        .current(dashboard.VariableOption(selected=True, text="All", value="$__all"))
    )


def _board_links() -> tuple[Any, ...]:
    return (
        sdk.DashboardLink("Boards")
        .type(dashboard.DashboardLinkType.DASHBOARDS)
        .tags(["tidegate"])
        .as_dropdown(False)
        .keep_time(True)
        .include_vars(True),
        _link("Runs in Prefect", "${prefect}/runs"),
        _link("Runbooks", f"${{docs}}/{RUNBOOKS}/README.md"),
    )


def _link(title: str, url: str) -> Any:
    return (
        sdk.DashboardLink(title)
        .type(dashboard.DashboardLinkType.LINK)
        .icon("external link")
        .url(url)
        .target_blank(True)
    )


def _annotation(wanted: Annotation) -> Any:
    return (
        sdk.AnnotationQuery()
        .name(wanted.name)
        .datasource(SOURCE)
        .enable(True)
        .icon_color(wanted.color)
        .expr(wanted.expr)
    )


def _lines() -> Any:
    return (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(8)
        .show_points(common.VisibilityMode.NEVER)
        .legend(
            looks.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.TABLE)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
            .sort_by("Last *")
            .sort_desc(True)
        )
        .tooltip(
            looks.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
        )
    )


def _bars() -> Any:
    return _lines().draw_style(common.GraphDrawStyle.BARS).fill_opacity(60)


def _stat() -> Any:
    return (
        stat.Panel()
        .color_mode(common.BigValueColorMode.BACKGROUND)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(looks.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def _states() -> Any:
    return (
        statetimeline.Panel()
        .merge_values(True)
        .show_value(common.VisibilityMode.AUTO)
        .row_height(0.85)
        .legend(
            looks.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(False)
        )
    )


BY_LOOK: Mapping[str, Callable[[], Any]] = {
    "lines": _lines,
    "bars": _bars,
    "stat": _stat,
    "states": _states,
    "table": table.Panel,
}


def _panel(wanted: Panel, number: int) -> Any:
    made = (
        BY_LOOK[wanted.look]()
        .id(number)
        .title(wanted.title)
        .description(wanted.says)
        .datasource(SOURCE)
        .span(wanted.width)
        .height(wanted.height)
        .unit(wanted.unit)
        .thresholds(_thresholds(wanted.steps))
        .links([_runbook(alert) for alert in wanted.alerts])
    )
    made = _with_values(made, wanted)
    for place, query in enumerate(wanted.queries):
        made = made.with_target(_target(wanted, query.expr, query.legend, chr(ord("A") + place)))
    if wanted.look == "table":
        return _with_columns(made, wanted)
    return made


def _with_values(made: Any, wanted: Panel) -> Any:
    if wanted.texts:
        made = made.mappings([_mapping(wanted.texts)])
    if wanted.steps or wanted.texts:
        made = made.color_scheme(sdk.FieldColor().mode(_coloring(wanted)))
    if wanted.steps and wanted.look in ("lines", "bars"):
        style = looks.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        made = made.thresholds_style(style)
    if wanted.is_stacked:
        made = made.stacking(looks.StackingConfig().mode(common.StackingMode.NORMAL))
    if wanted.least is not None:
        made = made.min(wanted.least)
    if wanted.most is not None:
        made = made.max(wanted.most)
    if wanted.decimals is not None:
        made = made.decimals(wanted.decimals)
    if wanted.when_empty:
        made = made.no_value(wanted.when_empty)
    if wanted.leads:
        made = made.data_links([_lead(one, "__field.labels") for one in wanted.leads])
    return made


def _coloring(wanted: Panel) -> dashboard.FieldColorModeId:
    if wanted.look in ("lines", "bars"):
        return dashboard.FieldColorModeId.PALETTE_CLASSIC
    return dashboard.FieldColorModeId.THRESHOLDS


def _target(wanted: Panel, expr: str, legend: str, ref: str) -> Any:
    made = prometheus.Dataquery().expr(expr).ref_id(ref).datasource(SOURCE)
    if wanted.look == "table":
        return made.instant().format(PromQueryFormat.TABLE).legend_format("__auto")
    if wanted.look == "stat":
        return made.instant().legend_format(legend or "__auto")
    return made.range().legend_format(legend)


def _with_columns(made: Any, wanted: Panel) -> Any:
    made = made.transformations(transformations(wanted)).cell_height(common.TableCellHeight.SM)
    shown = {column.title for column in wanted.columns}
    order = [(title, True) for title in wanted.sort] + [(title, False) for title in wanted.sort_up]
    made = made.sort_by(
        [looks.TableSortByFieldState().display_name(title).desc(is_down) for title, is_down in order]
    )
    for column in wanted.columns:
        made = made.override_by_name(column.title, _column(column))
    missing = {title for title in value_names(wanted).values() if title} - shown
    assert not missing, f"{wanted.title}: columns without a description: {missing}"
    return made


def _column(column: Column) -> list[dashboard.DynamicConfigValue]:
    set_to = dashboard.DynamicConfigValue
    found = [set_to("unit", column.unit)]
    if column.width:
        found.append(set_to("custom.width", column.width))
    if column.steps:
        found.append(set_to("thresholds", _thresholds(column.steps).build()))
    if column.texts:
        found.append(set_to("mappings", [_mapping(column.texts)]))
    if column.steps or column.texts:
        found.append(set_to("custom.cellOptions", {"type": "color-background", "mode": "basic"}))
    if column.leads:
        found.append(set_to("links", [_lead(one, "__data.fields").build() for one in column.leads]))
    return found


def _thresholds(steps: Steps) -> Any:
    first = dashboard.Threshold(value=None, color="green")
    rest = [dashboard.Threshold(value=value, color=color) for value, color in steps]
    return sdk.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps([first, *rest])


def _mapping(texts: Texts) -> dashboard.ValueMap:
    return dashboard.ValueMap(
        {
            str(value): dashboard.ValueMappingResult(text=text, color=color, index=place)
            for place, (value, (text, color)) in enumerate(texts.items())
        }
    )


def _runbook(alert: str) -> Any:
    return _link(f"Runbook {alert}", f"${{docs}}/{RUNBOOKS}/{alert}.md")


def _lead(leads: Leads, labels: str) -> Any:
    """`labels` is how Grafana names the labels of what was clicked: of a series, or of a row."""
    of = f"${{{labels}.org}}", f"${{{labels}.service}}"
    if leads == "prefect":
        # Runs of releases are named after their service: `acme/chat pipit:v4`.
        return _link("Its runs in Prefect", f"${{prefect}}/runs?flow-run-search={of[0]}/{of[1]}")
    if leads == "release":
        return _link("Its release", f"/d/tidegate-release?var-org={of[0]}&var-service={of[1]}")
    return _link("Runbook", f"${{docs}}/{RUNBOOKS}/${{{labels}.alertname}}.md")
