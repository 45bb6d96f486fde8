"""`tidegate health`: what health checks saw last, their history, and a look now."""

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.output import FAILED, JsonFlag, ago, escape, print_json, print_table, say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tidegate.domain.health import Health, HealthSample, HealthState
    from tidegate.observability.health import Check
    from tidegate.steps.ports import Ports

COLOURS = {"ok": "green", "warning": "yellow", "unknown": "yellow", "failed": "red"}
DAY = timedelta(hours=24)
SLICES = 48
PREFECT_ANSWER_S = 4.0
"""Shorter than its checks may take: a server that hangs has failed, and is not merely unseen every other time."""
MARKS = {"ok": "·", "warning": "!", "unknown": "?", "failed": "X", "": " "}

app = typer.Typer(help="Health of every part: what was seen, since when, and what to do.")


@app.callback(invoke_without_command=True)
def health(
    context: typer.Context,
    history: Annotated[
        str, typer.Option("--history", metavar="KIND", help="The last 24 hours of one check.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Show what the health checks saw last, and since when it is so.

    They are made by the stack every 15 s, dear ones every 5 min. What nobody saw lately is unknown, never ok.
    Exit code: 0 when nothing has failed, else 1.

    Examples:

      tidegate health

      tidegate health --history gateways

      tidegate health check ledger
    """
    if context.invoked_subcommand is not None:
        return
    from tidegate.ledger import Ledger
    from tidegate.settings import load_settings

    with Ledger.open(load_settings().ledger_url) as ledger:
        if history:
            _history(history, ledger.health_history(history, _now() - DAY), as_json=as_json)
            return
        states = present(ledger.health_states(), _now())
    _tell(states, as_json=as_json)


@app.command()
def check(
    kinds: Annotated[list[str] | None, typer.Argument(metavar="[KIND]...", help="By default all.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Look now, and keep what was seen. Exit code: 0 when nothing has failed, else 1.

    Examples:

      tidegate health check

      tidegate health check ledger backups --json
    """
    _tell(look_again(kinds or []), as_json=as_json)


def _tell(states: "Sequence[HealthState]", *, as_json: bool) -> None:
    """Raises: typer.Exit when something has failed."""
    from tidegate.domain.health import Health

    if as_json:
        print_json({"health": _worst(states).value, "checks": [as_row(state, _now()) for state in states]})
    else:
        _show(states)
    if _worst(states) is Health.FAILED:
        sys.stdout.flush()
        raise typer.Exit(FAILED)


def look_again(kinds: "Sequence[str]") -> "list[HealthState]":
    """Make these checks now (none named: all), keep what they saw, and give it. Raises: NotFound for a wrong name."""
    from tidegate import wiring
    from tidegate.ledger import Ledger
    from tidegate.watching import look_once
    from tidegate.watching.looking import record

    ports = wiring.load()
    ledger = ports.ledger
    assert isinstance(ledger, Ledger), "load() opens it"
    looked = look_once(_chosen(checks_of(ports), kinds), lambda told: record(ledger, told))
    names = [told.check.name for told in looked]
    by_name = {state.check: state for state in ledger.health_states()}
    return [by_name[name] for name in names if name in by_name]


def run_checks() -> None:
    """The process of the stack: every check at its times, until it is told to stop."""
    from tidegate import wiring
    from tidegate.cli.agents import stopping_loop
    from tidegate.ledger import Ledger
    from tidegate.watching import watch

    ports = wiring.load()
    ledger = ports.ledger
    assert isinstance(ledger, Ledger), "load() opens it"
    with stopping_loop(ports.settings, "health") as stop:
        watch(checks_of(ports), ledger, stop, ports.note_error)
    ports.note_error.flush()


def checks_of(ports: "Ports") -> "list[Check]":
    """Every check of this installation. Raises: InvalidInput when its limits cannot be read."""
    from tidegate.cli.connect import prefect_api
    from tidegate.observability.health import load_thresholds
    from tidegate.watching import build_checks

    limits = load_thresholds(ports.settings.deployments_dir / "health.yaml")
    return build_checks(ports, lambda: prefect_api(ports.settings, PREFECT_ANSWER_S), limits)


def present(states: "Sequence[HealthState]", now: "datetime") -> "list[HealthState]":
    """As evidence of now, the worst first."""
    seen = [state.seen_from(now) for state in states]
    return sorted(seen, key=lambda state: (-state.health.rank, state.check))


def as_row(state: "HealthState", now: "datetime") -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(state), "age_s": round(state.age_s(now), 1)}


def problem_lines(states: "Sequence[HealthState]") -> "list[str]":
    """One line each for what is not well, the worst first; what only nobody saw comes in one line together."""
    lines = [
        f"[{COLOURS[one.health.value]}]{one.health.value:<8}[/] {one.check:<17} {escape(one.text)}  [dim]{ago(one.since.timestamp())}[/dim]"
        for one in states
        if one.health.value in ("failed", "warning")
    ]
    unseen = [one.check for one in states if one.health.value == "unknown"]
    return [*lines, f"[yellow]unknown [/] {', '.join(unseen)}"] if unseen else lines


def _chosen(checks: "list[Check]", kinds: "Sequence[str]") -> "list[Check]":
    """Raises: NotFound for a kind that there is not."""
    from tidegate.domain import NotFound

    known = {one.name: one for one in checks}
    for kind in kinds:
        if kind not in known:
            raise NotFound(
                f"No health check is named '{kind}'.", remedy=f"Use one of: {', '.join(known)}.", field="kind"
            )
    return [known[kind] for kind in kinds] if kinds else checks


def _show(states: "Sequence[HealthState]") -> None:
    if not states:
        say(
            "No health check was ever made here. The stack makes them: tidegate up. Or: tidegate health check."
        )
        return
    rows = [
        (
            f"[{COLOURS[one.health.value]}]{one.health.value}[/]",
            one.check,
            ago(one.since.timestamp()),
            ago(one.checked_at.timestamp()),
            escape(one.text) + (f"\n[dim]{escape(one.remedy)}[/dim]" if one.remedy else ""),
        )
        for one in states
    ]
    print_table(("HEALTH", "CHECK", "SINCE", "SEEN", "WHAT WAS SEEN, AND WHAT TO DO"), rows)


def _history(kind: str, samples: "Sequence[HealthSample]", *, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print_json({"check": kind, "samples": [asdict(one) for one in samples]})
        return
    if not samples:
        _chosen_kind(kind)
        say(f"{kind} changed at no time of the last 24 hours, or was never made.")
        return
    say(f"24 h  [bold]{strip(samples, _now())}[/bold]  now     · ok  ! warning  ? unknown  X failed")
    changes = [one for one in samples if one.is_change]
    print_table(
        ("SINCE", "HEALTH", "WHAT WAS SEEN"),
        [
            (
                f"{one.at:%Y-%m-%d %H:%M:%S} UTC",
                f"[{COLOURS[one.health.value]}]{one.health.value}[/]",
                escape(one.text),
            )
            for one in reversed(changes)
        ],
    )
    for name, values in _trends(samples).items():
        say(f"{name}: {values[0]:.4g} -> {values[-1]:.4g}, between {min(values):.4g} and {max(values):.4g}")


def _chosen_kind(kind: str) -> None:
    """Raises: NotFound for a kind that there is not."""
    from tidegate.domain import NotFound
    from tidegate.observability.health import CHECKS

    if kind not in CHECKS:
        raise NotFound(
            f"No health check is named '{kind}'.", remedy=f"Use one of: {', '.join(CHECKS)}.", field="kind"
        )


def strip(samples: "Sequence[HealthSample]", now: "datetime") -> str:
    """A day in half hours, each with the worst that it saw. What it began with is carried on until the next change."""
    begun, width = now - DAY, DAY / SLICES
    marks: list[str] = []
    standing: Health | None = None
    for number in range(SLICES):
        start, end = begun + number * width, begun + (number + 1) * width
        inside = [one.health for one in samples if start <= one.at < end]
        seen = [*([standing] if standing else []), *inside]
        marks.append(MARKS[max(seen, key=lambda health: health.rank).value] if seen else " ")
        standing = inside[-1] if inside else standing
    return "".join(marks)


def _trends(samples: "Sequence[HealthSample]") -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for one in samples:
        for name, value in one.measures.items():
            found.setdefault(name, []).append(value)
    return found


def _worst(states: "Sequence[HealthState]") -> "Health":
    from tidegate.domain.health import worst

    return worst(states)


def _now() -> "datetime":
    from datetime import UTC, datetime

    return datetime.now(UTC)
