"""`tidegate demo` and `tidegate validate`: try the product, try a file. Neither touches live traffic unasked."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.output import BAD_INPUT, JsonFlag, as_data, escape, print_json, say

if TYPE_CHECKING:
    from tidegate.domain import Evidence, ServiceConfig

PROMPTS = ("Hello.", "What is two plus two?")


def demo(
    as_json: JsonFlag = False,
) -> None:
    """Release good and bad demo models under load.

    See which of them users get.

    Examples:

      tidegate up

      tidegate demo
    """
    from tidegate.demo import run_demo

    raise typer.Exit(run_demo(as_json=as_json))


def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="GGUF files.")],
    service: Annotated[
        str,
        typer.Option("--service", metavar="ORG/SERVICE", help="Whose limits apply; else the built-in ones."),
    ] = "",
    load: Annotated[
        bool, typer.Option("--load/--no-load", help="Also load each file in a child and ask it.")
    ] = True,
    as_json: JsonFlag = False,
) -> None:
    """Check files; nothing is deployed.

    Nothing is registered either, and no stack is needed.

    Exit code 2 when a file must not be deployed.

    Examples:

      tidegate validate out/pipit-v2.gguf --service swaggystacks/support-chat

      tidegate validate *.gguf --no-load --json
    """
    config = _service_config(service)
    results = [(path, _check(path, config, load=load)) for path in files]
    if as_json:
        print_json([_as_json(path, rows) for path, rows in results])
    else:
        for path, rows in results:
            _print_one(path, rows)
    if not all(_may_be_deployed(rows) for _, rows in results):
        raise typer.Exit(BAD_INPUT)


def _service_config(service: str) -> "ServiceConfig":
    from tidegate.access import load_organizations
    from tidegate.domain import NotFound, ServiceConfig, ServiceRef
    from tidegate.settings import load_settings

    if not service:
        return ServiceConfig()
    settings = load_settings()
    organizations = load_organizations(settings.organizations_dir, settings.policies_dir)
    ref = ServiceRef.parse(service)
    if ref.org not in organizations:
        raise NotFound(
            f"There is no organization '{ref.org}'.",
            remedy=f"Use one of: {', '.join(sorted(organizations))}.",
        )
    return organizations[ref.org].service(ref)


def _check(path: Path, config: "ServiceConfig", *, load: bool) -> "list[Evidence]":
    from tidegate.domain import Verdict
    from tidegate.validation import check_inference, validate_artifact

    report = validate_artifact(
        str(path), config.policy, context_tokens=config.context_tokens, parallel=config.parallel
    )
    rows = list(report.evidence)
    # What structure refuses is not loaded: a broken file may crash what loads it.
    if load and all(row.verdict is Verdict.PASS for row in rows):
        rows += check_inference(
            str(path),
            report.digest,
            prompts=list(PROMPTS),
            context_tokens=config.context_tokens,
            max_memory_bytes=config.max_memory_bytes,
        )
    return rows


def _may_be_deployed(rows: "list[Evidence]") -> bool:
    """Without rows nothing passed (S7)."""
    from tidegate.domain import Verdict

    return bool(rows) and all(row.verdict is Verdict.PASS for row in rows)


def _as_json(path: Path, rows: "list[Evidence]") -> dict[str, object]:
    return {"file": str(path), "may_be_deployed": _may_be_deployed(rows), "evidence": as_data(rows)}


def _print_one(path: Path, rows: "list[Evidence]") -> None:
    from tidegate.domain import Verdict

    verdict = (
        "[green]may be deployed[/green]" if _may_be_deployed(rows) else "[red]must not be deployed[/red]"
    )
    say(f"[bold]{escape(path)}[/bold] {verdict}")
    for row in rows:
        colour = "green" if row.verdict is Verdict.PASS else "red"
        say(f"  [{colour}]{row.verdict.value:<10}[/{colour}] {escape(row.check):<24} {escape(row.summary)}")
        if row.remedy and row.verdict is not Verdict.PASS:
            say(f"  {'':<10} [dim]{escape(row.remedy)}[/dim]")
