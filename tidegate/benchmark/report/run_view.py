"""The report of one run: verdict, honest warnings first, figures with intervals, plots, and how to repeat it."""

import json
from typing import Any, cast

from tidegate.benchmark.definitions import ADJUSTED_NOTE, PERCENTILE_NOTE, definitions
from tidegate.benchmark.figures import Distribution
from tidegate.benchmark.goodput import Slo
from tidegate.benchmark.record import RunRecord
from tidegate.benchmark.report import tables
from tidegate.benchmark.report.axes import number, percent
from tidegate.benchmark.report.document import WANTED_SHARE
from tidegate.benchmark.report.run_plots import distribution, gap_map, latency_over_time, under_way
from tidegate.benchmark.report.verdicts import verdict_of
from tidegate.benchmark.report.view import Meaning, Section, View
from tidegate.benchmark.report.warnings import warnings_of
from tidegate.benchmark.summary import RunSummary
from tidegate.domain.plain import plural

MODES = {
    "closed": "closed loop, a fixed number at once",
    "constant": "open loop at even intervals",
    "poisson": "open loop, Poisson arrivals",
    "gamma": "open loop, gamma arrivals (bursts)",
    "trace": "replay of a trace",
}


def view_of_run(run: RunRecord, summary: RunSummary, wanted_share: float = WANTED_SHARE) -> View:
    """Everything about one run."""
    verdict = verdict_of(summary, wanted_share)
    return View(
        word=verdict.word,
        tone=verdict.tone,
        title=run.label or run.target,
        sentences=(verdict.sentence, headline(summary)),
        facts=facts(run, summary),
        warnings=warnings_of(run, summary),
        sections=sections(run, summary),
        definitions=meanings(summary),
        notes=(PERCENTILE_NOTE, ADJUSTED_NOTE),
        appendix=(("The plan of the load", plan_text(run)), ("The machine it came from", _json(run.machine))),
        footer=f"Run {run.id}, {run.created_at:%Y-%m-%d %H:%M:%S %Z}. Written by Tidegate.",
    )


def headline(summary: RunSummary) -> str:
    """The run in one sentence."""
    counts = summary.requests
    answered = (
        f"{counts.ok} of {plural(counts.planned, 'planned request')} answered in {number(summary.window_s)} s"
    )
    parts = [
        _typical("first token", judged(summary, "ttft")),
        _typical("whole answer", judged(summary, "e2e")),
    ]
    parts.append(_typical("time per token", summary.itl))
    told = "; ".join(filter(None, parts))
    speed = f"{number(summary.output_tps.value)} tokens/s together"
    return f"{answered}, {speed}{'; ' + told if told else ''}."


def judged(summary: RunSummary, name: str) -> Distribution:
    """From the plan where there is one: what waited in the client was waiting, too."""
    planned: Distribution | None = getattr(summary, f"{name}_planned")
    return planned if planned is not None and planned.n else getattr(summary, name)


def _typical(name: str, one: Distribution) -> str:
    if not one.n:
        return ""
    if one.p50 is None:
        return f"{name} {number(one.mean)} {one.unit} on average"
    tail = f", p95 {number(one.p95.value)}" if one.p95 is not None else ""
    return f"{name} p50 {number(one.p50.value)}{tail} {one.unit}"


def facts(run: RunRecord, summary: RunSummary) -> tuple[tuple[str, str], ...]:
    plan = run.plan
    load = MODES.get(run.mode, run.mode)
    if run.mode == "closed" and plan.get("concurrency"):
        load = f"{plan['concurrency']} requests at once (closed loop)"
    elif plan.get("rate"):
        load = f"{plan['rate']:g} requests/s, {load}"
    cache = {True: "allowed", False: "off", None: "unknown"}[run.cache_prompt]
    found = [
        ("Endpoint", run.target),
        ("Model", run.model or "as the server chooses"),
        ("Load", load),
        ("Measured", f"{number(summary.window_s)} s, {plural(summary.blocks, 'block')}"),
        ("Prompt cache", cache + _cached(summary)),
        ("Schedule", f"seed {plan.get('seed', '–')}, digest {run.plan_digest[:12] or '–'}"),
    ]
    return tuple(found)


def _cached(summary: RunSummary) -> str:
    share = summary.tokens.cached_share
    return "" if share is None else f"; {percent(share)} of the prompt tokens came from it"


def sections(run: RunRecord, summary: RunSummary) -> tuple[Section, ...]:
    limits = summary.slo.limits() if summary.slo else {}
    shown = {_short(name): ms for name, ms in limits.items() if name in ("ttft", "e2e")}
    plots = (latency_over_time(run, shown), distribution(run), gap_map(run), under_way(run))
    optional = (tables.error_table(summary), tables.miss_table(summary))
    found = [
        Section("How long users wait", (_ordered_words(summary),), (tables.latency_table(summary),)),
        Section(
            "How much is served", (_slo_words(summary.slo),) if summary.slo else (),
            (tables.throughput_table(summary), *(one for one in optional if one)),
        ),
        Section("Plots", plots=tuple(plot for plot in plots if plot)),
    ]  # fmt: skip
    if server := tables.server_table(summary):
        words = "What the server states about itself. The difference to what the client saw is queue, network and client."
        found.append(Section("The server's own view", (words,), (server,)))
    if honesty := tables.honesty_table(summary):
        words = "A client that is late measures itself. These figures say how far this one can be trusted."
        found.append(Section("How honest this client was", (words,), (honesty,)))
    return tuple(found)


def _ordered_words(summary: RunSummary) -> str:
    if summary.ttft_planned is None:
        return (
            "A closed loop sends its next request when an answer has ended. It asks a slow server less, and so hides "
            "how long users wait when the server stands still."
        )
    return (
        "Times from the plan count from when the schedule wanted the request sent, so that no wait is hidden."
    )


def _slo_words(slo: Slo) -> str:
    return f"Limits: {slo.describe()}. A request is good when it keeps all of them; what failed is not."


def _short(name: str) -> str:
    return {"ttft": "first token", "e2e": "whole answer"}[name]


def meanings(summary: RunSummary) -> tuple[Meaning, ...]:
    """Of the figures that this report shows, and no others."""
    shown = {name for name, one in summary.distributions().items() if one.n}
    shown |= {"output_tps", "output_tps_steady", "request_rate", "sent_rate", "error_share", "in_flight"}
    shown |= {"goodput", "attainment"} if summary.slo else set()
    return tuple(
        Meaning(one.title, one.meaning, one.formula) for name, one in definitions().items() if name in shown
    )


def plan_text(run: RunRecord) -> str:
    """Long lists of prompts are cut: the record holds them all."""
    plan = dict(run.plan)
    for name in ("prompts", "warmup_prompts", "trace"):
        rows: Any = plan.get(name)
        if isinstance(rows, list):
            told = cast("list[Any]", rows)
            plan[name] = [*told[:5], f"... {len(told) - 5} more"] if len(told) > 5 else told
    return _json(plan)


def _json(data: object) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, default=str)
