"""`tidegate status`: the processes of the stack and what each service serves now."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.output import JsonFlag, ago, console, escape, print_json, print_table, say

if TYPE_CHECKING:
    from tidegate.settings import Settings
    from tidegate.stack.record import ProcessRecord
    from tidegate.steps import Ports

WATCH_S = 1.0
COLOURS = {"ready": "green", "done": "green", "starting": "yellow", "waiting": "yellow", "pending": "yellow"}


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Again every second, until Ctrl-C.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show what runs and what each service serves. With --watch also what health checks found, where they found something.

    Examples:

      tidegate status

      tidegate status --watch
    """
    from tidegate import wiring
    from tidegate.settings import load_settings

    settings = load_settings()
    ports = wiring.load(settings)
    while True:
        seen = observe(settings, ports)
        if as_json:
            print_json(seen)
        else:
            if watch:
                console().clear()
            _print(seen, settings)
            if watch:
                _print_problems(ports)
        if not watch:
            return
        time.sleep(WATCH_S)


def observe(settings: "Settings", ports: "Ports") -> dict[str, Any]:
    """Everything that `status` shows, as data."""
    from tidegate.stack.launching import running_stack

    record = running_stack(settings.home)
    return {
        "home": str(settings.home),
        "stack": {"state": record.state, "urls": record.urls, "started_at": record.started_at}
        if record
        else None,
        "processes": [_process(process) for process in record.processes] if record else [],
        "gateways": [_gateway(gateway, ports.ledger.generation()) for gateway in ports.ledger.gateways()],
        "services": services(ports),
        "costs": costs(ports),
    }


def services(ports: "Ports") -> list[dict[str, Any]]:
    """Each configured service with its champion, its sets, and the release under way."""
    from tidegate.domain import ServiceRef

    found: list[dict[str, Any]] = []
    for org in ports.organizations.values():
        for name in org.services:
            ref = ServiceRef(org.name, name)
            champion = ports.ledger.get_alias(ref, "champion")
            active = ports.ledger.active_release(ref)
            found.append(
                {
                    "service": str(ref),
                    "champion": champion.label if champion else None,
                    "release": {"id": active.id, "state": active.state.value} if active else None,
                    "sets": _sets(ports, ref),
                }
            )
    return found


def costs(ports: "Ports") -> list[dict[str, Any]]:
    """Each organization whose sets cost money: per hour now, and this month against its budget."""
    from tidegate.steps.costs import cost_data, month_to_date, usd_per_hour

    rows: list[dict[str, Any]] = []
    for org in ports.organizations.values():
        month = month_to_date(ports, org.name)
        hourly = usd_per_hour(ports, org.name)
        if month is None and hourly is None:
            continue
        rows.append(
            {
                "org": org.name,
                "usd_per_hour": hourly or 0.0,
                "month": cost_data(month.total) if month else None,
                "is_billed": month.is_billed if month else True,
                "exceeded": month.exceeded if month else [],
                "monthly_budget_usd": org.monthly_budget_usd,
            }
        )
    return rows


def _sets(ports: "Ports", ref: Any) -> list[dict[str, Any]]:
    from tidegate.domain import SetStatus

    route = ports.ledger.get_route(ref)
    platform = ports.platform(ref)
    rows: list[dict[str, Any]] = []
    for upstream in route.upstreams if route else ():
        now: SetStatus = platform.status(upstream.set_name)
        rows.append(
            {
                "set": upstream.set_name,
                "digest": upstream.digest,
                "weight": route.weights[upstream.set_name] if route else 0,
                "state": now.state.value,
                "restarts": now.restarts,
                "memory_bytes": now.memory_bytes,
                "usd_per_hour": now.usd_per_hour,
            }
        )
    return rows


def _process(process: "ProcessRecord") -> dict[str, Any]:
    return {
        "name": process.name,
        "status": process.status.value,
        "pid": process.identity.pid if process.identity else None,
        "restarts": process.restarts,
        "since": process.since,
        "ready_s": process.ready_s,
        "last_exit": process.last_exit,
        "memory_bytes": _memory(process),
    }


def _memory(process: "ProcessRecord") -> int | None:
    """Resident memory of the process and its children."""
    import psutil

    if process.identity is None:
        return None
    try:
        leader = psutil.Process(process.identity.pid)
        return sum(member.memory_info().rss for member in (leader, *leader.children(recursive=True)))
    except psutil.Error:
        return None


def _gateway(gateway: Any, wanted: int) -> dict[str, Any]:
    return {
        "name": gateway.gateway,
        "state": gateway.state,
        "observed_generation": gateway.observed_generation,
        "wanted_generation": wanted,
        "seen_at": gateway.seen_at.timestamp(),
        "error": gateway.error,
    }


def _print(seen: dict[str, Any], settings: "Settings") -> None:
    if seen["stack"] is None:
        say("The stack is not up. Start it with: tidegate up")
    else:
        say(
            f"[bold]{_coloured(seen['stack']['state'])}[/bold]  gateway {seen['stack']['urls']['gateway']}  prefect {seen['stack']['urls']['prefect']}"
        )
        rows = [
            (
                item["name"],
                _coloured(item["status"]),
                item["pid"] or "",
                _mebibytes(item["memory_bytes"]),
                ago(item["since"]),
                item["restarts"] or "",
                item["last_exit"],
            )
            for item in seen["processes"]
        ]
        print_table(("PROCESS", "STATUS", "PID", "MEMORY", "SINCE", "RESTARTS", "LAST EXIT"), rows)
    for item in seen["gateways"]:
        behind = item["wanted_generation"] - item["observed_generation"]
        note = f"[red]{behind} generations behind[/red]" if behind else "[green]up to date[/green]"
        if item["state"] == "stopped":
            note = "[yellow]stopped[/yellow]"
        say(
            f"{escape(item['name'])}: generation {item['observed_generation']}, {note}, seen {ago(item['seen_at'])} {escape(item['error'])}"
        )
    say("")
    rows: list[tuple[str, ...]] = []
    for item in seen["services"]:
        release = f"{item['release']['id']} {item['release']['state']}" if item["release"] else ""
        first = (item["service"], item["champion"] or "[dim]nothing yet[/dim]", release)
        sets = [
            (
                f"{one['weight']} %",
                _coloured(one["state"]),
                _mebibytes(one["memory_bytes"]),
                "" if one["usd_per_hour"] is None else f"{one['usd_per_hour']:.2f}",
                one["set"],
            )
            for one in item["sets"]
        ]
        for number, cells in enumerate(sets or [("", "", "", "", "")]):
            rows.append((*(first if number == 0 else ("", "", "")), *cells))
    columns = ["SERVICE", "CHAMPION", "RELEASE", "TRAFFIC", "STATE", "MEMORY", "USD/H", "SET"]
    if not seen["costs"]:
        # Nothing costs money here: no column of blanks.
        columns.remove("USD/H")
        rows = [(*row[:-2], row[-1]) for row in rows]
    print_table(tuple(columns), rows)
    for item in seen["costs"]:
        say(cost_line(item))


def _print_problems(ports: "Ports") -> None:
    """What the health checks found, where they found something; a healthy installation shows no line of it."""
    from datetime import UTC, datetime

    from tidegate.cli.health import present, problem_lines
    from tidegate.ledger import Ledger

    ledger = ports.ledger
    assert isinstance(ledger, Ledger), "load() opens it"
    lines = problem_lines(present(ledger.health_states(), datetime.now(UTC)))
    if lines:
        say("")
        for line in lines:
            say(line)


def cost_line(item: dict[str, Any]) -> str:
    month = item["month"] or {"billed_usd": 0.0, "not_billed_yet_usd": 0.0}
    spent = month["billed_usd"] + month["not_billed_yet_usd"]
    budget = item["monthly_budget_usd"]
    of_budget = f" of {budget:.2f}" if budget is not None else ""
    note = "" if item["is_billed"] else " (the bill cannot be read: all of it is estimated)"
    for name in item["exceeded"]:
        note += f"; [red]more was billed for {escape(name)} than it can cost[/red]"
    return (
        f"{escape(item['org'])}: {item['usd_per_hour']:.2f} USD/h now; {spent:.2f}{of_budget} USD this month, "
        f"{month['not_billed_yet_usd']:.2f} of it not billed yet{note}"
    )


def _coloured(state: str) -> str:
    colour = COLOURS.get(state, "red")
    return f"[{colour}]{escape(state)}[/{colour}]"


def _mebibytes(size_bytes: int | None) -> str:
    return f"{size_bytes / 1024**2:.0f} MiB" if size_bytes else ""
