"""`tidegate hold` and `tidegate quarantine`: what is not released by itself, and what is not released at all."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.output import JsonFlag, ago, as_data, print_json, print_table, say

if TYPE_CHECKING:
    from datetime import datetime

holds = typer.Typer(help="Holds: services to which nothing is released by itself.", no_args_is_help=True)
quarantine = typer.Typer(
    help="Quarantine: files that failed, and their copies, which no release may use.", no_args_is_help=True
)

Service = Annotated[str, typer.Argument(metavar="ORG/SERVICE", help="For example swaggystacks/support-chat.")]
Org = Annotated[str, typer.Argument(help="Organization, for example swaggystacks.")]
File = Annotated[
    str, typer.Argument(metavar="FILE", help="MODEL:VERSION, or a digest or its first 8 digits or more.")
]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept for ever.")]
By = Annotated[str, typer.Option("--by", help="Who decides; by default the user at the keyboard.")]
Lifted = Annotated[bool, typer.Option("--all", help="Those that were lifted too.")]


@holds.command("list")
def list_holds(show_all: Lifted = False, as_json: JsonFlag = False) -> None:
    """Show which services are held, by whom and why.

    Examples:

      tidegate hold list

      tidegate hold list --all --json
    """
    from tidegate import wiring

    found = wiring.load().ledger.list_holds(lifted=show_all)
    if as_json:
        print_json(as_data(found))
        return
    rows = [
        (
            f"{one.org}/{one.service}",
            _since(one.at),
            one.actor,
            one.reason,
            _lifted(one.lifted_at, one.lifted_by),
        )
        for one in found
    ]
    print_table(("SERVICE", "SINCE", "BY", "WHY", "LIFTED"), rows)


@holds.command("set")
def set_hold(service: Service, reason: Reason, by: By = "", as_json: JsonFlag = False) -> None:
    """Let nothing be released to a service by itself: no training run, no schedule. People still may.

    A rollback by hand does this too.

    Examples:

      tidegate hold set swaggystacks/support-chat --reason "prices are wrong since Monday's data"
    """
    from tidegate import wiring
    from tidegate.domain import ServiceRef
    from tidegate.steps import standing

    found = standing.set_hold(wiring.load(), ServiceRef.parse(service), _actor(by), reason)
    if as_json:
        print_json(as_data(found))
    else:
        say(f"{service} is held by {found.actor}; nothing is released to it by itself.")


@holds.command("lift")
def lift_hold(service: Service, reason: Reason, by: By = "", as_json: JsonFlag = False) -> None:
    """Allow automatic releases to a service again.

    Examples:

      tidegate hold lift swaggystacks/support-chat --reason "the data is right again" --by noor
    """
    from tidegate import wiring
    from tidegate.domain import ServiceRef
    from tidegate.steps import standing

    found = standing.lift_hold(wiring.load(), ServiceRef.parse(service), _actor(by), reason)
    if as_json:
        print_json(as_data(found))
    else:
        say(f"The hold of {found.actor} on {service} was lifted by {found.lifted_by}.")


@quarantine.command("list")
def list_quarantine(
    org: Annotated[str, typer.Argument(help="Organization; by default all.")] = "",
    show_all: Lifted = False,
    as_json: JsonFlag = False,
) -> None:
    """Show which files may not be released, and why. Files with the same tensors may not either.

    Examples:

      tidegate quarantine list

      tidegate quarantine list swaggystacks --all --json
    """
    from tidegate import wiring

    ports = wiring.load()
    if org:
        ports.organization(org)
    found = ports.ledger.list_quarantine(org or None, lifted=show_all)
    if as_json:
        print_json(as_data(found))
        return
    rows = [
        (
            one.org,
            one.digest[:12],
            one.tensor_digest[:12] if one.tensor_digest else "-",
            _since(one.at),
            one.release_id or "-",
            one.reason,
            _lifted(one.lifted_at, one.lifted_by),
        )
        for one in found
    ]
    print_table(("ORG", "FILE", "TENSORS", "SINCE", "RELEASE", "WHY", "LIFTED"), rows)


@quarantine.command()
def add(org: Org, file: File, reason: Reason, by: By = "", as_json: JsonFlag = False) -> None:
    """Forbid a file, and every copy of its tensors under other metadata, to an organization.

    Examples:

      tidegate quarantine add swaggystacks pipit:v3 --reason "leaks addresses"
    """
    from tidegate import wiring
    from tidegate.steps import standing

    ports = wiring.load()
    digest = standing.digest_of(ports, org, file)
    found = standing.add_quarantine(ports, org, digest, _actor(by), reason)
    if as_json:
        print_json(as_data(found))
    else:
        say(f"{digest[:12]} and its copies are not released at {org} any more.")


@quarantine.command()
def lift(org: Org, file: File, reason: Reason, by: By = "", as_json: JsonFlag = False) -> None:
    """Allow a file and its copies again. For one release only, use: tidegate release --override-quarantine.

    Examples:

      tidegate quarantine lift swaggystacks pipit:v3 --reason "the bank was wrong" --by noor
    """
    from tidegate import wiring
    from tidegate.steps import standing

    ports = wiring.load()
    digest = standing.digest_of(ports, org, file)
    found = standing.lift_quarantine(ports, org, digest, _actor(by), reason)
    if as_json:
        print_json(as_data(found))
    else:
        say(f"{digest[:12]} may be released at {org} again, says {found.lifted_by}.")


def _actor(by: str) -> str:
    from tidegate.cli.connect import current_user

    return by or current_user()


def _since(at: "datetime") -> str:
    return ago(at.timestamp())


def _lifted(at: "datetime | None", by: str | None) -> str:
    return f"{_since(at)} by {by}" if at else "-"
