"""`tidegate captures`: which requests of clients are kept for replays, and their removal. Never what is in one."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.output import JsonFlag, print_json, print_table, say

if TYPE_CHECKING:
    from tidegate.domain import ServiceRef
    from tidegate.steps import Ports

app = typer.Typer(help="Sampled requests of clients: list, purge.", no_args_is_help=True)

Service = Annotated[
    str | None, typer.Argument(help="ORGANIZATION/SERVICE, for example swaggystacks/support-chat.")
]


@app.command("list")
def list_captures(service: Service = None, as_json: JsonFlag = False) -> None:
    """Show how many requests are kept of each service, since when, until when, and by which rule.

    Nothing of their content is shown: it is sealed.

    Examples:

      tidegate captures list

      tidegate captures list swaggystacks/support-chat --json
    """
    from tidegate import wiring

    ports = wiring.load()
    rows = [_row(ports, ref) for ref in _chosen(ports, service)]
    if as_json:
        print_json(rows)
        return
    columns = ("service", "percent", "kept", "keep", "keep_hours", "oldest", "newest", "next_expiry")
    shown = [row for row in rows if row["kept"] or row["percent"] or service]
    if shown:
        print_table(columns, [[_cell(row[column]) for column in columns] for row in shown])
    else:
        say("No service samples requests. A service asks for it by: policy.replay.capture.percent.")


@app.command()
def purge(
    service: Annotated[
        str | None, typer.Argument(help="ORGANIZATION/SERVICE whose requests are removed.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Those of every service.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Remove sampled requests, at once and for good.

    Examples:

      tidegate captures purge swaggystacks/support-chat

      tidegate captures purge --all --json
    """
    from tidegate import wiring
    from tidegate.cli.connect import current_user
    from tidegate.domain import InvalidInput

    if (service is None) != every:
        raise InvalidInput(
            "Say whose requests are removed.",
            remedy="Name one service, or give --all.",
            field="service",
        )
    ports = wiring.load()
    gone = {
        str(ref): ports.ledger.forget_captured(ref, actor=current_user()) for ref in _chosen(ports, service)
    }
    if as_json:
        print_json({"purged": gone})
        return
    for name, count in gone.items():
        if count or service:
            say(f"{name}: {count} sampled requests removed.")
    if every and not any(gone.values()):
        say("There was nothing to remove.")


def _chosen(ports: "Ports", service: str | None) -> list["ServiceRef"]:
    """One service, or all. Raises: InvalidInput, NotFound."""
    from tidegate.domain import ServiceRef

    if service is not None:
        ref = ServiceRef.parse(service)
        ports.service(ref)
        return [ref]
    return [ServiceRef(org.name, name) for org in ports.organizations.values() for name in org.services]


def _row(ports: "Ports", ref: "ServiceRef") -> dict[str, Any]:
    policy = ports.service(ref).policy.replay.capture
    kept = ports.ledger.captured(ref, policy.keep)
    return {
        "service": str(ref),
        "percent": policy.percent,
        "kept": len(kept),
        "keep": policy.keep,
        "keep_hours": policy.keep_hours,
        "oldest": kept[0].at.isoformat() if kept else None,
        "newest": kept[-1].at.isoformat() if kept else None,
        "next_expiry": min(one.expires_at for one in kept).isoformat() if kept else None,
        "sealed_bytes": sum(len(one.sealed) for one in kept),
    }


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
