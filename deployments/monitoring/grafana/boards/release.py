"""One release: where it is, who gets the candidate, and whether it serves as well as the live version."""

from deployments.monitoring.grafana.boards.releases_shown import (
    ANNOTATIONS,
    BEGAN,
    BEGAN_COLUMN,
    CANDIDATE_SHARE,
    LIVE,
    NOW,
    SHARE_COLUMN,
    SINCE,
    STEP,
    STEP_COLUMN,
    TIMELINE,
    TOWARDS,
    TOWARDS_COLUMN,
)
from deployments.monitoring.grafana.expressions import (
    BY_SERVICE,
    BY_SLOT,
    OF_ORG,
    OF_SERVICE,
    SERVICE_NAME,
    SLOT_NAME,
    age,
    gained,
    highest,
    quantile,
    share,
    speed,
)
from deployments.monitoring.grafana.panel import GREEN, ORANGE, RED, Board, Column, Panel, Query, Row

OPEN = Panel(
    "Open releases",
    "Which version each service is on its way to, in which state and since when. `hold` and `await_approval` wait for a "
    "person: `tidegate approve ORG/SERVICE`. To go back at once: `tidegate rollback ORG/SERVICE`.",
    (
        Query(STEP, "Release"),
        Query(f"max by ({BY_SERVICE}, state) ({NOW})"),
        Query(TOWARDS),
        Query(f"{LIVE}\nand on ({BY_SERVICE}) tidegate_release_info"),
        Query(BEGAN, "Began"),
        Query(SINCE, "In this state since"),
        Query(CANDIDATE_SHARE, "Candidate gets"),
    ),
    "none",
    look="table",
    width=24,
    height=6,
    columns=(
        Column("org"),
        Column("service", leads=("prefect",)),
        Column("live"),
        TOWARDS_COLUMN,
        STEP_COLUMN,
        Column("state"),
        Column("In this state since", unit="dateTimeFromNow"),
        BEGAN_COLUMN,
        SHARE_COLUMN,
    ),
    sort=("Release",),
    alerts=("ReleaseStuck", "ReleaseWaits", "RollbackStuck"),
    when_empty="No release is open.",
)

SHARES = (
    Panel(
        "Share of requests that each slot gets",
        "What the gateway is told. A step up is the next stage of the release; the candidate at 0 is a way back.",
        (Query(highest("tidegate_release_traffic_ratio", BY_SLOT), SLOT_NAME),),
        "percentunit",
        width=12,
        least=0,
        most=1,
        leads=("prefect",),
    ),
    Panel(
        "Requests that each slot answers",
        "What clients really got, in requests a second: it follows the shares within seconds.",
        (Query(speed("tidegate_requests_total", BY_SLOT), SLOT_NAME),),
        "reqps",
        width=12,
        least=0,
        leads=("prefect",),
    ),
)

COMPARED = (
    Panel(
        "Requests that fail, candidate against live",
        "Over a quarter of an hour. The candidate above twice the live version goes back by itself; if it does not, it is "
        "a page.",
        (Query(f"slot:errors:ratio15m{{{OF_SERVICE}}}", SLOT_NAME),),
        "percentunit",
        least=0,
        leads=("prefect",),
        alerts=("CandidateWorse",),
    ),
    Panel(
        "First token, 95 %, candidate against live",
        "Time until the first token, as the gateway saw it.",
        (Query(quantile(0.95, "tidegate_time_to_first_token_seconds"), SLOT_NAME),),
        "s",
        least=0,
        steps=((2, RED),),
    ),
    Panel(
        "Whole answer, 95 %, candidate against live",
        "Time until the last byte. Longer answers take longer: look at the tokens beside it.",
        (Query(quantile(0.95, "tidegate_request_duration_seconds"), SLOT_NAME),),
        "s",
        least=0,
    ),
    Panel(
        "Time per output token, 95 %, candidate against live",
        "Mean time between tokens of one answer: how fast a reader sees text.",
        (Query(quantile(0.95, "tidegate_time_per_output_token_seconds"), SLOT_NAME),),
        "s",
        least=0,
    ),
    Panel(
        "Tokens of an answer, candidate against live",
        "Output tokens per request. A candidate that talks far more or less than the live version is a change in itself.",
        (
            Query(
                share(
                    speed("tidegate_tokens_total", BY_SLOT, f'{OF_SERVICE}, type="output"'),
                    speed("tidegate_requests_total", BY_SLOT),
                ),
                SLOT_NAME,
            ),
        ),
        "none",
        least=0,
    ),
    Panel(
        "Answers that are not what they should be, by slot",
        "Empty, cut, malformed or wrongly shaped answers, as a share of requests.",
        (
            Query(
                share(
                    speed("tidegate_output_validation_failures_total", BY_SLOT),
                    speed("tidegate_requests_total", BY_SLOT),
                ),
                SLOT_NAME,
            ),
        ),
        "percentunit",
        least=0,
    ),
)

ENDINGS = (
    Panel(
        "How releases ended, per day",
        "By service and outcome: `done` was promoted, `rolled_back` went back, `rejected` was refused by a gate.",
        (
            Query(
                f"{gained('tidegate_releases_total', 'org, service, outcome')} > 0", "{{service}} {{outcome}}"
            ),
        ),
        "none",
        look="bars",
        least=0,
        is_stacked=True,
        leads=("prefect",),
        when_empty="No release ended.",
    ),
    Panel(
        "Releases that went back within a day",
        "One may be a bad model. Three are a training job, a policy or a platform that needs a look.",
        (
            Query(
                gained("tidegate_releases_total", where=f'{OF_SERVICE}, outcome="rolled_back"'), SERVICE_NAME
            ),
        ),
        "none",
        least=0,
        steps=((3, RED),),
        leads=("prefect",),
        alerts=("RollbacksRepeated",),
    ),
    Panel(
        "Verdicts of gates, per day",
        "Which gate refuses, or cannot judge. `error` is our trouble, not the model's.",
        (
            Query(
                f"{gained('tidegate_gate_decisions_total', 'gate, decision', OF_ORG)} > 0",
                "{{gate}} {{decision}}",
            ),
        ),
        "none",
        look="bars",
        least=0,
        is_stacked=True,
        when_empty="No gate decided anything.",
    ),
    Panel(
        "Live requests that were judged, per hour",
        "Evidence of the live gate. Few requests make a slow release, not a wrong one.",
        (Query(gained("tidegate_canary_samples_total", BY_SLOT, window="1h"), SLOT_NAME),),
        "none",
        least=0,
    ),
)

HELD_BACK = (
    Panel(
        "Services to which nothing is released by itself",
        "A person stopped releases, or a way back did. `tidegate hold list` says who, when and why; `tidegate hold lift "
        "ORG/SERVICE --reason ...` ends it.",
        (Query(highest("tidegate_hold"), SERVICE_NAME),),
        "none",
        look="states",
        width=12,
        texts={0: ("open", GREEN), 1: ("held", ORANGE)},
    ),
    Panel(
        "Files that must not be released",
        "Quarantined after a gate refused them or a release of them went back. Another release of the same file is refused.",
        (Query(f"max by (org) (tidegate_quarantined_versions{{{OF_ORG}}})", "{{org}}"),),
        "none",
        width=12,
        least=0,
    ),
)

MACHINERY = (
    Panel(
        "What runs is not what is wanted",
        "Services whose sets or weights differ from what the ledger wants. The reconciler mends it within seconds.",
        (Query(highest("tidegate_reconcile_drift"), SERVICE_NAME),),
        "none",
        look="states",
        texts={0: ("as wanted", GREEN), 1: ("differs", ORANGE)},
        alerts=("DriftPersists",),
    ),
    Panel(
        "Gateways that do not follow a route",
        "Changes of a route that a gateway has not taken over. A switch or a way back waits for it.",
        (
            Query(
                highest("tidegate_gateway_generations_behind", "gateway, org, service"),
                "{{gateway}} {{org}}/{{service}}",
            ),
        ),
        "none",
        least=0,
        steps=((1, RED),),
        alerts=("GatewayBehind",),
    ),
    Panel(
        "The reconciler last looked, ago",
        "It finishes releases whose owner died. Five minutes without it is a page.",
        (Query(age("tidegate_reconcile_last_success_timestamp_seconds"), "reconciler"),),
        "s",
        least=0,
        steps=((300, RED),),
        alerts=("ReconcileStale",),
    ),
)

RELEASE = Board(
    "tidegate-release",
    "Tidegate · Release",
    "One release from its beginning to its end: state, shares, and the candidate against the live version.",
    (
        Row("", (OPEN, TIMELINE)),
        Row("Who gets the candidate", SHARES),
        Row("Candidate against live", COMPARED),
        Row("How releases end", ENDINGS),
        Row("What is held back", HELD_BACK),
        Row("What carries them out", MACHINERY),
    ),
    since="now-1h",
    annotations=ANNOTATIONS,
)
