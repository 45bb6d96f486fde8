"""`tidegate rollback`: look first, then go, with progress and the time that each part took."""

import threading
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.output import BAD_INPUT, FAILED, NEEDS_PERSON, OK, JsonFlag, escape, print_json, say
from tidegate.cli.releases import By, Service, Timeout
from tidegate.cli.tokens import TokenOption, read_token

if TYPE_CHECKING:
    from tidegate.domain import Secret, ServiceRef
    from tidegate.steps import Ports, RollbackManager, RollbackOutcome
    from tidegate.steps.rollback_manager import Begun
    from tidegate.steps.rollback_safety import SafetyReport

MINIMUM_REASON = 3
ROLLBACK_TIMEOUT_S = 300.0
COLOURS = {"pass": "green", "not_judged": "yellow", "fail": "red", "error": "red"}


def rollback(
    service: Service,
    reason: Annotated[
        str, typer.Option("--reason", help="Why; kept for ever. Needed unless --plan is given.")
    ] = "",
    to: Annotated[
        str,
        typer.Option("--to", metavar="MODEL:VERSION", help="Version to go back to, or its digest."),
    ] = "",
    plan: Annotated[
        bool, typer.Option("--plan", "--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    key: Annotated[
        str,
        typer.Option("--key", help="The same key is the same rollback, however often it is asked for."),
    ] = "",
    by: By = "",
    token: TokenOption = "",
    timeout: Timeout = ROLLBACK_TIMEOUT_S,
    as_json: JsonFlag = False,
) -> None:
    """Bring a service back to what served before.

    Stops the release under way, or returns to the previous version. Needs neither Prefect nor a worker. Verified
    before it is called done. Exit code: 0 the service is back, 2 it may not, 3 a person is asked, 1 anything else.

    Examples:

      tidegate rollback swaggystacks/support-chat --plan

      tidegate rollback swaggystacks/support-chat --reason "wrong prices in answers"
    """
    from tidegate import wiring
    from tidegate.cli.connect import current_user
    from tidegate.domain import InvalidInput, ServiceRef
    from tidegate.steps import RollbackManager
    from tidegate.steps.rollback_target import digest_of

    ref = ServiceRef.parse(service)
    if not plan and len(reason.strip()) < MINIMUM_REASON:
        raise InvalidInput(
            "A rollback needs a reason.", remedy='For example --reason "wrong prices".', field="reason"
        )
    ports = wiring.load()
    ports.service(ref)
    manager = RollbackManager(ports)
    target = digest_of(ports, ref, to)
    if plan:
        _tell_plan(manager.verify_rollback_safety(ref, target), as_json=as_json)
        return
    proof = read_token(token)
    actor = by or ("" if proof else current_user())
    outcome = _execute(ports, manager, ref, actor, reason, target, key, proof, timeout, as_json=as_json)
    _tell_outcome(ports, outcome, as_json=as_json)


def _execute(
    ports: "Ports",
    manager: "RollbackManager",
    ref: "ServiceRef",
    actor: str,
    reason: str,
    target: str | None,
    key: str,
    proof: "Secret | None",
    timeout_s: float,
    *,
    as_json: bool,
) -> "RollbackOutcome":
    begun = manager.begin(ref, actor=actor, reason=reason, to=target, token=key or None, proof=proof)
    if not as_json:
        say(f"{ref} goes back to [bold]{escape(begun.target.label)}[/bold] ({escape(begun.target.why)}).")
    over = threading.Event()
    told = threading.Thread(target=_tell_progress, args=(ports, begun, over), daemon=True)
    if not as_json:
        told.start()
    try:
        return manager.carry_out(ref, begun, timeout_s)
    finally:
        over.set()
        if told.ident is not None:
            told.join()


def _tell_progress(ports: "Ports", begun: "Begun", over: threading.Event) -> None:
    """Each new row of the journal, as it is written by whoever drives it."""
    from tidegate.cli.following import POLL_S, Follower

    if begun.release is None or begun.target.way == "none":
        return
    follower = Follower(ports, begun.release.id, say)
    while not over.wait(POLL_S):
        follower.tell_new_rows()
    follower.tell_new_rows()


def _tell_plan(report: "SafetyReport", *, as_json: bool) -> None:
    if as_json:
        print_json(report.as_data())
    else:
        target = report.target
        if target is not None:
            how = "at once: its set is ready" if report.is_warm else "after its set was started"
            say(f"{report.ref} would go back to [bold]{escape(target.label)}[/bold], {how} ({target.way}).")
        for one in report.preconditions:
            colour = COLOURS[one.verdict.value]
            say(f"  [{colour}]{one.verdict.value:<10}[/{colour}] {one.name}: {escape(one.summary)}")
            if one.remedy and colour != "green":
                say(f"             {escape(one.remedy)}")
        say("Nothing was changed.")
    raise typer.Exit(OK if report.is_safe else BAD_INPUT)


def _tell_outcome(ports: "Ports", outcome: "RollbackOutcome", *, as_json: bool) -> None:
    code = _exit_code(outcome)
    if as_json:
        print_json(outcome.as_data())
        raise typer.Exit(code)
    if outcome.way == "none":
        say(f"Nothing was done: {escape(outcome.reason)}.")
        say("To go back further, name the version: --to MODEL:VERSION.")
    elif outcome.is_back:
        say(f"[green]{outcome.org}/{outcome.service} is back on {escape(outcome.target)}.[/green]")
    else:
        say(f"[red]It is not back: {outcome.state}:[/red] {escape(outcome.reason)}")
    seconds: dict[str, Any] = outcome.phases.seconds() if outcome.phases else {}
    for name, value in seconds.items():
        say(f"  [dim]{name:<14}{value:8.3f} s after the decision[/dim]")
    if outcome.release:
        say(f"[dim]All of it: tidegate releases show {outcome.release}[/dim]")
    raise typer.Exit(code)


def _exit_code(outcome: "RollbackOutcome") -> int:
    if outcome.is_back or outcome.way == "none":
        return OK
    return NEEDS_PERSON if outcome.state == "hold" else FAILED
