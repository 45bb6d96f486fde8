"""The board for three in the morning: who is hurt, by which release, since when, and what the system did about it."""

from dataclasses import replace

from deployments.monitoring.grafana.boards.releases_shown import (
    ANNOTATIONS,
    BEGAN,
    BEGAN_COLUMN,
    CANDIDATE_SHARE,
    LIVE,
    SHARE_COLUMN,
    STEP,
    STEP_COLUMN,
    TIMELINE,
    TOWARDS,
    TOWARDS_COLUMN,
)
from deployments.monitoring.grafana.expressions import (
    ABOUT_SERVICE,
    BY_SERVICE,
    FIRING,
    NOT_SHADOW,
    OF_ORG,
    OF_ORG_OR_INSTALLATION,
    OF_SERVICE,
    SERVICE_NAME,
    TO_A_PERSON,
    age,
    count_or_zero,
    gained,
    highest,
    moment,
    quantile,
    speed,
)
from deployments.monitoring.grafana.panel import GREEN, ORANGE, RED, YELLOW, Board, Column, Panel, Query, Row

NOBODY_HURT = f"0 * {highest('tidegate_slo_objective_ratio')}"
WENT_BACK = 'outcome="rolled_back"'


def _firing(severity: str) -> str:
    return f'sum by ({BY_SERVICE}) (ALERTS{{{FIRING}, severity="{severity}", {ABOUT_SERVICE}}})\nor {NOBODY_HURT}'


def _active_since(by: str, where: str) -> str:
    return moment(
        f"min by ({by}) (\n"
        f"  ALERTS_FOR_STATE{{{TO_A_PERSON}, {where}}}\n"
        f"  and ignoring (alertstate) ALERTS{{{FIRING}, {TO_A_PERSON}, {where}}}\n)"
    )


def _number(title: str, says: str, expr: str, color: str, *alerts: str) -> Panel:
    return Panel(
        title,
        says,
        (Query(expr),),
        "none",
        look="stat",
        width=4,
        height=4,
        steps=((1, color),) if color else (),
        alerts=alerts,
        decimals=0,
    )


GLANCE = (
    _number(
        "Pages",
        "Alerts that fire now and want a person now. The table below says of whom.",
        count_or_zero(f'ALERTS{{{FIRING}, severity="page", {OF_ORG_OR_INSTALLATION}}}'),
        RED,
    ),
    _number(
        "Tickets",
        "Alerts that fire now and can wait for the working day.",
        count_or_zero(f'ALERTS{{{FIRING}, severity="ticket", {OF_ORG_OR_INSTALLATION}}}'),
        ORANGE,
    ),
    _number(
        "Services hurt",
        "Services of the chosen organizations that at least one page is about.",
        count_or_zero(f'count by ({BY_SERVICE}) (ALERTS{{{FIRING}, severity="page", {ABOUT_SERVICE}}})'),
        RED,
    ),
    _number(
        "Open releases",
        "Services that a release is moving to another version now.",
        count_or_zero(highest("tidegate_release_started_timestamp_seconds")),
        YELLOW,
    ),
    _number(
        "Went back in 24 h",
        "Releases that the system took back by itself, or a person did.",
        f"{gained('tidegate_releases_total', by='', where=f'{OF_SERVICE}, {WENT_BACK}')} or vector(0)",
        ORANGE,
        "RollbacksRepeated",
    ),
    Panel(
        "Can this board be trusted?",
        "Yes: the exporter answers, and rules are evaluated. No: every green on this board is blindness.",
        (Query('(max(up{job="tidegate"}) or vector(0)) * (max(ALERTS{alertname="Watchdog"}) or vector(0))'),),
        "none",
        look="stat",
        width=4,
        height=4,
        texts={1: ("yes", GREEN), 0: ("NO", RED)},
        steps=((0, RED), (1, GREEN)),
        alerts=("ExporterDown", "Watchdog"),
    ),
)

SERVICES = Panel(
    "Services, the hurt ones first",
    "One row for each service: what fires and since when, by which release, and what the system does about it. Click a service for "
    "its release board, the release for its runs in Prefect.",
    (
        Query(_firing("page"), "Pages"),
        Query(_firing("ticket"), "Tickets"),
        Query(_active_since(BY_SERVICE, ABOUT_SERVICE), "Alerts since"),
        Query(highest("service:errors:ratio_rate5m"), "Failed, 5 min"),
        Query(
            quantile(0.95, "tidegate_time_to_first_token_seconds", BY_SERVICE, NOT_SHADOW, "5m"),
            "First token, 95 %",
        ),
        Query(LIVE),
        Query(TOWARDS),
        Query(STEP, "Release"),
        Query(BEGAN, "Began"),
        Query(CANDIDATE_SHARE, "Candidate gets"),
        Query(
            gained("tidegate_releases_total", where=f"{OF_SERVICE}, {WENT_BACK}", window="1h"),
            "Went back, 1 h",
        ),
    ),
    "none",
    look="table",
    width=24,
    height=8,
    columns=(
        Column("org"),
        Column("service", leads=("release", "prefect")),
        Column("Pages", unit="none", steps=((1, RED),), width=70),
        Column("Tickets", unit="none", steps=((1, ORANGE),), width=80),
        Column("Alerts since", unit="dateTimeFromNow"),
        Column("Failed, 5 min", unit="percentunit", steps=((0.005, YELLOW), (0.05, RED))),
        Column("First token, 95 %", unit="s", steps=((2, RED),)),
        Column("live"),
        TOWARDS_COLUMN,
        STEP_COLUMN,
        BEGAN_COLUMN,
        SHARE_COLUMN,
        Column("Went back, 1 h", unit="none", steps=((1, ORANGE),)),
    ),
    sort=("Pages", "Tickets"),
)

FIRING_NOW = Panel(
    "What fires, and since when",
    "Every alert of the chosen organizations and of the installation itself (`_installation`). A click on its name opens "
    "its runbook.",
    (Query(_active_since("severity, alertname, org, service", OF_ORG_OR_INSTALLATION), "Since"),),
    "dateTimeFromNow",
    look="table",
    width=10,
    height=9,
    columns=(
        Column("severity", texts={"page": ("page", RED), "ticket": ("ticket", ORANGE)}, width=90),
        Column("alertname", leads=("runbook",)),
        Column("org"),
        Column("service"),
        Column("Since", unit="dateTimeFromNow"),
    ),
    sort_up=("severity", "alertname"),
    when_empty="Nothing fires.",
)

CLIENTS = (
    Panel(
        "Requests that fail, by service",
        "Share of clients' requests that ended with 5xx or in no time, over five minutes. Shadow answers reach nobody and "
        "do not count. A service without requests has no line.",
        (Query(f"service:errors:ratio_rate5m{{{OF_SERVICE}}}", SERVICE_NAME),),
        "percentunit",
        steps=((0.05, RED),),
        least=0,
        width=12,
        leads=("release", "prefect"),
        alerts=("AvailabilityBurn",),
    ),
    Panel(
        "First token, 95 %, by service",
        "Nineteen of twenty requests got their first token within this time. The objective is 2 s.",
        (
            Query(
                quantile(0.95, "tidegate_time_to_first_token_seconds", BY_SERVICE, NOT_SHADOW),
                SERVICE_NAME,
            ),
        ),
        "s",
        steps=((2, RED),),
        least=0,
        width=12,
        leads=("release", "prefect"),
        alerts=("FirstTokenBurn",),
    ),
)

MACHINERY = (
    Panel(
        "Requests by service",
        "Requests a second that clients made. A line that falls to nothing is either a quiet night or a way that is cut.",
        (Query(speed("tidegate_requests_total", where=NOT_SHADOW), SERVICE_NAME),),
        "reqps",
        least=0,
        width=6,
        leads=("release",),
    ),
    Panel(
        "Probes through the gateway, by service",
        "1: a probe of one token came back through the gateway. 0 for two minutes is a page.",
        (
            Query(
                f'min by ({BY_SERVICE}) (tidegate_probe_success{{{OF_SERVICE}, slot="stable"}})', SERVICE_NAME
            ),
        ),
        "none",
        look="states",
        width=6,
        texts={1: ("answered", GREEN), 0: ("not answered", RED)},
        alerts=("ServiceUnreachable",),
    ),
    Panel(
        "Processes of the stack",
        "Each process of `tidegate up`. Its supervisor starts it again within seconds; red for a minute is a page.",
        (Query("min by (process) (tidegate_process_up)", "{{process}}"),),
        "none",
        look="states",
        width=6,
        texts={1: ("runs", GREEN), 0: ("down", RED)},
        alerts=("ProcessDown",),
    ),
    Panel(
        "Gateways have been silent for",
        "Seconds since each gateway last wrote. It goes on to serve what it knew; after a minute it is a page.",
        (Query(age("tidegate_gateway_last_seen_timestamp_seconds", "gateway"), "{{gateway}}"),),
        "s",
        steps=((60, RED),),
        least=0,
        width=6,
        alerts=("GatewaySilent",),
    ),
)

CHANGES = Panel(
    "How releases ended, per hour",
    "Promoted, gone back, refused: what the system decided in each hour.",
    (
        Query(
            f"round(sum by (outcome) (increase(tidegate_releases_total{{{OF_SERVICE}}}[1h])))",
            "{{outcome}}",
        ),
    ),
    "none",
    look="bars",
    width=8,
    least=0,
    is_stacked=True,
)
ORGANIZATIONS = Panel(
    "Errors by code",
    "Errors that Tidegate itself recorded, by code and hour. docs/errors.md says what each means and what to do.",
    (Query(gained("tidegate_errors_total", "org, code", OF_ORG, "1h"), "{{org}} {{code}}"),),
    "none",
    look="bars",
    width=8,
    least=0,
    is_stacked=True,
    alerts=("ErrorsRising",),
)
CHECKS = Panel(
    "Health checks that are not well",
    "Checks of `tidegate doctor` that warn or fail, with their state. None is good.",
    (
        Query(
            'max by (check, state) (tidegate_health_check_state{state=~"warning|failed|unknown"}) == 1',
            "{{check}} {{state}}",
        ),
    ),
    "none",
    width=8,
    look="bars",
    is_stacked=True,
    least=0,
    alerts=("HealthCheckFailed", "HealthCheckUnknown"),
    when_empty="All are well.",
)

OVERVIEW = Board(
    "tidegate-overview",
    "Tidegate · Overview",
    "Who is hurt, by which release, since when, and what the system did. Read from the top; each number leads on.",
    (
        Row("", (*GLANCE, SERVICES, FIRING_NOW, replace(TIMELINE, width=14, height=9), *CLIENTS)),
        Row("What keeps it going", MACHINERY),
        Row("What happened", (CHANGES, ORGANIZATIONS, CHECKS)),
    ),
    annotations=ANNOTATIONS,
)
