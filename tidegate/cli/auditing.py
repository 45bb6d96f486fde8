"""`tidegate audit`: who did what to which service, from where, with what evidence; and whether the log is whole."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.errors import begin_of, open_ledger
from tidegate.cli.output import FAILED, JsonFlag, as_data, escape, print_json, print_table, say

if TYPE_CHECKING:
    from tidegate.domain.audit import Anchor, Verified

app = typer.Typer(help="The audit log: list, show, verify, export.", no_args_is_help=True)

Org = Annotated[str | None, typer.Option("--org", help="Of one organization.")]
Service = Annotated[str | None, typer.Option("--service", metavar="ORG/SERVICE", help="Of one service.")]


@app.command("list")
def list_entries(
    org: Org = None,
    service: Service = None,
    release: Annotated[
        str | None, typer.Option("--release", metavar="RELEASE", help="Of one release.")
    ] = None,
    actor: Annotated[
        str | None, typer.Option("--by", metavar="WHO", help="Of one person or machine.")
    ] = None,
    action: Annotated[
        str | None, typer.Option("--action", help="An action, or how it begins: release. key. hold.set")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", help="Within 90m, 24h, 7d.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """Show what was done, the newest first.

    Examples:

      tidegate audit list --service swaggystacks/support-chat --since 7d

      tidegate audit list --action release.approved --json
    """
    from tidegate.domain import ServiceRef

    ref = ServiceRef.parse(service) if service else None
    with open_ledger() as ledger:
        found = ledger.audit_entries(
            org=ref.org if ref else org,
            service=ref.service if ref else None,
            release_id=release,
            actor=actor,
            action=action,
            since=begin_of(since),
            limit=limit,
        )
    if as_json:
        print_json(found)
        return
    columns = ("number", "at", "who", "from", "action", "on", "release", "reason")
    print_table(columns, [[escape(cell) for cell in _row(entry)] for entry in found])


@app.command()
def show(
    number: Annotated[int, typer.Argument(min=1, help="Number of the entry.")], as_json: JsonFlag = False
) -> None:
    """Tell everything of one entry, its evidence and hashes included.

    Examples:

      tidegate audit show 17
    """
    with open_ledger() as ledger:
        entry = ledger.audit_entry(number)
    if as_json:
        print_json(entry)
        return
    evidence = entry.pop("evidence")
    for name, value in entry.items():
        if value not in (None, ""):
            say(f"{name:<12} {escape(value)}")
    # One that somebody changed by hand may be no object.
    told: dict[str, Any] = as_data(evidence) if isinstance(evidence, Mapping) else {"evidence": evidence}
    for name, value in told.items():
        say(f"  {escape(f'{name:<16}')} {escape(value)}")


@app.command()
def verify(
    anchor: Annotated[
        list[str] | None,
        typer.Option(
            "--anchor",
            metavar="NUMBER:HASH",
            help="What an earlier verify printed. May be given several times.",
        ),
    ] = None,
    anchor_file: Annotated[
        Path | None,
        typer.Option("--anchor-file", help="A file of anchors, one a line, as --write-anchor makes it."),
    ] = None,
    write_anchor: Annotated[
        Path | None,
        typer.Option(
            "--write-anchor", metavar="FILE", help="Append the newest entry's anchor, when all is whole."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Follow the whole chain, and name the first entry that is not as it was written.

    Any entry that was changed, removed, inserted or moved is found. A log that was cut at its end, or written anew, can
    only be told by an anchor that was kept where nobody who can write the ledger can write. Exit code: 1 when it is broken.

    Examples:

      tidegate audit verify

      tidegate audit verify --anchor 412:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

      tidegate audit verify --anchor-file /mnt/worm/anchors --write-anchor /mnt/worm/anchors
    """
    anchors = [parse_anchor(text) for text in (*(anchor or ()), *_lines(anchor_file))]
    with open_ledger() as ledger:
        found = ledger.verify_audit(anchors)
    if found.is_whole and found.newest is not None and write_anchor is not None:
        _append(write_anchor, found.newest)
    if as_json:
        print_json(_data(found))
    else:
        _tell(found, len(anchors))
    if not found.is_whole:
        raise typer.Exit(FAILED)


@app.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="Where to; nothing prints it.")] = None,
    org: Org = None,
    as_json: JsonFlag = False,
) -> None:
    """Write the log as JSON lines, oldest first, each with its hash. Only a whole log is exported.

    Anybody can check a line: its hash is the SHA-256 over the canonical JSON of everything else in it. With --org the
    others' entries are left out, and the chain cannot be followed in what remains.

    Examples:

      tidegate audit export audit.jsonl

      tidegate audit export --org swaggystacks > swaggystacks.jsonl
    """
    import json

    from tidegate.domain import NeedsOperator
    from tidegate.domain.audit import shown

    with open_ledger() as ledger:
        found = ledger.verify_audit()
        if found.broken is not None:
            raise NeedsOperator(
                f"The audit log is broken at entry {found.broken.number}: {found.broken.why}.",
                remedy="Keep the ledger as it is, and see docs/audit.md: what to do when the log is broken.",
                code="TG-3110",
            )
        lines = [
            json.dumps(shown(entry), ensure_ascii=False)
            for entry in ledger.audit_log()
            if org is None or entry["org"] == org
        ]
    text = "".join(f"{line}\n" for line in lines)
    if file is None:
        typer.echo(text, nl=False)
        return
    file.write_text(text, encoding="utf-8")
    if as_json:
        print_json({"file": str(file), "entries": len(lines), **_data(found)})
    else:
        say(f"{len(lines)} entries in {escape(file)}")


def parse_anchor(text: str) -> "Anchor":
    """`NUMBER:HASH`. Raises: InvalidInput."""
    import re

    from tidegate.domain import InvalidInput
    from tidegate.domain.audit import Anchor

    found = re.fullmatch(r"(\d{1,15}):([0-9a-f]{64})", text.strip())
    if found is None:
        raise InvalidInput(
            f"'{text.strip()}' is no anchor.",
            remedy="Write NUMBER:HASH, as 'tidegate audit verify' prints it.",
            field="anchor",
        )
    return Anchor(int(found[1]), found[2])


def _lines(file: Path | None) -> list[str]:
    from tidegate.domain import NotFound

    if file is None:
        return []
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise NotFound(
            f"{file} cannot be read: {error.strerror}.",
            remedy="Make it with: tidegate audit verify --write-anchor FILE.",
            field="anchor_file",
        ) from error


def _append(file: Path, newest: "Anchor") -> None:
    line = f"{newest.number}:{newest.hash}\n"
    if not file.exists() or not file.read_text(encoding="utf-8").endswith(line):
        with file.open("a", encoding="utf-8") as kept:
            kept.write(line)


def _data(found: "Verified") -> dict[str, Any]:
    broken, newest = found.broken, found.newest
    return {
        "whole": found.is_whole,
        "entries": found.entries,
        "anchor": f"{newest.number}:{newest.hash}" if newest else None,
        "first_bad": {"number": broken.number, "why": broken.why} if broken else None,
    }


def _tell(found: "Verified", anchors: int) -> None:
    data = _data(found)
    if found.broken is not None:
        say(f"[red]broken at entry {found.broken.number}[/red]: {escape(found.broken.why)}")
        say(f"[dim]whole up to entry {found.entries}; see docs/audit.md[/dim]")
        return
    checked = f", and as {anchors} anchors say" if anchors else ""
    say(f"[green]whole[/green]: {found.entries} entries{checked}")
    if data["anchor"]:
        say(f"anchor {data['anchor']}")
        say(
            "[dim]Keep it elsewhere: without it nobody can tell whether the end of the log was cut off.[/dim]"
        )


def _row(entry: dict[str, Any]) -> tuple[object, ...]:
    on = f"{entry['org']}/{entry['service']}" if entry["service"] else entry["org"] or ""
    subject = entry["subject"] if len(entry["subject"]) < 20 else entry["subject"][:12]
    return (
        entry["number"],
        str(entry["at"])[:19].replace("T", " "),
        entry["actor"],
        entry["interface"],
        entry["action"],
        " ".join(part for part in (on, subject) if part) or "-",
        entry["release_id"] or "-",
        entry["reason"] or "-",
    )
