"""`tidegate approve`: what a release asks of a person, and the answer. What is approved is what was shown."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.output import NEEDS_PERSON, JsonFlag, as_data, print_json, say
from tidegate.cli.tokens import TokenOption, read_token

if TYPE_CHECKING:
    from tidegate.domain import Release
    from tidegate.steps import Ports
    from tidegate.steps.approving import Question


def approve(
    release_id: Annotated[
        str, typer.Argument(metavar="RELEASE", help="Its id, or ORG/SERVICE for the newest.")
    ],
    reason: Annotated[
        str,
        typer.Option(
            "--reason", help="Why it may go on; kept for ever. Without it the question is only shown."
        ),
    ] = "",
    by: Annotated[str, typer.Option("--by", help="Who says yes; by default the user at the keyboard.")] = "",
    of: Annotated[
        str,
        typer.Option(
            "--of",
            metavar="DIGEST",
            help="What was looked at; refused when plan, evidence or question is another.",
        ),
    ] = "",
    token: TokenOption = "",
    as_json: JsonFlag = False,
) -> None:
    """Show what a release asks of a person, and let it take its next step.

    A yes binds to the plan, the evidence and the question that are shown. It is void when any of them changes, and when
    it was not acted upon within the policy's approval.valid_s. Exit code: that of the release; 3 when it was only shown.

    Examples:

      tidegate approve swaggystacks/support-chat

      tidegate approve swaggystacks/support-chat --of DIGEST --reason "checked the answers by hand" --by noor

      tidegate releases approve r-0m3x1 --reason "checked the answers by hand" --json
    """
    from tidegate import steps, wiring
    from tidegate.cli.connect import current_user, prefect_api
    from tidegate.cli.following import exit_code, start_run
    from tidegate.cli.releases import FOLLOW_TIMEOUT_S, details, find_release

    ports = wiring.load()
    found = find_release(ports, release_id)
    asked = steps.question(ports, found.id)
    if not reason:
        _show(asked, as_json=as_json)
        raise typer.Exit(NEEDS_PERSON)
    if not as_json:
        _show(asked, as_json=False)
    with prefect_api(ports.settings) as api:
        proof = read_token(token)
        actor = by or ("" if proof else current_user())
        # What was shown a moment ago is what is approved, unless the person looked at another time.
        steps.approve_release(ports, found.id, actor, reason, proof, of=of or asked.digest)
        run = start_run(api, found)
        if not as_json:
            say(f"[dim]{run.url}[/dim]")
        # The run ends with the release over, or held again by the next question.
        api.wait(run.id, FOLLOW_TIMEOUT_S)
        last = ports.ledger.get_release(found.id)
    if as_json:
        print_json({"approved": as_data(asked.as_data()), **details(ports, last)})
    else:
        _tell(ports, last)
    raise typer.Exit(exit_code(last))


def _show(asked: "Question", *, as_json: bool) -> None:
    from tidegate.steps.question_report import question_markdown

    if as_json:
        print_json(as_data(asked.as_data()))
        return
    from rich.markdown import Markdown

    from tidegate.cli.output import console

    console().print(Markdown(question_markdown(asked)))
    say(f"[dim]Exactly this: tidegate approve {asked.release_id} --of {asked.digest} --reason ...[/dim]")


def _tell(ports: "Ports", last: "Release") -> None:
    from tidegate.cli.following import outcome_lines

    for line in outcome_lines(ports, last):
        say(line)
