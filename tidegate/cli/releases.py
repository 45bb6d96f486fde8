"""`tidegate release` and `releases`: start, follow, look at, decide about."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.approving import approve
from tidegate.cli.artifact_names import parse_model
from tidegate.cli.output import JsonFlag, as_data, escape, print_json, print_table, say
from tidegate.cli.planning import print_plan
from tidegate.cli.tokens import TokenOption, parse_lifetime, read_token

if TYPE_CHECKING:
    from tidegate.domain import Release
    from tidegate.stack.prefect_api import FlowRun, PrefectApi
    from tidegate.steps import Ports

FOLLOW_TIMEOUT_S = 3600.0

app = typer.Typer(help="Releases: list, show, approve.", no_args_is_help=True)
app.command()(approve)
Service = Annotated[str, typer.Argument(metavar="ORG/SERVICE", help="For example swaggystacks/support-chat.")]
By = Annotated[
    str, typer.Option("--by", help="Who asks, for the audit trail; by default the user at the keyboard.")
]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept for ever.")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=1, help="Seconds to follow it; it goes on afterwards.")
]


def release(
    service: Service,
    model: Annotated[
        str, typer.Argument(metavar="MODEL:VERSION", help="Registered version; MODEL:latest is the newest.")
    ],
    by: By = "",
    token: TokenOption = "",
    reason: Reason = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it to its end.")] = True,
    override_quarantine: Annotated[
        str, typer.Option(metavar="REASON", help="Release a version that failed before, and say why.")
    ] = "",
    override_for: Annotated[
        str, typer.Option(metavar="TIME", help="How long the override counts: 90m, 24h; by default 24h.")
    ] = "",
    plan: Annotated[bool, typer.Option("--plan", help="Print what would happen, and do nothing.")] = False,
    plan_digest: Annotated[
        str, typer.Option(metavar="DIGEST", help="Carry out exactly the plan that --plan told, or refuse.")
    ] = "",
    timeout: Timeout = FOLLOW_TIMEOUT_S,
    as_json: JsonFlag = False,
) -> None:
    """Move a service to a model version.

    Or prove that the version must not get there. Asking again while it runs follows the same release. Exit code: 0 it serves, 2 refused or rolled back,
    3 it waits for a person, 1 anything else.

    Examples:

      tidegate release swaggystacks/support-chat pipit:v2

      tidegate release swaggystacks/support-chat pipit:latest --no-wait --json

      tidegate release swaggystacks/support-chat pipit:v2 --plan
    """
    from datetime import UTC, datetime

    from tidegate import steps, wiring
    from tidegate.cli.connect import current_user, prefect_api
    from tidegate.cli.following import start_run
    from tidegate.domain import ReleaseRequest, ServiceRef, Transient

    ref = ServiceRef.parse(service)
    name, version = parse_model(model)
    request = ReleaseRequest(
        org=ref.org,
        service=ref.service,
        model=name,
        version=version,
        requested_by=by or ("" if token else current_user()),
        reason=reason,
        override_quarantine=override_quarantine,
        override_until=datetime.now(UTC) + parse_lifetime(override_for) if override_for else None,
        plan_digest=plan_digest,
    )
    ports = wiring.load()
    if plan:
        print_plan(ports, request, as_json=as_json)
        return
    with prefect_api(ports.settings) as api:
        # Asked first: a wish that is recorded but cannot be started would begin when nobody expects it.
        if not api.is_healthy():
            raise Transient(
                f"The Prefect server at {api.url} does not answer.", remedy="See: tidegate doctor."
            )
        found = steps.request_release(ports, request, read_token(token))
        run = start_run(api, found)
        if not as_json:
            say(
                f"Release [bold]{found.id}[/bold]: {escape(found.request.model)}:{escape(found.request.version)} to {ref}"
            )
            say(f"[dim]{run.url}[/dim]")
        if not wait:
            if as_json:
                print_json({"release": as_data(found), "run": run.url})
            return
        _finish(ports, found, timeout, as_json=as_json, run=run, api=api)


def _finish(
    ports: "Ports",
    found: "Release",
    timeout_s: float,
    *,
    as_json: bool,
    run: "FlowRun | None" = None,
    api: "PrefectApi | None" = None,
) -> None:
    """Follow to the end, tell the outcome, leave with its exit code."""
    from tidegate.cli.following import Follower, exit_code, outcome_lines

    follower = Follower(ports, found.id, (lambda line: None) if as_json else say)
    last = follower.follow(timeout_s, run=run, api=api)
    if as_json:
        print_json(details(ports, last))
    else:
        for line in outcome_lines(ports, last):
            say(line)
    raise typer.Exit(exit_code(last))


@app.command("list")
def list_releases(
    service: Annotated[
        str, typer.Option("--service", metavar="ORG/SERVICE", help="Only of this service.")
    ] = "",
    active: Annotated[bool, typer.Option("--active", help="Only those that are not over.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """List releases, newest first.

    Examples:

      tidegate releases list --service swaggystacks/support-chat
    """
    from tidegate import wiring
    from tidegate.cli.output import ago
    from tidegate.domain import ServiceRef

    ref = ServiceRef.parse(service) if service else None
    found = wiring.load().ledger.list_releases(ref=ref, only_active=active, limit=limit)
    if as_json:
        print_json(as_data(found))
        return
    rows = [
        (
            item.id,
            item.ref,
            f"{item.request.model}:{item.request.version}",
            coloured_state(item.state.value),
            ago(item.created_at.timestamp()),
            item.request.requested_by,
        )
        for item in found
    ]
    print_table(("RELEASE", "SERVICE", "MODEL", "STATE", "ASKED", "BY"), rows)


@app.command()
def show(
    release_id: Annotated[
        str, typer.Argument(metavar="RELEASE", help="Its id, or ORG/SERVICE for the newest.")
    ],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it is over.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show the whole story of a release: request, evidence, what happened.

    Examples:

      tidegate releases show swaggystacks/support-chat

      tidegate releases show r-20261121-1a2b3c --json
    """
    from tidegate import wiring

    ports = wiring.load()
    found = find_release(ports, release_id)
    if follow:
        _finish(ports, found, FOLLOW_TIMEOUT_S, as_json=as_json)
    if as_json:
        print_json(details(ports, found))
        return
    from rich.markdown import Markdown

    from tidegate.cli.output import console
    from tidegate.steps.reporting import release_markdown

    console().print(Markdown(release_markdown(ports, found.id)))


def find_release(ports: "Ports", text: str) -> "Release":
    """A release by its id, or the newest of a service. Raises: NotFound when there is none."""
    from tidegate.domain import NotFound, ServiceRef

    if "/" not in text:
        return ports.ledger.get_release(text)
    ref = ServiceRef.parse(text)
    newest = ports.ledger.list_releases(ref=ref, limit=1)
    if not newest:
        raise NotFound(
            f"{ref} has no release yet.", remedy=f"Make one: tidegate release {ref} MODEL:VERSION."
        )
    return newest[0]


def coloured_state(state: str) -> str:
    """A state with the colour of what it means for users."""
    colours = {
        "done": "green",
        "rolled_back": "red",
        "rejected": "red",
        "hold": "yellow",
        "await_approval": "yellow",
    }
    colour = colours.get(state, "cyan")
    return f"[{colour}]{state}[/{colour}]"


def details(ports: "Ports", found: "Release") -> dict[str, object]:
    from dataclasses import asdict

    from tidegate.steps.costs import cost_data, release_cost
    from tidegate.steps.reporting import release_gates

    return {
        "release": as_data(found),
        "cost": cost_data(release_cost(ports, found)),
        "journal": as_data(ports.ledger.entries(found.id)),
        "gates": [asdict(line) for line in release_gates(ports, found)],
        "evidence": as_data(ports.ledger.evidence(found.id)),
    }
