"""`tidegate gateways`: which gateways there are, and what a person asks of one. Agents read it from the ledger, so
that it works for gateways on other machines too."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.output import FAILED, JsonFlag, ago, console, escape, print_json, print_table, say

if TYPE_CHECKING:
    from tidegate.domain import GatewayStatus
    from tidegate.ledger import Ledger

app = typer.Typer(
    help="The gateways: list, drain, resume, upgrade, forget. A release waits for each one that speaks.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="Name of a gateway, as 'tidegate gateways list' shows it.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for it; 0 only asks.")]
POLL_S = 0.2


@app.command("list")
def list_gateways(as_json: JsonFlag = False) -> None:
    """Show every known gateway: what it serves, when it spoke last, and which sets are kept for a silent one.

    Examples:

      tidegate gateways list

      tidegate gateways list --json
    """
    from datetime import UTC, datetime

    with _ledger() as ledger:
        wanted, statuses = ledger.generation(), ledger.gateways()
        asked = {one.gateway: ledger.wanted_of_gateway(one.gateway) for one in statuses}
    now = datetime.now(UTC)
    rows = [_row(one, wanted, asked[one.gateway], now) for one in statuses]
    if as_json:
        print_json(rows)
    elif not rows:
        say("No gateway has reported yet. Start one with: tidegate up")
    else:
        _print(rows)


@app.command()
def drain(name: Name, timeout: Timeout = 660.0, as_json: JsonFlag = False) -> None:
    """Take a gateway out: no new connections, what is in flight ends (with a ceiling), then its Envoy goes.

    It stays out until 'tidegate gateways resume', also over a restart of its agent.

    Examples:

      tidegate gateways drain gateway-2

      tidegate gateways drain gateway-2 --timeout 0     (ask, and do not wait)
    """
    from tidegate.gateway import DRAINED

    _ask(name, lambda _: DRAINED)
    _await(name, timeout, lambda one: one.state == "stopped", "drained", as_json=as_json)


@app.command()
def resume(name: Name, timeout: Timeout = 60.0, as_json: JsonFlag = False) -> None:
    """Let a drained gateway serve again. It takes the newest routes before it opens its port.

    Examples:

      tidegate gateways resume gateway-2
    """
    _ask(name, lambda _: None)
    _await(name, timeout, _serves, "serving", as_json=as_json)


@app.command()
def upgrade(name: Name, timeout: Timeout = 60.0, as_json: JsonFlag = False) -> None:
    """Replace a gateway's agent and Envoy by freshly started ones on the same port. No request and no stream is cut.

    The agent ends and leaves its Envoy serving. Its supervisor starts the agent again, from what is installed by
    then; that one starts a new Envoy beside the old one, which ends when its last stream has.

    Examples:

      tidegate gateways upgrade gateway-1
    """
    from tidegate.gateway import renewal

    before = _ask(name, lambda one: renewal(one.boot))
    _await(name, timeout, lambda one: one.boot != before.boot and _serves(one), "renewed", as_json=as_json)


@app.command()
def forget(name: Name, as_json: JsonFlag = False) -> None:
    """Nobody waits for this gateway any more, and no set is kept for it. Only for one that is gone for good.

    A partitioned gateway goes on sending to the sets that it had: once it is forgotten they may be removed under it.
    One that speaks again is known again.

    Examples:

      tidegate gateways forget gateway-2
    """
    from datetime import UTC, datetime

    from tidegate.cli.connect import current_user
    from tidegate.domain import Refused
    from tidegate.release.confirmation import alive

    with _ledger() as ledger:
        status = _known(ledger, name)
        if alive([status], datetime.now(UTC)):
            raise Refused(
                f"{name} is serving: it would be known again at once.",
                remedy=f"Take it out first: tidegate gateways drain {name}",
            )
        ledger.forget_gateway(name, actor=current_user())
    if as_json:
        print_json({"forgotten": name, "kept_sets": list(status.routed_sets)})
    else:
        kept = f" Sets that were kept for it: {', '.join(status.routed_sets)}." if status.routed_sets else ""
        say(f"{escape(name)} is forgotten.{escape(kept)}")


def _ledger() -> "Ledger":
    from tidegate.ledger import Ledger
    from tidegate.settings import load_settings

    return Ledger.open(load_settings().ledger_url)


def _known(ledger: "Ledger", name: str) -> "GatewayStatus":
    from tidegate.domain import NotFound

    statuses = {one.gateway: one for one in ledger.gateways()}
    if name not in statuses:
        known = ", ".join(statuses) or "none"
        raise NotFound(f"There is no gateway '{name}'.", remedy=f"Known: {known}.", field="name")
    return statuses[name]


def _ask(name: str, wish: "Callable[[GatewayStatus], str | None]") -> "GatewayStatus":
    from tidegate.cli.connect import current_user

    with _ledger() as ledger:
        status = _known(ledger, name)
        ledger.want_gateway(name, wish(status), actor=current_user())
    return status


def _serves(status: "GatewayStatus") -> bool:
    from datetime import UTC, datetime

    from tidegate.release.confirmation import alive

    return bool(alive([status], datetime.now(UTC))) and status.observed_generation > 0


def _await(
    name: str, timeout_s: float, is_done: "Callable[[GatewayStatus], bool]", done: str, *, as_json: bool
) -> None:
    end = time.monotonic() + timeout_s
    with _ledger() as ledger:
        status = _known(ledger, name)
        while not is_done(status) and time.monotonic() < end:
            time.sleep(POLL_S)
            status = _known(ledger, name)
    is_over = is_done(status)
    in_flight = sum(status.active_requests.values())
    if as_json:
        print_json({"gateway": name, "done": is_over, "wanted": done, "requests_in_flight": in_flight})
    elif is_over:
        say(f"{escape(name)} is {done}.")
    elif timeout_s > 0:
        console(stderr=True).print(
            f"[red]{escape(name)} is not {done} after {timeout_s:g} s[/red] ({in_flight} requests in flight). "
            "It was asked and goes on. See: tidegate gateways list."
        )
    else:
        say(f"{escape(name)} was asked.")
    if not is_over and timeout_s > 0:
        raise typer.Exit(FAILED)


def _row(status: "GatewayStatus", wanted: int, asked: str | None, now: Any) -> dict[str, Any]:
    from tidegate.gateway import DRAINED
    from tidegate.release.confirmation import alive

    state = status.state if status.state == "stopped" or alive([status], now) else "silent"
    return {
        "name": status.gateway,
        "state": state,
        "seen_at": status.seen_at.timestamp(),
        "observed_generation": status.observed_generation,
        "wanted_generation": wanted,
        "requests_in_flight": sum(status.active_requests.values()),
        "routed_sets": list(status.routed_sets),
        "kept_sets": list(status.routed_sets) if state == "silent" else [],
        "asked_to": "drain" if asked == DRAINED else "",
        "boot": status.boot,
        "error": status.error,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    columns = ("GATEWAY", "STATE", "SEEN", "GENERATION", "IN FLIGHT", "SETS", "NOTE")
    table: list[tuple[object, ...]] = []
    for row in rows:
        notes = [row["error"], "asked to drain" if row["asked_to"] and row["state"] != "stopped" else ""]
        if row["kept_sets"]:
            notes.append("its sets are kept until it speaks again or is forgotten")
        table.append(
            (
                row["name"],
                row["state"],
                ago(row["seen_at"]),
                f"{row['observed_generation']} of {row['wanted_generation']}",
                row["requests_in_flight"],
                ", ".join(row["routed_sets"]),
                "; ".join(note for note in notes if note),
            )
        )
    print_table(columns, table)
