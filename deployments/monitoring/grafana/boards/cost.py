"""What each organization pays, for what, and whether its budget lasts."""

from deployments.monitoring.grafana.expressions import (
    BY_SERVICE,
    OF_ORG,
    OF_SERVICE,
    SERVICE_NAME,
    highest,
    speed,
)
from deployments.monitoring.grafana.panel import ORANGE, RED, Board, Column, Panel, Query, Row

BUDGET = f'max by (org) (tidegate_budget_usd{{{OF_ORG}, period="month"}})'
SPENT = f'max by (org) (tidegate_budget_spent_usd{{{OF_ORG}, period="month"}})'
HOURLY = f"org:cost_usd_per_hour:sum{{{OF_ORG}}}"
FORECAST = f"org:budget_forecast_usd:month{{{OF_ORG}}}"
IN_BUDGET = f"{SPENT} / ({BUDGET} > 0)"

ORGANIZATIONS = Panel(
    "Organizations, their budget and their month",
    "What is spent, what the budget is, and what the month will cost at the rate of now. At 100 % no release is begun any "
    "more; what serves goes on, and goes on to cost.",
    (
        Query(HOURLY, "Per hour"),
        Query(SPENT, "Spent this month"),
        Query(BUDGET, "Budget"),
        Query(IN_BUDGET, "Of the budget"),
        Query(FORECAST, "Month will cost"),
    ),
    "currencyUSD",
    look="table",
    width=24,
    height=6,
    columns=(
        Column("org"),
        Column("Per hour", unit="currencyUSD"),
        Column("Spent this month", unit="currencyUSD"),
        Column("Budget", unit="currencyUSD"),
        Column("Of the budget", unit="percentunit", steps=((0.8, ORANGE), (1, RED))),
        Column("Month will cost", unit="currencyUSD"),
    ),
    sort=("Of the budget",),
    alerts=("BudgetExhausted", "BudgetForecast"),
    when_empty="No platform in use costs anything.",
)

BUDGETS = (
    Panel(
        "Share of the budget that is spent",
        "Since the beginning of the month.",
        (Query(IN_BUDGET, "{{org}}"),),
        "percentunit",
        least=0,
        width=12,
        steps=((1, RED),),
        alerts=("BudgetExhausted",),
    ),
    Panel(
        "What the month will cost",
        "Spent, and what runs now until the end of the month, against the budget.",
        (Query(FORECAST, "{{org}} will cost"), Query(BUDGET, "{{org}} budget")),
        "currencyUSD",
        least=0,
        width=12,
        alerts=("BudgetForecast",),
    ),
)

SPENDING = (
    Panel(
        "Cost per hour, by service",
        "What the sets of each service cost now. A candidate costs beside the live version until its release ends.",
        (Query(f"sum by ({BY_SERVICE}) (tidegate_cost_usd_per_hour{{{OF_SERVICE}}})", SERVICE_NAME),),
        "currencyUSD",
        is_stacked=True,
        least=0,
        leads=("release",),
    ),
    Panel(
        "Cost per hour, by platform",
        "The same money by who gets it.",
        (Query(f"sum by (platform) (tidegate_cost_usd_per_hour{{{OF_SERVICE}}})", "{{platform}}"),),
        "currencyUSD",
        is_stacked=True,
        least=0,
    ),
    Panel(
        "Cost of a day, by service",
        "What each service cost in the 24 hours before, from time and rate of its sets.",
        (
            Query(
                f"sum by ({BY_SERVICE}) (increase(tidegate_cost_usd_total{{{OF_SERVICE}}}[1d]))", SERVICE_NAME
            ),
        ),
        "currencyUSD",
        least=0,
    ),
    Panel(
        "Cost of a thousand output tokens",
        "Cost over tokens, an hour at a time. It rises when a service is idle, or when a version talks less.",
        (
            Query(
                f"1000 * sum by ({BY_SERVICE}) (rate(tidegate_cost_usd_total{{{OF_SERVICE}}}[1h]))\n"
                f"""/ on ({BY_SERVICE}) ({speed("tidegate_tokens_total", where=f'{OF_SERVICE}, type="output"', window="1h")} > 0)""",
                SERVICE_NAME,
            ),
        ),
        "currencyUSD",
        least=0,
        decimals=4,
    ),
    Panel(
        "Costs and is asked nothing",
        "Cost per hour of services without a request for two hours. Their sets may be smaller, stopped, or removed.",
        (
            Query(
                f"sum by ({BY_SERVICE}) (tidegate_cost_usd_per_hour{{{OF_SERVICE}}}) > 0\n"
                f"unless on ({BY_SERVICE}) sum by ({BY_SERVICE}) (increase(tidegate_requests_total{{{OF_SERVICE}}}[2h])) > 0",
                SERVICE_NAME,
            ),
        ),
        "currencyUSD",
        least=0,
        alerts=("IdleSpend",),
        when_empty="All that costs is used.",
    ),
    Panel(
        "Billed against computed, this month",
        "What platforms billed, and what we computed. More than a few percent apart is a rate that is wrong, or a thing that "
        "nobody owns.",
        (
            Query(
                f'sum by (org) (tidegate_cost_billed_usd{{{OF_ORG}, period="month"}})',
                "{{org}} billed",
            ),
            Query(
                highest("tidegate_budget_spent_usd", "org", f'{OF_ORG}, period="month"'), "{{org}} computed"
            ),
        ),
        "currencyUSD",
        least=0,
        when_empty="No platform has billed anything.",
    ),
)

COST = Board(
    "tidegate-cost",
    "Tidegate · Cost and budget",
    "What each organization pays, for what, and whether its budget lasts the month.",
    (Row("", (ORGANIZATIONS,)), Row("Budgets", BUDGETS), Row("Where it goes", SPENDING)),
    since="now-24h",
)
