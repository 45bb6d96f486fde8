"""What clients of a service notice, against its objectives."""

from deployments.monitoring.grafana.boards.releases_shown import ANNOTATIONS
from deployments.monitoring.grafana.expressions import (
    BY_SERVICE,
    BY_SLOT,
    FAILED,
    NOT_SHADOW,
    OF_SERVICE,
    SERVICE_NAME,
    SET_NAME,
    SLOT_NAME,
    highest,
    quantile,
    share,
    speed,
)
from deployments.monitoring.grafana.panel import GREEN, ORANGE, RED, Board, Panel, Query, Row


def _burn(kind: str, budget: str, window: str) -> str:
    return (
        f"service:{kind}:ratio_rate{window}{{{OF_SERVICE}}}\n"
        f"/ on ({BY_SERVICE}) service:{budget}:ratio{{{OF_SERVICE}}}"
    )


def _burns(title: str, what: str, kind: str, budget: str, alert: str) -> Panel:
    return Panel(
        title,
        f"How many times as fast as planned {what} uses up what the objective allows. 1 lasts the whole month; above "
        "14.4 in both windows is a page.",
        tuple(
            Query(_burn(kind, budget, window), f"{SERVICE_NAME} {window}") for window in ("5m", "1h", "6h")
        ),
        "none",
        least=0,
        steps=((6, ORANGE), (14.4, RED)),
        leads=("release", "prefect"),
        alerts=(alert,),
    )


OBJECTIVES = (
    _burns(
        "Budget of failures burns",
        "the share of failed requests",
        "errors",
        "availability_budget",
        "AvailabilityBurn",
    ),
    _burns(
        "Budget of late first tokens burns",
        "the share of first tokens later than 2 s",
        "late_first_tokens",
        "first_token_budget",
        "FirstTokenBurn",
    ),
    Panel(
        "Requests by how they ended",
        "`5xx` and `timeout` are ours, `4xx` and `429` the client's, `cancelled` went away by itself.",
        (
            Query(
                f"{speed('tidegate_requests_total', 'code_class', NOT_SHADOW)} > 0",
                "{{code_class}}",
            ),
        ),
        "reqps",
        is_stacked=True,
        least=0,
    ),
    Panel(
        "Requests that fail, by slot",
        "Share of 5xx and timeouts. Shadow is shown, and reaches no client.",
        (
            Query(
                share(
                    speed("tidegate_requests_total", BY_SLOT, f"{OF_SERVICE}, {FAILED}"),
                    speed("tidegate_requests_total", BY_SLOT),
                ),
                SLOT_NAME,
            ),
        ),
        "percentunit",
        least=0,
    ),
    Panel(
        "Probes through the gateway",
        "A request of one token for each slot. Not answered for two minutes is a page.",
        (Query(f"min by ({BY_SLOT}) (tidegate_probe_success{{{OF_SERVICE}}})", SLOT_NAME),),
        "none",
        look="states",
        texts={1: ("answered", GREEN), 0: ("not answered", RED)},
        alerts=("ServiceUnreachable",),
    ),
    Panel(
        "Sets that are ready, by slot",
        "A service whose stable slot has none has nobody to answer: a page after a minute.",
        (
            Query(
                f'sum by ({BY_SLOT}) (tidegate_set_state{{{OF_SERVICE}, state="ready"}})\n'
                f"and on ({BY_SLOT}) sum by ({BY_SLOT}) (tidegate_set_state{{{OF_SERVICE}}}) > 0",
                SLOT_NAME,
            ),
        ),
        "none",
        least=0,
        alerts=("NoSetReady",),
    ),
)

SPEED = (
    Panel(
        "First token: half, 95 % and 99 % of the requests",
        "Time until the first token as the gateway saw it; the dashed line is the objective.",
        tuple(
            Query(
                quantile(q, "tidegate_time_to_first_token_seconds", BY_SERVICE, NOT_SHADOW),
                f"{SERVICE_NAME} {name}",
            )
            for q, name in ((0.5, "half"), (0.95, "95 %"), (0.99, "99 %"))
        ),
        "s",
        least=0,
        steps=((2, RED),),
    ),
    Panel(
        "Whole answer: half and 95 % of the requests",
        "Time until the last byte. It grows with the length of answers.",
        tuple(
            Query(
                quantile(q, "tidegate_request_duration_seconds", BY_SERVICE, NOT_SHADOW),
                f"{SERVICE_NAME} {name}",
            )
            for q, name in ((0.5, "half"), (0.95, "95 %"))
        ),
        "s",
        least=0,
    ),
    Panel(
        "Time per output token: half and 95 % of the answers",
        "Mean time between the tokens of one answer. Below 0.1 s text comes faster than people read.",
        tuple(
            Query(
                quantile(q, "tidegate_time_per_output_token_seconds", BY_SERVICE, NOT_SHADOW),
                f"{SERVICE_NAME} {name}",
            )
            for q, name in ((0.5, "half"), (0.95, "95 %"))
        ),
        "s",
        least=0,
    ),
)

LOAD = (
    Panel(
        "Requests that are being answered",
        "In flight, by slot. A steady rise with steady requests says that the engine does not keep up.",
        (Query(highest("tidegate_requests_in_flight", BY_SLOT), SLOT_NAME),),
        "none",
        least=0,
    ),
    Panel(
        "Tokens in and out",
        "Tokens a second. Output is what costs time.",
        (
            Query(
                speed("tidegate_tokens_total", "org, service, type", NOT_SHADOW),
                f"{SERVICE_NAME} {{{{type}}}}",
            ),
        ),
        "none",
        least=0,
    ),
    Panel(
        "Requests that the gateway refused",
        "`rate_limit` and `auth` are rules at work, `overload` and `no_backend` are trouble.",
        (
            Query(
                speed("tidegate_rejected_requests_total", "org, service, reason"),
                f"{SERVICE_NAME} {{{{reason}}}}",
            ),
        ),
        "reqps",
        least=0,
        is_stacked=True,
    ),
    Panel(
        "Copies that are missing",
        "Wanted copies of a set less those that are ready. The rest carries the load.",
        (
            Query(
                f'sum by (org, service, set) (tidegate_set_replicas{{{OF_SERVICE}, kind="desired"}})\n'
                f'- sum by (org, service, set) (tidegate_set_replicas{{{OF_SERVICE}, kind="ready"}})',
                SET_NAME,
            ),
        ),
        "none",
        steps=((1, ORANGE),),
        alerts=("CopiesMissing",),
    ),
)

ANSWERS = (
    Panel(
        "Answers that broke off",
        "Streams without their end mark, as a share of requests over a quarter of an hour.",
        (
            Query(
                share(
                    speed("tidegate_stream_interruptions_total", BY_SERVICE, NOT_SHADOW, "15m"),
                    speed("tidegate_requests_total", BY_SERVICE, NOT_SHADOW, "15m"),
                ),
                SERVICE_NAME,
            ),
        ),
        "percentunit",
        least=0,
        steps=((0.05, RED),),
        alerts=("StreamsCut",),
    ),
    Panel(
        "Answers that are not what they should be",
        "Empty, cut, malformed or wrongly shaped answers, as a share of requests over a quarter of an hour.",
        (
            Query(
                share(
                    speed("tidegate_output_validation_failures_total", BY_SERVICE, NOT_SHADOW, "15m"),
                    speed("tidegate_requests_total", BY_SERVICE, NOT_SHADOW, "15m"),
                ),
                SERVICE_NAME,
            ),
        ),
        "percentunit",
        least=0,
        steps=((0.05, RED),),
        alerts=("BadAnswers",),
    ),
    Panel(
        "What is wrong with answers",
        "The same answers by kind, an hour at a time.",
        (
            Query(
                "round(sum by (kind) (increase(tidegate_output_validation_failures_total"
                f"{{{NOT_SHADOW}}}[1h]))) > 0",
                "{{kind}}",
            ),
        ),
        "none",
        look="bars",
        is_stacked=True,
        least=0,
        when_empty="Nothing.",
    ),
)

SERVING = Board(
    "tidegate-serving",
    "Tidegate · Serving",
    "What clients of a service get: whether, how fast, how much, and how whole.",
    (
        Row("Against its objectives", OBJECTIVES),
        Row("How fast", SPEED),
        Row("How much", LOAD),
        Row("How whole", ANSWERS),
    ),
    annotations=ANNOTATIONS,
)
