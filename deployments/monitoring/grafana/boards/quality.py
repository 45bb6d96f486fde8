"""Quality over nights: what question banks said of each live version, and whether it got worse."""

from deployments.monitoring.grafana.expressions import (
    BY_SERVICE,
    OF_ORG,
    OF_SERVICE,
    SERVICE_NAME,
    age,
    gained,
    highest,
)
from deployments.monitoring.grafana.panel import GREEN, RED, Annotation, Board, Column, Panel, Query, Row

BY_SCORE = "org, service, suite, metric"
SCORES = f"tidegate_eval_score_ratio{{{OF_SERVICE}"

NOW = (
    Panel(
        "Proven worse than the baseline",
        "The last night asked the same questions as before, and the answers are worse beyond chance. Nothing was changed by "
        "itself: look at the report, then release or go back.",
        (Query(highest("tidegate_eval_regression"), SERVICE_NAME),),
        "none",
        look="states",
        width=12,
        texts={0: ("as good as before", GREEN), 1: ("worse", RED)},
        leads=("prefect",),
        alerts=("EvalRegression",),
    ),
    Panel(
        "Last tested, ago",
        "Seconds since a night last tested each live version. A day is right; 36 hours are a ticket.",
        (Query(age("tidegate_eval_last_run_timestamp_seconds", BY_SERVICE, OF_SERVICE), SERVICE_NAME),),
        "s",
        width=12,
        least=0,
        steps=((129600, RED),),
        leads=("prefect",),
        alerts=("EvalStale",),
    ),
)

SCORES_NOW = Panel(
    "Scores of the last night, against the baseline",
    "Each bank and score: what the live version got, what its baseline got, and the difference. A small minus is chance; "
    "the panel above says when it is proven.",
    (
        Query(f'max by ({BY_SCORE}, model) ({SCORES}, role="candidate"}})', "Live"),
        Query(f'max by ({BY_SCORE}) ({SCORES}, role="baseline"}})', "Baseline"),
        Query(
            f'max by ({BY_SCORE}) ({SCORES}, role="candidate"}})\n- max by ({BY_SCORE}) ({SCORES}, role="baseline"}})',
            "Difference",
        ),
    ),
    "percentunit",
    look="table",
    width=24,
    height=8,
    columns=(
        Column("org"),
        Column("service", leads=("prefect", "release")),
        Column("model"),
        Column("suite"),
        Column("metric"),
        Column("Live", unit="percentunit"),
        Column("Baseline", unit="percentunit"),
        Column("Difference", unit="percentunit"),
    ),
    when_empty="No night has run yet.",
)

OVER_NIGHTS = (
    Panel(
        "Scores over nights",
        "Score of each bank, night by night, for the version that was live. A step is a release, a slope is drift.",
        (
            Query(
                f'max by ({BY_SCORE}) ({SCORES}, role="candidate"}})',
                "{{service}} {{suite}} {{metric}}",
            ),
        ),
        "percentunit",
        width=12,
        least=0,
        most=1,
        leads=("prefect",),
    ),
    Panel(
        "Difference to the baseline over nights",
        "Live less baseline, bank by bank. Around 0 is as good as before.",
        (
            Query(
                f'max by ({BY_SCORE}) ({SCORES}, role="candidate"}})\n'
                f'- max by ({BY_SCORE}) ({SCORES}, role="baseline"}})',
                "{{service}} {{suite}} {{metric}}",
            ),
        ),
        "percentunit",
        width=12,
        leads=("prefect",),
    ),
)

IN_RELEASES = (
    Panel(
        "Verdicts of the quality gates, per day",
        "`quality`, `replay`, `shadow` and `live`: how often each passed, failed or could not judge.",
        (
            Query(
                "round(sum by (gate, decision) (increase(tidegate_gate_decisions_total"
                f'{{{OF_ORG}, gate=~"quality|replay|shadow|live"}}[1d])))',
                "{{gate}} {{decision}}",
            ),
        ),
        "none",
        look="bars",
        least=0,
        is_stacked=True,
    ),
    Panel(
        "Answers that are not what they should be, per day and kind",
        "What the gateway saw in live answers: a slow rise is a change that no night asked about.",
        (
            Query(
                gained("tidegate_output_validation_failures_total", "org, service, kind"),
                f"{SERVICE_NAME} {{{{kind}}}}",
            ),
        ),
        "none",
        look="bars",
        least=0,
        is_stacked=True,
    ),
    Panel(
        "Live requests that were judged, per day",
        "How much live evidence releases had.",
        (
            Query(
                gained("tidegate_canary_samples_total", "org, service, slot"), f"{SERVICE_NAME} {{{{slot}}}}"
            ),
        ),
        "none",
        look="bars",
        least=0,
        is_stacked=True,
    ),
)

QUALITY = Board(
    "tidegate-quality",
    "Tidegate · Quality over nights",
    "Whether live versions still answer as well as they did, night by night.",
    (Row("", (*NOW, SCORES_NOW)), Row("Over nights", OVER_NIGHTS), Row("In releases and live", IN_RELEASES)),
    since="now-14d",
    annotations=(
        Annotation(
            "Release was promoted",
            f'sum by ({BY_SERVICE}) (increase(tidegate_releases_total{{{OF_SERVICE}, outcome="done"}}[1h])) > 0',
            "green",
            "{{org}}/{{service}}: another version is live",
        ),
    ),
)
