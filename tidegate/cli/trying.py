"""`tidegate demo` and `tidegate validate`: try the product, try a file. Neither touches live traffic unasked."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.output import BAD_INPUT, JsonFlag, as_data, escape, print_json, say

if TYPE_CHECKING:
    from tidegate.domain import Evidence, ServiceConfig
    from tidegate.validation import ValidationReport

DIGEST_CHECK = "file.digest"
PROMPTS = ("Hello.", "What is two plus two?")


def demo(
    org: Annotated[str, typer.Option("--org", help="Only this organization's part.")] = "",
    report: Annotated[
        Path, typer.Option("--report", metavar="PATH", help="Where to write the report.")
    ] = Path("report.html"),
    keep_up: Annotated[
        bool, typer.Option("--keep-up/--down", help="Leave the stack up afterwards, or stop it.")
    ] = True,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a live picture.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Release good and bad demo models under load, kill one, and see what users get.

    Starts the stack if needed, in a home that holds only demonstrations; what you released yourself is
    never touched. Exit code 1 when a release ends otherwise than it must, or a request is lost.

    Examples:

      tidegate demo

      tidegate demo --plain --down --report out/report.html
    """
    from tidegate.demo import run_demo

    raise typer.Exit(run_demo(as_json=as_json, plain=plain, keep_up=keep_up, report=report, org=org))


@dataclass(frozen=True)
class Checked:
    """What is known about one file: the report on its structure, and rows of loading it."""

    path: Path
    report: "ValidationReport"
    inference: "tuple[Evidence, ...]"

    @property
    def rows(self) -> "list[Evidence]":
        """What counts. Without an expected digest, nobody asked whether the file is the right one."""
        structure = [
            row for row in self.report.evidence if self.report.expected_digest or row.check != DIGEST_CHECK
        ]
        return [*structure, *self.inference]

    @property
    def may_be_deployed(self) -> bool:
        """Without rows nothing passed (S7)."""
        return bool(self.rows) and all(row.verdict.value == "pass" for row in self.rows)

    def as_dict(self) -> dict[str, object]:
        report = as_data(self.report)
        return {
            "may_be_deployed": self.may_be_deployed,
            "report": report,
            "inference": as_data(self.inference),
        }


def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="GGUF files.")],
    service: Annotated[
        str,
        typer.Option("--service", metavar="ORG/SERVICE", help="Whose limits apply; else the built-in ones."),
    ] = "",
    digest: Annotated[str, typer.Option(metavar="SHA256", help="What the one file must be.")] = "",
    load: Annotated[
        bool, typer.Option("--load/--no-load", help="Also load each file in a child and ask it.")
    ] = True,
    reports: Annotated[
        Path | None,
        typer.Option("--reports", metavar="FOLDER", help="Write NAME.json and NAME.md for each file there."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check files; nothing is deployed.

    Nothing is registered either, and no stack is needed. Exit code 2 when a file must not be deployed.

    Examples:

      tidegate validate out/pipit-v2.gguf --service swaggystacks/support-chat

      tidegate validate a.gguf b.gguf --no-load --reports out/reports --json
    """
    config = _service_config(service)
    expected = _expected_digest(digest, files)
    results = [_check(path, config, expected, load=load) for path in files]
    if reports is not None:
        for result in results:
            _write_reports(reports, result)
    if as_json:
        print_json([result.as_dict() for result in results])
    else:
        for result in results:
            _print_one(result)
    if not all(result.may_be_deployed for result in results):
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


def _expected_digest(digest: str, files: list[Path]) -> str | None:
    from tidegate.domain import InvalidInput

    if digest and len(files) != 1:
        raise InvalidInput(
            "--digest is for one file.", remedy="Validate the files one by one.", field="digest"
        )
    return digest.lower() or None


def _check(path: Path, config: "ServiceConfig", expected: str | None, *, load: bool) -> Checked:
    from tidegate.domain import Verdict
    from tidegate.validation import validate_artifact

    report = validate_artifact(
        path,
        config.policy,
        expected_digest=expected,
        context_tokens=config.context_tokens,
        parallel=config.parallel,
    )
    structure = Checked(path, report, ())
    # What structure refuses is not loaded: a broken file may crash what loads it.
    if not load or any(row.verdict is not Verdict.PASS for row in structure.rows):
        return structure
    from tidegate.validation import check_inference

    inference = check_inference(
        str(path),
        report.digest,
        prompts=list(PROMPTS),
        context_tokens=config.context_tokens,
        max_memory_bytes=config.max_memory_bytes,
    )
    return Checked(path, report, tuple(inference))


def _write_reports(folder: Path, result: Checked) -> None:
    import json

    from tidegate.validation import to_markdown

    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{result.path.stem}.json").write_text(
        json.dumps(result.as_dict(), indent=2) + "\n", encoding="utf-8"
    )
    (folder / f"{result.path.stem}.md").write_text(to_markdown(result.report), encoding="utf-8")


def _print_one(result: Checked) -> None:
    from tidegate.domain import Verdict

    verdict = (
        "[green]may be deployed[/green]" if result.may_be_deployed else "[red]must not be deployed[/red]"
    )
    say(f"[bold]{escape(result.path)}[/bold] {verdict}")
    for row in result.rows:
        colour = "green" if row.verdict is Verdict.PASS else "red"
        say(f"  [{colour}]{row.verdict.value:<10}[/{colour}] {escape(row.check):<24} {escape(row.summary)}")
        if row.remedy and row.verdict is not Verdict.PASS:
            say(f"  {'':<10} [dim]{escape(row.remedy)}[/dim]")
