"""`tidegate errors`: what went wrong on this installation, since when and how often, and what to do about it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.output import JsonFlag, print_json, print_table, say

if TYPE_CHECKING:
    from datetime import datetime

    from tidegate.domain.error_tracking import TrackedError
    from tidegate.ledger import Ledger

app = typer.Typer(help="Errors that ended something: list, show, resolve.", no_args_is_help=True)

SHOWN_CHARS = 90
Fingerprint = Annotated[str, typer.Argument(help="Its fingerprint, or the beginning of one.")]


@app.command("list")
def list_errors(
    org: Annotated[str | None, typer.Option("--org", help="Of one organization.")] = None,
    service: Annotated[
        str | None, typer.Option("--service", metavar="ORG/SERVICE", help="Of one service.")
    ] = None,
    code: Annotated[str | None, typer.Option("--code", help="For example TG-1100.")] = None,
    release: Annotated[
        str | None, typer.Option("--release", metavar="RELEASE", help="Of one release.")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", help="Seen within 90m, 24h, 7d.")] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Those that were called settled too.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """Show errors, the newest first. What an error means and what to do is in docs/errors.md, by its code.

    Examples:

      tidegate errors list --service swaggystacks/support-chat --since 24h

      tidegate errors list --code TG-1203 --all --json
    """
    from tidegate.domain import ServiceRef

    ref = ServiceRef.parse(service) if service else None
    with open_ledger() as ledger:
        found = ledger.errors(
            org=ref.org if ref else org,
            service=ref.service if ref else None,
            code=code,
            release_id=release,
            since=begin_of(since),
            only_open=not show_all,
            limit=limit,
        )
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
        return
    columns = ("fingerprint", "code", "count", "last seen", "since", "service", "release", "place", "message")
    print_table(columns, [_row(one) for one in found])


@app.command()
def show(fingerprint: Fingerprint, as_json: JsonFlag = False) -> None:
    """Tell everything that is known of one error, at each service that met it.

    Examples:

      tidegate errors show 3f2a9b1c
    """
    with open_ledger() as ledger:
        found = _of(ledger, fingerprint)
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
        return
    for one in found:
        _tell(one)


@app.command()
def resolve(
    fingerprint: Fingerprint,
    org: Annotated[str | None, typer.Option("--org", help="At this organization only.")] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="Who says so; by default the user of this machine.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Call an error settled. It is open again when it comes back.

    Examples:

      tidegate errors resolve 3f2a9b1c --by noor
    """
    from tidegate.cli.connect import current_user

    with open_ledger() as ledger:
        whole = _of(ledger, fingerprint)[0].fingerprint
        settled = ledger.resolve_errors(whole, actor=by or current_user(), org=org)
    if as_json:
        print_json([one.model_dump(mode="json") for one in settled])
        return
    for one in settled:
        say(f"settled {one.fingerprint} of {_service(one)}")


def open_ledger() -> "Ledger":
    """The ledger of this installation."""
    from tidegate.ledger import Ledger
    from tidegate.settings import load_settings

    settings = load_settings()
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Ledger.open(settings.ledger_url)


def begin_of(since: str | None) -> "datetime | None":
    """The time that `90m`, `24h` or `7d` ago was. Raises: InvalidInput."""
    import re
    from datetime import UTC, datetime, timedelta

    from tidegate.domain import InvalidInput

    if since is None:
        return None
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    found = re.fullmatch(r"(\d{1,5})([smhd])", since.strip())
    if found is None:
        raise InvalidInput(f"'{since}' is no time.", remedy="Write 90m, 24h or 7d.", field="since")
    return datetime.now(UTC) - timedelta(**{units[found[2]]: int(found[1])})


def _of(ledger: "Ledger", fingerprint: str) -> "list[TrackedError]":
    """Raises: NotFound; InvalidInput when several begin like this."""
    from tidegate.domain import InvalidInput, NotFound

    found = ledger.errors(fingerprint=fingerprint, only_open=False, limit=1000)
    if not found:
        raise NotFound(
            f"No error has a fingerprint that begins with '{fingerprint}'.",
            remedy="See: tidegate errors list --all.",
            field="fingerprint",
        )
    if len({one.fingerprint for one in found}) > 1:
        raise InvalidInput(
            f"Several fingerprints begin with '{fingerprint}'.",
            remedy="Write more of it.",
            field="fingerprint",
        )
    return found


def _row(one: "TrackedError") -> list[Any]:
    from tidegate.cli.output import ago

    message = one.message if len(one.message) <= SHOWN_CHARS else one.message[: SHOWN_CHARS - 1] + "…"
    last, first = ago(one.last_seen.timestamp()), ago(one.first_seen.timestamp())
    cells = (one.fingerprint, one.code, one.count, last, first, _service(one), one.release_id or "-")
    return [_cell(cell) for cell in (*cells, one.place, message)]


def _tell(one: "TrackedError") -> None:
    from tidegate.cli.output import escape

    say(f"[bold]{one.code}[/bold] {escape(one.message)}")
    settled = f"{one.resolved_at:%Y-%m-%d %H:%M:%S} UTC by {one.resolved_by}" if one.resolved_at else ""
    facts = {
        "what to do": one.remedy,
        "service": _service(one),
        "release": one.release_id,
        "count": str(one.count),
        "first seen": f"{one.first_seen:%Y-%m-%d %H:%M:%S} UTC",
        "last seen": f"{one.last_seen:%Y-%m-%d %H:%M:%S} UTC",
        "ended": one.place,
        "raised in": one.raised_in,
        "kind": one.kind,
        "settled": settled,
        "fingerprint": one.fingerprint,
    }
    for name, value in facts.items():
        if value:
            say(f"  {name:<12} {escape(value)}")


def _service(one: "TrackedError") -> str:
    return f"{one.org}/{one.service}" if one.service else one.org or "-"


def _cell(value: object) -> str:
    from tidegate.cli.output import escape

    return escape(value)
