"""`tidegate models`: register artifacts, look at versions, move aliases by hand."""

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.output import FAILED, JsonFlag, ago, as_data, escape, pairs, print_json, print_table, say

app = typer.Typer(help="Model versions and their aliases.", no_args_is_help=True)
alias_app = typer.Typer(help="Aliases: champion, candidate, previous.", invoke_without_command=True)
app.add_typer(alias_app, name="alias")

MEBIBYTE = 1024**2
SHORT_DIGEST = 12
ALIASES = ("champion", "candidate", "previous")
Org = Annotated[str, typer.Option("--org", help="Organization that owns the model.")]


@app.command()
def register(
    path: Annotated[Path, typer.Argument(help="The GGUF file.")],
    org: Org,
    name: Annotated[str, typer.Option("--name", help="Model name, for example pipit.")],
    version: Annotated[str, typer.Option("--version", help="New version; a version is never reused.")],
    provenance: Annotated[
        list[str] | None,
        typer.Option("--provenance", metavar="KEY=VALUE", help="Kept with it; may be repeated."),
    ] = None,
    signature: Annotated[
        list[Path] | None,
        typer.Option("--signature", metavar="FILE", help="Detached signature of it; may be repeated."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Copy a file into the store and register it as a model version. Nothing is deployed.

    Examples:

      tidegate models register out/pipit-v2.gguf --org swaggystacks --name pipit --version v2 --provenance run=481

      tidegate models register out/pipit-v2.gguf --org swaggystacks --name pipit --version v2 --signature pipit.sig
    """
    from tidegate import steps, wiring
    from tidegate.cli.connect import current_user
    from tidegate.domain import InvalidInput

    if not path.is_file():
        raise InvalidInput(f"There is no file {path}.", remedy="Give the path of a GGUF file.", field="path")
    found = steps.register_model(
        wiring.load(),
        org,
        name,
        version,
        path.resolve(),
        pairs(provenance),
        signature or (),
        actor=current_user(),
    )
    if as_json:
        print_json(as_data(found))
        return
    say(
        f"[green]{escape(found.label)}[/green] of {found.org}: {found.digest[:SHORT_DIGEST]}, {_size(found.size_bytes)}"
    )
    say(f"Next: tidegate release {found.org}/SERVICE {escape(found.label)}")


@app.command("list")
def list_versions(
    org: Annotated[str, typer.Option("--org", help="Only of this organization.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """List registered versions.

    Examples:

      tidegate models list --org swaggystacks
    """
    from tidegate import wiring

    ports = wiring.load()
    if org:
        ports.organization(org)
    found = ports.ledger.list_versions(org or None)
    if as_json:
        print_json(as_data(found))
        return
    rows = [
        (
            item.org,
            item.label,
            item.digest[:SHORT_DIGEST],
            _size(item.size_bytes),
            ago(item.registered_at.timestamp()),
            "[red]quarantined[/red]" if ports.ledger.quarantine_reason(item.org, item.digest) else "",
        )
        for item in found
    ]
    print_table(("ORGANIZATION", "MODEL", "DIGEST", "SIZE", "REGISTERED", ""), rows)


@app.command()
def show(
    model: Annotated[str, typer.Argument(metavar="MODEL:VERSION", help="MODEL:latest is the newest.")],
    org: Org,
    as_json: JsonFlag = False,
) -> None:
    """Show one version: digest, provenance, who signed it, quarantine, and which services use it.

    Examples:

      tidegate models show pipit:v2 --org swaggystacks
    """
    from tidegate import steps, wiring
    from tidegate.cli.artifact_names import parse_model
    from tidegate.domain import ServiceRef

    ports = wiring.load()
    name, version = parse_model(model)
    services = ports.organization(org).services
    found = ports.ledger.get_version(org, name, version)
    refs = [ServiceRef(org, service) for service in services]
    uses = [
        f"{alias} of {ref}"
        for ref in refs
        for alias in ALIASES
        if (held := ports.ledger.get_alias(ref, alias)) is not None and held.digest == found.digest
    ]
    quarantine = ports.ledger.quarantine_reason(org, found.digest)
    signed = steps.check_provenance(ports, org, found.digest)
    if as_json:
        shown = {"version": as_data(found), "aliases": uses, "quarantine": quarantine}
        print_json(shown | {"signature": as_data(signed)})
        return
    say(f"[bold]{escape(found.label)}[/bold] of {found.org}")
    facts = {
        "digest": found.digest,
        "size": _size(found.size_bytes),
        "file": found.path,
        "registered": found.registered_at.isoformat(timespec="seconds"),
        "signature": signed.summary,
        "used as": ", ".join(uses) or "nothing",
        "quarantine": quarantine or "no",
        **found.provenance,
    }
    for key, value in facts.items():
        say(f"  {escape(key):<12} {escape(value)}")


@app.command()
def attach(
    org: Annotated[str, typer.Argument(metavar="ORG", help="Organization that owns the model.")],
    model: Annotated[str, typer.Argument(metavar="MODEL:VERSION", help="MODEL:latest is the newest.")],
    signatures: Annotated[
        list[Path], typer.Argument(metavar="SIGNATURE...", help="Detached signatures of it.")
    ],
    as_json: JsonFlag = False,
) -> None:
    """Keep more signatures of a registered version, for example by a new key. The others stay.

    Examples:

      tidegate models attach swaggystacks pipit:v2 pipit-v2.gguf.sig
    """
    from tidegate import steps, wiring
    from tidegate.cli.artifact_names import parse_model

    ports = wiring.load()
    ports.organization(org)
    found = ports.ledger.get_version(org, *parse_model(model))
    row = steps.attach_signatures(ports, found, signatures)
    if as_json:
        print_json({"version": as_data(found), "signature": as_data(row)})
        return
    say(f"[bold]{escape(found.label)}[/bold] of {found.org}: {escape(row.summary)}")


@app.command()
def verify(
    org: Annotated[str, typer.Argument(metavar="ORG", help="Organization whose trusted signers count.")],
    model: Annotated[str, typer.Argument(metavar="MODEL:VERSION", help="MODEL:latest is the newest.")],
    as_json: JsonFlag = False,
) -> None:
    """Verify one version now: its stored file against its digest, and its signatures against the trusted signers.

    Exits with 0 only when the file is intact and somebody trusted signed it, whether or not that is required.

    Examples:

      tidegate models verify swaggystacks pipit:v2
    """
    from tidegate import steps, wiring
    from tidegate.cli.artifact_names import parse_model

    ports = wiring.load()
    ports.organization(org)
    found = ports.ledger.get_version(org, *parse_model(model))
    row = steps.check_provenance(ports, org, found.digest)
    is_intact = ports.store.verify(found.digest)
    is_verified = is_intact and bool(row.data["signed_by"])
    if as_json:
        shown = {"version": as_data(found), "verified": is_verified, "file_intact": is_intact}
        print_json(shown | {"signature": as_data(row)})
    else:
        say(f"[bold]{escape(found.label)}[/bold] of {found.org}: {found.digest}")
        say(
            _mark(is_intact)
            + ("the stored file has this digest" if is_intact else "the file is damaged or gone")
        )
        say(_mark(bool(row.data["signed_by"])) + escape(row.summary))
        for item in row.data["signatures"]:
            say(f"  {item['bundle'][:SHORT_DIGEST]}  {item['state']:<14} {escape(item['why'])}")
        if row.remedy:
            say(escape(row.remedy))
    if not is_verified:
        raise typer.Exit(FAILED)


@alias_app.callback()
def alias(
    context: typer.Context,
    service: Annotated[
        str, typer.Option("--service", metavar="ORG/SERVICE", help="Only of this service.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Show aliases of services and how they moved.

    Examples:

      tidegate models alias --service swaggystacks/support-chat
    """
    if context.invoked_subcommand is not None:
        return
    from tidegate import wiring
    from tidegate.domain import ServiceRef

    ports = wiring.load()
    refs = (
        [ServiceRef.parse(service)]
        if service
        else [ServiceRef(org.name, name) for org in ports.organizations.values() for name in org.services]
    )
    for ref in refs:
        ports.service(ref)
    now = {str(ref): {name: ports.ledger.get_alias(ref, name) for name in ALIASES} for ref in refs}
    history = {str(ref): ports.ledger.alias_history(ref) for ref in refs}
    if as_json:
        print_json({"aliases": as_data(now), "history": as_data(history)})
        return
    rows = [
        (ref, name, held.label, held.digest[:SHORT_DIGEST])
        for ref, held_by in now.items()
        for name, held in held_by.items()
        if held is not None
    ]
    print_table(("SERVICE", "ALIAS", "MODEL", "DIGEST"), rows)
    for ref, moves in history.items():
        for move in moves:
            said = f"{move['alias']}: {move['old'] or 'nothing'} -> {move['new'] or 'nothing'} by {move['actor']}"
            say(
                f"[dim]{str(move['at'])[:19]}  {escape(ref)}  {escape(said)} ({escape(move['reason'])})[/dim]"
            )


@alias_app.command("set")
def set_alias(
    service: Annotated[str, typer.Argument(metavar="ORG/SERVICE")],
    name: Annotated[str, typer.Argument(metavar="ALIAS", help="champion, candidate or previous.")],
    model: Annotated[str, typer.Argument(metavar="MODEL:VERSION")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept for ever.")],
    by: Annotated[str, typer.Option("--by", help="Who; by default the user at the keyboard.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Move an alias by hand, to repair what a release cannot. Traffic does not move.

    Refused while a release of the service runs, and for a champion that does not carry the traffic.

    Examples:

      tidegate models alias set swaggystacks/support-chat previous pipit:v1 --reason "v2 was registered twice"
    """
    from tidegate import wiring
    from tidegate.cli.artifact_names import parse_model
    from tidegate.cli.connect import current_user
    from tidegate.domain import InvalidInput, Permission, Refused, ServiceRef

    if name not in ALIASES:
        raise InvalidInput(
            f"'{name}' is no alias.", remedy=f"Use one of: {', '.join(ALIASES)}.", field="alias"
        )
    ref = ServiceRef.parse(service)
    ports = wiring.load()
    ports.service(ref)
    actor = by or current_user()
    if ports.organization(ref.org).role_of(actor) is not None:
        ports.organization(ref.org).require(actor, Permission.MOVE_ALIAS)
    version = ports.ledger.get_version(ref.org, *parse_model(model))
    active = ports.ledger.active_release(ref)
    if active is not None:
        raise Refused(f"Release {active.id} of {ref} is under way.", remedy="Wait for it, or roll it back.")
    route = ports.ledger.get_route(ref)
    serving = {up.digest for up in route.upstreams if route.weights[up.set_name] > 0} if route else set[str]()
    if name == "champion" and serving != {version.digest}:
        raise Refused(
            f"{version.label} does not carry the traffic of {ref}.",
            remedy=f"The champion follows traffic: tidegate release {ref} {version.label}.",
        )
    epoch = ports.ledger.current_epoch(ref)
    ports.ledger.set_alias(ref, name, version, actor=actor, reason=reason, epoch=epoch)
    if as_json:
        print_json({"service": str(ref), "alias": name, "version": as_data(version)})
    else:
        say(f"{name} of {ref} is [green]{escape(version.label)}[/green].")


def _mark(is_good: bool) -> str:
    return "[green]ok[/green]    " if is_good else "[red]no[/red]    "


def _size(size_bytes: int) -> str:
    return f"{size_bytes / MEBIBYTE:.2f} MiB"
