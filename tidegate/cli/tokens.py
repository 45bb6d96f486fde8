"""`tidegate token`: short-lived proof of who asks, for people and machines; and the keys that sign it."""

import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.output import JsonFlag, as_data, print_json, say

if TYPE_CHECKING:
    from tidegate.domain import Action, Secret

app = typer.Typer(help="Request tokens: proof of who asks.", no_args_is_help=True)

UNITS = {"s": "seconds", "m": "minutes", "h": "hours"}
FROM_STDIN = "-"
TokenOption = Annotated[
    str,
    typer.Option(
        "--token", metavar="TOKEN", help="Proof of who asks: tidegate token issue. '-' reads it from stdin."
    ),
]


@app.command()
def issue(
    service: Annotated[str, typer.Argument(metavar="ORG/SERVICE")],
    model: Annotated[
        str, typer.Argument(metavar="MODEL:VERSION", help="For a rollback, the version to leave.")
    ],
    identity: Annotated[
        str, typer.Option("--as", metavar="WHO", help="A person or machine of the organization.")
    ],
    lifetime: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long it may be used: 90s, 10m, 1h.")
    ] = ("10m"),
    action: Annotated[str, typer.Option("--action", help="release, rollback or approve.")] = "release",
    file: Annotated[
        Path | None, typer.Option("--file", help="The artifact of a version that is not registered yet.")
    ] = None,
    trigger: Annotated[str, typer.Option("--trigger", help="manual, training or nightly.")] = "manual",
    override_quarantine: Annotated[
        str, typer.Option(metavar="REASON", help="As it will be given with the release.")
    ] = "",
    plan_digest: Annotated[
        str, typer.Option(metavar="DIGEST", help="As it will be given with the release.")
    ] = "",
    to: Annotated[
        str, typer.Option("--to", metavar="MODEL:VERSION", help="As it will be given with the rollback.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Print a token for exactly one request. It can be used once.

    It binds service, artifact, parameters, action and identity. Issuing needs the organization's keys, that is, the
    secrets of this home.

    Examples:

      tidegate token issue swaggystacks/support-chat pipit:v2 --as ada --for 10m

      tidegate token issue swaggystacks/support-chat pipit:v3 --as service:training --trigger training --file out/pipit-v3.gguf

      tidegate token issue swaggystacks/support-chat pipit:v3 --as noor --action rollback --to pipit:v1
    """
    from tidegate import steps, wiring
    from tidegate.cli.artifact_names import parse_model
    from tidegate.domain import ReleaseRequest, ServiceRef
    from tidegate.steps.rollback_target import digest_of

    ref = ServiceRef.parse(service)
    name, version = parse_model(model)
    request = ReleaseRequest(
        org=ref.org,
        service=ref.service,
        model=name,
        version=version,
        trigger=trigger,
        override_quarantine=override_quarantine,
        plan_digest=plan_digest,
    )
    ports = wiring.load()
    ports.service(ref)
    wish = steps.named_wish(
        ports,
        _action(action),
        request,
        _digest_of(file) if file else "",
        to=digest_of(ports, ref, to) or "",
    )
    issued = steps.issue_token(ports, wish, identity, parse_lifetime(lifetime))
    if as_json:
        print_json({"token": issued.token.reveal(), "proof": as_data(issued.proof)})
    else:
        typer.echo(issued.token.reveal())


@app.command()
def rotate(
    org: Annotated[str, typer.Argument(help="Organization, for example swaggystacks.")],
    overlap: Annotated[
        str,
        typer.Option("--overlap", metavar="TIME", help="How long tokens of the former key are still taken."),
    ] = "1h",
    as_json: JsonFlag = False,
) -> None:
    """Make a new key that signs the organization's tokens.

    Tokens that were issued before are taken until the overlap is over; with '--overlap 0s' they die at once.

    Examples:

      tidegate token rotate swaggystacks

      tidegate token rotate swaggystacks --overlap 0s     (the key was seen by others)
    """
    from tidegate import steps, wiring

    ports = wiring.load()
    keys = steps.rotate_keys(ports, org, parse_lifetime(overlap))
    ends = {key.id: key.until.isoformat() if key.until else None for key in keys.keys}
    if as_json:
        print_json({"org": org, "keys": ends})
        return
    for key_id, until in ends.items():
        say(f"{key_id}  {'signs from now on' if until is None else f'is taken until {until}'}")


def read_token(text: str) -> "Secret | None":
    """The token of an option: none, the text, or the first line of stdin."""
    from tidegate.domain import InvalidInput, Secret

    if not text:
        return None
    token = sys.stdin.readline().strip() if text == FROM_STDIN else text.strip()
    if not token:
        raise InvalidInput(
            "There is no token on stdin.", remedy="Pipe one in, or leave --token out.", field="token"
        )
    return Secret(token)


def parse_lifetime(text: str) -> timedelta:
    """`90s`, `10m` or `1h`.

    Raises:
        InvalidInput: for anything else.
    """
    from tidegate.domain import InvalidInput

    found = re.fullmatch(r"(\d{1,6})([smh])", text.strip())
    if found is None:
        raise InvalidInput(f"'{text}' is no time.", remedy="Write 90s, 10m or 1h.", field="for")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _action(text: str) -> "Action":
    from tidegate.domain import Action, InvalidInput

    try:
        return Action(text)
    except ValueError as error:
        raise InvalidInput(
            f"'{text}' is no action.", remedy=f"Use one of: {', '.join(Action)}.", field="action"
        ) from error


def _digest_of(path: Path) -> str:
    import hashlib

    from tidegate.domain import InvalidInput

    if not path.is_file():
        raise InvalidInput(f"There is no file {path}.", remedy="Give the path of a GGUF file.", field="file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
