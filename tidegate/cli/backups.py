"""`tidegate backup`: make, list, verify by restoring, restore."""

import os
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.output import FAILED, JsonFlag, ago, console, escape, print_json, print_table, say

if TYPE_CHECKING:
    from tidegate.backup import Kept
    from tidegate.settings import Settings

app = typer.Typer(
    help="Backups of the ledger and the configuration, proven by restoring.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(metavar="[NAME]", help="By default the newest.")]
Passphrase = Annotated[
    str,
    typer.Option(
        "--passphrase", metavar="REF", help="Where the passphrase is: env:NAME or file:/absolute/path."
    ),
]


@app.command()
def create(
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Secrets and the store's listing too, sealed.")
    ] = False,
    passphrase: Passphrase = "",
    keep: Annotated[int, typer.Option("--keep", min=1, help="Most backups that stay.")] = 14,
    keep_days: Annotated[int, typer.Option("--keep-days", min=1, help="Days until one is removed.")] = 30,
    as_json: JsonFlag = False,
) -> None:
    """Copy the ledger while it is in use, and the files of organizations and policies.

    The newest backup, and the newest that was verified, are never removed. Model files are not copied.

    Examples:

      tidegate backup create

      tidegate backup create --with-secrets --passphrase file:/root/tidegate-passphrase
    """
    from tidegate import wiring
    from tidegate.access import SecretStore
    from tidegate.backing_up import create_backup, passphrase_at
    from tidegate.domain import InvalidInput

    if with_secrets is not bool(passphrase):
        raise InvalidInput(
            "--with-secrets and --passphrase belong together.",
            remedy="Secrets are kept sealed only: name where the passphrase is.",
            field="passphrase",
        )
    ports = wiring.load()
    phrase = (
        passphrase_at(passphrase, SecretStore(ports.settings.secrets_dir, os.environ)) if passphrase else None
    )
    kept, removed = create_backup(ports, passphrase=phrase, keep=keep, max_age=timedelta(days=keep_days))
    if as_json:
        print_json({"backup": as_row(kept), "removed": removed})
        return
    manifest = kept.manifest
    assert manifest is not None, "create() reads it back"
    say(
        f"[green]{kept.name}[/green]  {manifest.size_bytes / 1024**2:.1f} MiB, {sum(manifest.rows.values())} rows, {escape(kept.folder)}"
    )
    for name in removed:
        say(f"removed {name}")
    say(f"Restore it as a test: tidegate backup verify {kept.name}")


@app.command("list")
def list_backups(as_json: JsonFlag = False) -> None:
    """Show the backups, the newest first, and which of them were restored as a test.

    Examples:

      tidegate backup list --json
    """
    from tidegate.backing_up import backups_of

    found = backups_of(_settings()).archive.all()
    if as_json:
        print_json([as_row(kept) for kept in found])
        return
    print_table(
        ("BACKUP", "MADE", "SIZE", "ROWS", "SCHEMA", "SECRETS", "VERIFIED"), [_cells(kept) for kept in found]
    )


@app.command()
def verify(name: Name = "", as_json: JsonFlag = False) -> None:
    """Restore a backup into a place of its own, compare all of it, and remove that again.

    Every file against its digest, every table's rows, the schema, the whole audit log. Exit code 1 when it is not whole.

    Examples:

      tidegate backup verify
    """
    from tidegate import wiring
    from tidegate.backing_up import verify_backup

    checked = verify_backup(wiring.load(), name)
    if as_json:
        print_json(
            {
                "backup": checked.kept.name,
                "whole": not checked.problems,
                "problems": list(checked.problems),
                "rows": checked.rows,
                "took_s": round(checked.took_s, 3),
            }
        )
    elif checked.problems:
        for problem in checked.problems:
            console(stderr=True).print(f"[red]{escape(problem)}[/red]")
    else:
        say(
            f"[green]{checked.kept.name} is whole[/green]: {checked.rows} rows, the audit log to its end, {checked.took_s:.1f} s"
        )
    if checked.problems:
        sys.stdout.flush()
        raise typer.Exit(FAILED)


@app.command()
def restore(
    name: Annotated[str, typer.Argument(metavar="NAME", help="See: tidegate backup list.")],
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it: what was written since then is not in it.")
    ] = False,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Also bring back sealed secrets that are missing.")
    ] = False,
    passphrase: Passphrase = "",
    by: Annotated[str, typer.Option("--by", help="Who decides; by default the user at the keyboard.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Put the ledger of a backup in the place of the present one. The stack must be down.

    A SQLite ledger that is there stays beside it under another name; a PostgreSQL database must be empty.

    Examples:

      tidegate backup restore 20261126T023700Z-1f2e3d --yes
    """
    from tidegate.backing_up import backups_of
    from tidegate.cli.connect import current_user
    from tidegate.domain import Refused
    from tidegate.stack.launching import running_stack

    settings = _settings()
    if running_stack(settings.home) is not None:
        raise Refused("The stack is up and uses the ledger.", remedy="Stop it first: tidegate down.")
    backups = backups_of(settings)
    kept = backups.archive.get(name)
    if not yes:
        raise Refused(
            f"What was written after {kept.name} would be gone from the ledger.",
            remedy=f"When that is wanted: tidegate backup restore {kept.name} --yes.",
        )
    brought = _bring_secrets(settings, name, passphrase) if with_secrets else []
    said = backups.restore(name, actor=by or current_user())
    if as_json:
        print_json({"backup": kept.name, "restored": said, "secrets": brought})
        return
    say(f"[green]{escape(said)}[/green]")
    if with_secrets:
        say(f"Secrets that were missing: {', '.join(brought) or 'none'}")
    say("Gateways refuse a ledger that is older than what they saw. docs/backups.md says how they are told.")


def _bring_secrets(settings: "Settings", name: str, passphrase: str) -> list[str]:
    """Only what is missing: a present secret may be newer, and others may use it already."""
    from tidegate.access import SecretStore
    from tidegate.backing_up import backups_of, passphrase_at

    store = SecretStore(settings.secrets_dir, os.environ)
    found = backups_of(settings).secrets_of(name, passphrase_at(passphrase, store))
    missing = [one for one in sorted(found) if store.get(one) is None]
    for one in missing:
        store.replace(one, found[one])
    return missing


def as_row(kept: "Kept") -> dict[str, Any]:
    return {
        "name": kept.name,
        "folder": str(kept.folder),
        "trouble": kept.trouble,
        "manifest": kept.manifest.model_dump(mode="json") if kept.manifest else None,
        "verified": kept.verified.model_dump(mode="json") if kept.verified else None,
    }


def _cells(kept: "Kept") -> tuple[str, ...]:
    manifest = kept.manifest
    if manifest is None:
        return kept.name, f"[red]{escape(kept.trouble)}[/red]", "", "", "", "", ""
    return (
        kept.name,
        ago(manifest.made_at.timestamp()),
        f"{manifest.size_bytes / 1024**2:.1f} MiB",
        str(sum(manifest.rows.values())),
        manifest.revision,
        "sealed" if manifest.has_secrets else "-",
        ago(kept.verified.at.timestamp()) if kept.verified else "[yellow]no[/yellow]",
    )


def _settings() -> "Settings":
    from tidegate.settings import load_settings

    return load_settings()
