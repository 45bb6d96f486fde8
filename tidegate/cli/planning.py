"""`tidegate release --plan`: what would happen, printed. Nothing is done."""

from typing import TYPE_CHECKING

from tidegate.cli.output import as_data, print_json, say

if TYPE_CHECKING:
    from tidegate.domain import ReleaseRequest
    from tidegate.steps import Ports


def print_plan(ports: "Ports", request: "ReleaseRequest", *, as_json: bool) -> None:
    """The plan with prices, samples and time, and what it changes."""
    from tidegate import steps
    from tidegate.steps.plan_preview import preview_markdown

    found = steps.preview(ports, request)
    if as_json:
        print_json(as_data(found.as_data()))
        return
    from rich.markdown import Markdown

    from tidegate.cli.output import console

    console().print(Markdown(preview_markdown(found)))
    say(
        f"[dim]Exactly this: tidegate release {found.service} {found.version} --plan-digest {found.digest}[/dim]"
    )
