"""`tidegate registry-check`: could every registered version still be served?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.output import FAILED, JsonFlag, escape, print_json, print_table, say

if TYPE_CHECKING:
    from tidegate.cli.validation_run import Stage
    from tidegate.steps.registry import RegistryRow
    from tidegate.validation import ValidationReport

SHORT_DIGEST = 12


def registry_check(
    org: Annotated[str, typer.Option("--org", help="Only of this organization.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Read every registered file again: is it there, is it what was registered, and do today's rules pass it?

    Also looks at signatures, where an organization requires them, and at aliases that point to a quarantined
    version. Changes nothing. Exit code 1 when a version has a problem.

    Examples:

      tidegate registry-check

      tidegate registry-check --org swaggystacks --json
    """
    from tidegate import wiring
    from tidegate.cli.validation_run import run_all, watching
    from tidegate.steps.registry import (
        by_path,
        is_signature_required,
        judge_registered,
        registered_versions,
    )

    ports = wiring.load()
    found = registered_versions(ports, org or None)
    files = by_path(found)

    def work(path: Path, stage: "Stage") -> "ValidationReport":
        from tidegate.validation import PreDeploymentValidator

        item = files[path]
        return PreDeploymentValidator(
            path, policy=item.policy, expected_digest=item.version.digest, progress=stage
        ).validate_structure()

    with watching(is_wanted=not as_json) as watch:
        reports = {done.path: done.report for done in run_all(list(files), work, watch)}
    rows = [
        judge_registered(
            item,
            None if item.path is None else reports[item.path],
            is_signed=is_signature_required(ports, item),
        )
        for item in found
    ]
    if as_json:
        print_json([row.as_data() for row in rows])
    else:
        _print(rows)
    if not all(row.is_good for row in rows):
        raise typer.Exit(FAILED)


def _print(rows: "list[RegistryRow]") -> None:
    from tidegate.domain.plain import plain, plural

    if not rows:
        say("No version is registered.")
        return
    cells = [
        (
            "[green]ok[/green]" if row.is_good else "[red]problem[/red]",
            f"{row.org}/{row.version}",
            row.digest[:SHORT_DIGEST],
            row.file,
            escape(", ".join(row.rules)) or "pass",
            row.signature if row.signature in ("trusted", "not wanted") else "no",
            ", ".join(row.aliases),
        )
        for row in rows
    ]
    print_table(("", "VERSION", "DIGEST", "FILE", "RULES", "SIGNATURE", "USED AS"), cells)
    bad = [row for row in rows if not row.is_good]
    for row in bad:
        say(
            f"[red]{escape(plain(f'{row.org}/{row.version}'))}[/red]: {escape(plain('; '.join(row.problems)))}"
        )
    say(f"\n{plural(len(rows), 'version')}, {plural(len(bad), 'problem')}.")
