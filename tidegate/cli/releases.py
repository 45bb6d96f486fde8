"""`tidegate release`, `rollback` and `releases`: start, follow, look at, decide about."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.approving import approve
from tidegate.cli.artifact_names import parse_model
from tidegate.cli.output import OK, JsonFlag, as_data, escape, print_json, print_table, say
from tidegate.cli.planning import print_plan
from tidegate.cli.tokens import TokenOption, parse_lifetime, read_token

if TYPE_CHECKING:
    from tidegate.domain import Release, ReleaseState, ServiceRef
    from tidegate.stack.prefect_api import FlowRun, PrefectApi
    from tidegate.steps import Ports

FOLLOW_TIMEOUT_S = 3600.0
ROLLBACK_TIMEOUT_S = 300.0
MINIMUM_REASON = 3
PICKUP_TIMEOUT_S = 20.0
PICKUP_POLL_S = 0.1

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


def rollback(
    service: Service,
    reason: Annotated[
        str, typer.Option("--reason", help="Why; the version that is left is quarantined with it.")
    ],
    by: By = "",
    token: TokenOption = "",
    direct: Annotated[bool, typer.Option("--direct", help="Do it in this process, without Prefect.")] = False,
    timeout: Timeout = ROLLBACK_TIMEOUT_S,
    as_json: JsonFlag = False,
) -> None:
    """Bring a service back to what served before.

    Stops the release under way, or returns to the previous version. Runs on a worker where Prefect and one are there, else at once in this process. Verified before it is
    called done. Exit code: 0 the service is back, 1 or 3 it is not.

    Examples:

      tidegate rollback swaggystacks/support-chat --reason "wrong prices in answers"
    """
    from tidegate import steps, wiring
    from tidegate.cli.connect import current_user
    from tidegate.domain import InvalidInput, ServiceRef

    ref = ServiceRef.parse(service)
    if len(reason.strip()) < MINIMUM_REASON:
        raise InvalidInput(
            "A rollback needs a reason.", remedy='For example --reason "wrong prices".', field="reason"
        )
    proof = read_token(token)
    actor = by or ("" if proof else current_user())
    ports = wiring.load()
    ports.service(ref)
    # A token is used by the process that has it: it is not handed around.
    why_here = (
        "asked for"
        if direct or proof
        else _dispatch_rollback(ports, ref, actor, reason, timeout, as_json=as_json)
    )
    if why_here is None:
        return
    if not as_json:
        say(f"Rolling {ref} back in this process ({escape(why_here)}).")
    _finish_rollback(
        ports, steps.roll_back_service(ports, ref, actor, reason, proof), timeout, as_json=as_json
    )


def _dispatch_rollback(
    ports: "Ports", ref: "ServiceRef", actor: str, reason: str, timeout_s: float, *, as_json: bool
) -> str | None:
    """Have a worker do it; otherwise say why it must be done here. Safety does not rest on Prefect."""
    from tidegate.cli.connect import prefect_api
    from tidegate.cli.following import CONTROL_POOL, ROLLBACK_DEPLOYMENT
    from tidegate.domain import TidegateError

    active = ports.ledger.active_release(ref)
    if active is not None:
        return f"release {active.id} is under way and is stopped"
    try:
        with prefect_api(ports.settings) as api:
            if not any(worker.is_online for worker in api.workers(CONTROL_POOL)):
                return "no worker is online"
            wish = {"org": ref.org, "service": ref.service, "reason": reason, "requested_by": actor}
            run = api.create_flow_run(ROLLBACK_DEPLOYMENT, {"request": wish})
            if not as_json:
                say(f"[dim]{run.url}[/dim]")
            before = {found.id for found in ports.ledger.list_releases(ref=ref)}
            taken = _wait_for_release(ports, ref, before, api, run.id)
            if taken is None:
                return "no worker took it"
    except TidegateError as error:
        return error.message
    _finish_rollback(ports, taken, timeout_s, as_json=as_json)
    return None


def _finish_rollback(ports: "Ports", found: "Release", timeout_s: float, *, as_json: bool) -> None:
    """A rollback went well when its own release is done, or when the stopped one has brought traffic back."""
    from tidegate.domain import ReleaseState

    good = frozenset({ReleaseState.DONE, ReleaseState.ROLLED_BACK, ReleaseState.REJECTED})
    _finish(ports, found, timeout_s, as_json=as_json, good=good)


def _wait_for_release(
    ports: "Ports", ref: "ServiceRef", before: set[str], api: "PrefectApi", run_id: str
) -> "Release | None":
    """The release that the run made; None after withdrawing a run that no worker began."""
    import time

    deadline = time.monotonic() + PICKUP_TIMEOUT_S
    is_withdrawn = False
    while True:
        for found in ports.ledger.list_releases(ref=ref):
            if found.id not in before:
                return found
        if api.get_flow_run(run_id).is_over:
            return None
        if not is_withdrawn and time.monotonic() > deadline:
            api.cancel(run_id)
            is_withdrawn = True
        time.sleep(PICKUP_POLL_S)


def _finish(
    ports: "Ports",
    found: "Release",
    timeout_s: float,
    *,
    as_json: bool,
    run: "FlowRun | None" = None,
    api: "PrefectApi | None" = None,
    good: "frozenset[ReleaseState] | None" = None,
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
    code = OK if good is not None and last.state in good else exit_code(last)
    raise typer.Exit(code)


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
