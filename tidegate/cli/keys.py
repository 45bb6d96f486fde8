"""`tidegate keys`: keys of the gateway's clients. A key is shown once, when it is made; only its digest is kept.

`show`, `prefect`, `console` and `alerts` print secrets that this installation keeps for itself, each only the one that was asked for.
"""

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.output import JsonFlag, print_json, print_table

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from tidegate.access import SecretStore
    from tidegate.domain import ApiKey, Secret
    from tidegate.ledger import Ledger

app = typer.Typer(
    help="Keys of the gateway's clients: create, list, rotate, revoke, show.", no_args_is_help=True
)

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Org = Annotated[str, typer.Argument(help="Organization, for example swaggystacks.")]
Expires = Annotated[
    str | None, typer.Option("--expires", help="End of its life from now, for example 30d or 12h.")
]
By = Annotated[str | None, typer.Option("--by", help="Who does this; by default the user of this machine.")]


@app.command()
def create(
    org: Org,
    name: Annotated[str, typer.Option(help="Who will use it; names it in lists and logs.")] = "default",
    expires: Expires = None,
    by: By = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a key and print it, this once. Gateways accept it within a second.

    Examples:

      tidegate keys create swaggystacks --name web-app --expires 30d
    """
    from tidegate.access import new_api_key
    from tidegate.domain import key_digest

    _check_org(org)
    _check_name(name)
    lifetime = _duration(expires, "--expires") if expires is not None else None
    key = new_api_key(org)
    with _ledger() as ledger:
        made = ledger.create_api_key(org, name, key_digest(key), created_by=_person(by), lifetime=lifetime)
    _tell_once(made, key, as_json=as_json)


@app.command("list")
def list_keys(
    org: Annotated[str | None, typer.Argument(help="Organization; by default all.")] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Ended keys too.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show which keys there are, since when and until when; never a key itself.

    Examples:

      tidegate keys list swaggystacks

      tidegate keys list --all --json
    """
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    if org is not None:
        _check_org(org)
    with _ledger() as ledger:
        rows = [_row(key, now) for key in ledger.api_keys(org)]
    chosen = [row for row in rows if show_all or row["state"] == "live"]
    if as_json:
        print_json(chosen)
    else:
        columns = ("org", "name", "id", "state", "created_at", "created_by", "expires_at")
        print_table(columns, [[str(row[column] or "-") for column in columns] for row in chosen])


@app.command()
def rotate(
    org: Org,
    name: Annotated[str, typer.Argument(help="Name of the key.")],
    overlap: Annotated[str, typer.Option(help="How long the former key still works.")] = "24h",
    expires: Expires = None,
    by: By = None,
    as_json: JsonFlag = False,
) -> None:
    """Make the next key of a client and print it, this once; the former one ends after the overlap.

    Examples:

      tidegate keys rotate swaggystacks web-app --overlap 24h
    """
    from tidegate.access import api_key_name, new_api_key
    from tidegate.domain import LOCAL_KEY_NAME, key_digest

    _check_org(org)
    key = new_api_key(org)
    store = _store()
    if name == LOCAL_KEY_NAME:
        store.refuse_override(api_key_name(org))
    with _ledger() as ledger:
        made = ledger.rotate_api_key(
            org,
            name,
            key_digest(key),
            overlap=_duration(overlap, "--overlap"),
            created_by=_person(by),
            lifetime=_duration(expires, "--expires") if expires is not None else None,
        )
    if name == LOCAL_KEY_NAME:
        store.replace(api_key_name(org), key)
    _tell_once(made, key, as_json=as_json)


@app.command()
def revoke(
    org: Org,
    key: Annotated[str, typer.Argument(help="Name (all its keys), or the id of one key.")],
    by: By = None,
    as_json: JsonFlag = False,
) -> None:
    """End a key now. Gateways refuse it within a second; running streams finish.

    Examples:

      tidegate keys revoke swaggystacks web-app

      tidegate keys revoke swaggystacks 9f2c4e6a8b10
    """
    from datetime import UTC, datetime

    with _ledger() as ledger:
        ended = [_row(one, datetime.now(UTC)) for one in ledger.revoke_api_keys(org, key, actor=_person(by))]
    if as_json:
        print_json(ended)
        return
    for row in ended:
        typer.echo(f"revoked {row['org']}/{row['name']} ({row['id']})")


@app.command()
def show(org: Org, as_json: JsonFlag = False) -> None:
    """Print the key that this installation keeps for an organization's own use (its name in lists: local).

    Examples:

      tidegate keys show swaggystacks

      curl -H "Authorization: Bearer $(tidegate keys show swaggystacks)" ...
    """
    from tidegate.access import api_key_name

    _check_org(org)
    _print(api_key_name(org), as_json=as_json)


@app.command()
def prefect(as_json: JsonFlag = False) -> None:
    """Print what the Prefect UI asks for at its first page.

    Examples:

      tidegate keys prefect
    """
    from tidegate.access import PREFECT_AUTH

    _print(PREFECT_AUTH, as_json=as_json)


@app.command()
def console(as_json: JsonFlag = False) -> None:
    """Print the bearer token of the HTTP API.

    Examples:

      tidegate keys console
    """
    from tidegate.console import API_TOKEN

    _print(API_TOKEN, as_json=as_json)


@app.command()
def alerts(as_json: JsonFlag = False) -> None:
    """Print the bearer token of the alert webhook; it opens nothing else.

    Examples:

      tidegate keys alerts
    """
    from tidegate.console import ALERT_TOKEN

    _print(ALERT_TOKEN, as_json=as_json)


def _check_org(org: str) -> None:
    from tidegate.access import load_organizations
    from tidegate.domain import NotFound
    from tidegate.settings import load_settings

    settings = load_settings()
    organizations = load_organizations(settings.organizations_dir, settings.policies_dir)
    if org not in organizations:
        raise NotFound(
            f"There is no organization '{org}'.", remedy=f"Use one of: {', '.join(sorted(organizations))}."
        )


def _check_name(name: str) -> None:
    from tidegate.domain import InvalidInput
    from tidegate.domain.api_keys import KEY_NAME_PATTERN, LOCAL_KEY_NAME

    if not re.fullmatch(KEY_NAME_PATTERN, name) or name == LOCAL_KEY_NAME:
        raise InvalidInput(
            f"'{name}' is not a name for a key.",
            remedy=f"Use up to 64 letters, digits and . _ @ -; '{LOCAL_KEY_NAME}' is taken.",
            field="name",
        )


def _duration(text: str, option: str) -> "timedelta":
    """Raises: InvalidInput."""
    from datetime import timedelta

    from tidegate.domain import InvalidInput

    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if match is None and text != "0":
        raise InvalidInput(
            f"{option} '{text}' is not a duration.", remedy="For example 30d, 24h, 90m or 0.", field=option
        )
    return timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else timedelta(0)


def _person(by: str | None) -> str:
    from tidegate.cli.connect import current_user

    return by or current_user()


def _ledger() -> "Ledger":
    from tidegate.ledger import Ledger
    from tidegate.settings import load_settings

    settings = load_settings()
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Ledger.open(settings.ledger_url)


def _store() -> "SecretStore":
    import os

    from tidegate.access import SecretStore
    from tidegate.settings import load_settings

    return SecretStore(load_settings().secrets_dir, os.environ)


def _row(key: "ApiKey", now: "datetime") -> dict[str, Any]:
    row = key.model_dump(mode="json", exclude={"digest"})
    return {**row, "id": key.id, "state": key.state(now).value}


def _tell_once(made: "ApiKey", key: "Secret", *, as_json: bool) -> None:
    if as_json:
        from datetime import UTC, datetime

        print_json({**_row(made, datetime.now(UTC)), "key": key.reveal()})
        return
    typer.echo(key.reveal())
    until = f", until {made.expires_at:%Y-%m-%d %H:%M} UTC" if made.expires_at else ""
    typer.echo(f"{made.org}/{made.name} ({made.id}){until}. It is not shown again: store it now.", err=True)


def _print(name: str, *, as_json: bool) -> None:
    from tidegate.domain import NotFound

    secret = _store().get(name)
    if secret is None:
        raise NotFound(f"The secret '{name}' was not made yet.", remedy="It is made by: tidegate up.")
    if as_json:
        print_json({"name": name, "value": secret.reveal()})
    else:
        typer.echo(secret.reveal())
