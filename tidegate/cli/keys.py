"""`tidegate keys`: the only commands that print secrets, each only the one that was asked for."""

from typing import Annotated

import typer

from tidegate.cli.output import JsonFlag, print_json

app = typer.Typer(help="Show a key on explicit request.", no_args_is_help=True)


@app.command()
def show(
    org: Annotated[str, typer.Argument(help="Organization, for example swaggystacks.")],
    as_json: JsonFlag = False,
) -> None:
    """Print the key with which an organization's clients call the gateway.

    Examples:

      tidegate keys show swaggystacks

      curl -H "Authorization: Bearer $(tidegate keys show swaggystacks)" ...
    """
    from tidegate.access import api_key_name, load_organizations
    from tidegate.domain import NotFound
    from tidegate.settings import load_settings

    settings = load_settings()
    organizations = load_organizations(settings.organizations_dir, settings.policies_dir)
    if org not in organizations:
        raise NotFound(
            f"There is no organization '{org}'.", remedy=f"Use one of: {', '.join(sorted(organizations))}."
        )
    _print(api_key_name(org), as_json=as_json)


@app.command()
def prefect(as_json: JsonFlag = False) -> None:
    """Print what the Prefect UI asks for at its first page.

    Examples:

      tidegate keys prefect
    """
    from tidegate.access import PREFECT_AUTH

    _print(PREFECT_AUTH, as_json=as_json)


def _print(name: str, *, as_json: bool) -> None:
    import os

    from tidegate.access import SecretStore
    from tidegate.domain import NotFound
    from tidegate.settings import load_settings

    secret = SecretStore(load_settings().secrets_dir, os.environ).get(name)
    if secret is None:
        raise NotFound(f"The secret '{name}' was not made yet.", remedy="It is made by: tidegate up.")
    if as_json:
        print_json({"name": name, "value": secret.reveal()})
    else:
        typer.echo(secret.reveal())
