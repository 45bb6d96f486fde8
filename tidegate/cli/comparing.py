"""`tidegate compare`: what differs between two model files."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.inspecting import facts, shown
from tidegate.cli.output import BAD_INPUT, FAILED, JsonFlag, as_data, print_json, print_table, say

if TYPE_CHECKING:
    from tidegate.validation.comparison import Change, Comparison

VALUE_CHARACTERS = 120
SHOWN_TENSORS, SHOWN_EXAMPLES = 20, 12
TOKENIZER_COUNTS = {
    "added": "tokens added",
    "removed": "removed",
    "moved": "moved to another id",
    "kinds_changed": "of another kind",
    "scores_changed": "with another score",
    "merges_changed": "merges changed",
}
JUDGED_BY_ASKING = ("inference.load", "latency.baseline", "regression.score", "regression.answers")


def compare(
    before: Annotated[str, typer.Argument(metavar="A", help="A file, or MODEL:VERSION of --org.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Likewise.")],
    org: Annotated[str, typer.Option("--org", help="Organization whose registered versions are meant.")] = "",
    weights: Annotated[
        bool, typer.Option("--weights", help="Also compare every byte of every tensor.")
    ] = False,
    quality: Annotated[
        bool, typer.Option("--quality", help="Also load both and ask each the standard questions.")
    ] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 when they differ, as diff does.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show what differs between two model files: metadata, tensors, chat template, tokenizer, size, memory.

    Reads the headers in a limited process; with --weights all of both files, with --quality their answers, too.
    Exit code 2 when a header cannot
    be read.

    Examples:

      tidegate compare out/pipit-v1.gguf out/pipit-v2.gguf

      tidegate compare pipit:v1 pipit:v2 --org swaggystacks --weights

      tidegate compare base.gguf tuned.gguf --json --exit-code
    """
    from tidegate.cli.artifact_names import named_artifact
    from tidegate.validation.comparison import compare as compared
    from tidegate.validation.comparison import read_difference
    from tidegate.validation.outline import read_outline

    paths = named_artifact(before, org=org).path, named_artifact(after, org=org).path
    outlines = read_outline(paths[0]), read_outline(paths[1])
    are_readable = all(outline.is_readable for outline in outlines)
    read = read_difference(*paths, with_weights=weights) if are_readable else None
    found = compared(*outlines, read)
    if quality and are_readable:
        found = found.model_copy(update={"quality": _quality(*paths)})
    if as_json:
        print_json({"is_same": found.is_same, **as_data(found)})
    else:
        _print(found, (before, after))
    if not are_readable:
        raise typer.Exit(BAD_INPUT)
    if exit_code and not found.is_same:
        raise typer.Exit(FAILED)


def _quality(before: Path, after: Path) -> dict[str, Any]:
    """Answers of both to the standard bank, and what the comparison says of them.

    A file that structure refuses is not loaded; the messages then say so.
    """
    from tidegate.validation import PreDeploymentValidator
    from tidegate.validation.baseline_view import baseline_view

    report = PreDeploymentValidator(after, baseline_path=before, profile="standard").validate_all()
    view = baseline_view(report)
    told = [result for result in report.results if result.check_name.startswith(JUDGED_BY_ASKING)]
    return {
        "scores": [asdict(score) for score in view.scores] if view else [],
        "lost": list(view.lost) if view else [],
        "won": list(view.won) if view else [],
        "results": [
            {"check_name": row.check_name, "status": row.status.value, "message": row.message} for row in told
        ],
    }


def _print(found: "Comparison", names: tuple[str, str]) -> None:
    for letter, name, outline in zip("AB", names, (found.before, found.after), strict=True):
        say(f"[bold]{letter}[/bold]  {shown(name)}")
        for line in facts(outline):
            say(f"   {line}")
    say("")
    if found.is_same:
        say("[green]No difference[/green] in what was compared." + _not_compared(found))
        _print_quality(found.quality)
        return
    _print_totals(found)
    _print_changes("METADATA", found.metadata)
    _print_changes("TENSOR", found.tensors[:SHOWN_TENSORS])
    if len(found.tensors) > SHOWN_TENSORS:
        say(f"[dim]{len(found.tensors) - SHOWN_TENSORS} more tensors differ (--json lists them).[/dim]")
    _print_tokenizer(found.tokenizer)
    _print_templates(found)
    _print_weights(found)
    _print_quality(found.quality)
    if found.weights is None:
        say(f"[dim]{_not_compared(found).strip()}[/dim]")


def _not_compared(found: "Comparison") -> str:
    if found.weights is not None:
        return ""
    if not found.before.header_bytes or not found.after.header_bytes:
        return " The weights were not compared: that is done for GGUF models only."
    return " The weights were not compared: --weights does."


def _print_totals(found: "Comparison") -> None:
    from tidegate.domain.plain import size

    rows = [("size", found.before.size_bytes, found.after.size_bytes)]
    if found.before.memory is not None and found.after.memory is not None:
        rows.append(("memory", found.before.memory.total_bytes, found.after.memory.total_bytes))
    if found.before.model is not None and found.after.model is not None:
        rows.append(("tensors", found.before.model.tensors, found.after.model.tensors))
    cells = [
        (name, *map(size, (old, new)), ("+" if new > old else "") + size(new - old))
        if name != "tensors"
        else (name, str(old), str(new), f"{new - old:+d}" if new != old else "0")
        for name, old, new in rows
    ]
    print_table(("", "A", "B", "CHANGE"), cells)


def _print_changes(title: str, changes: "tuple[Change, ...]") -> None:
    if not changes:
        return
    say("")
    print_table(
        (title, "A", "B"),
        [
            (shown(change.name), _side(change.before, "red"), _side(change.after, "green"))
            for change in changes
        ],
    )


def _side(value: str | None, colour: str) -> str:
    return "[dim](none)[/dim]" if value is None else f"[{colour}]{shown(value, VALUE_CHARACTERS)}[/{colour}]"


def _print_tokenizer(difference: dict[str, Any]) -> None:
    if not difference:
        return
    say("")
    changed: dict[str, Any] = difference.get("changed") or {}
    counts = [(told, difference.get(name) or 0) for name, told in TOKENIZER_COUNTS.items()]
    rows = [
        (shown(name), _side(str(old), "red"), _side(str(new), "green"))
        for name, (old, new) in changed.items()
    ]
    if rows:
        print_table(("TOKENIZER", "A", "B"), rows)
    else:
        say("[bold]TOKENIZER[/bold]")
    say("  " + (", ".join(f"{count} {told}" for told, count in counts if count) or "no token differs"))
    examples: list[str] = difference.get("examples") or []
    for example in examples[:SHOWN_EXAMPLES]:
        say(f"  [dim]{shown(example)}[/dim]")
    if len(examples) > SHOWN_EXAMPLES:
        say("  [dim]... (--json lists more)[/dim]")


def _print_templates(found: "Comparison") -> None:
    colours = {"+": "green", "-": "red", "@": "dim"}
    for change in found.templates:
        say(f"\n[bold]{shown(change.key)}[/bold] [dim](line ends added between tags)[/dim]")
        for line in change.lines:
            colour = colours.get(line[:1])
            say(f"  [{colour}]{shown(line)}[/{colour}]" if colour else f"  {shown(line)}")
        if change.is_cut:
            say("  [dim]... the difference goes on (--json shows more).[/dim]")


def _print_weights(found: "Comparison") -> None:
    from tidegate.domain.plain import size

    if not found.weights:
        return
    say("")
    rows = [
        (share.kind, f"{share.different} of {share.compared}", size(share.bytes)) for share in found.weights
    ]
    print_table(("WEIGHTS", "TENSORS THAT DIFFER", "COMPARED"), rows)


def _print_quality(quality: dict[str, Any] | None) -> None:
    if quality is None:
        return
    say("")
    if quality["scores"]:
        rows = [
            (shown(row["name"]), str(row["before"]), _score(row), str(row["total"]))
            for row in quality["scores"]
        ]
        print_table(("RIGHT ANSWERS", "A", "B", "QUESTIONS"), rows)
    for row in quality["results"]:
        say(f"[dim]{shown(row['check_name'])}[/dim]  {row['status']}: {shown(row['message'])}")


def _score(row: dict[str, Any]) -> str:
    colour = "red" if row["after"] < row["before"] else "green" if row["after"] > row["before"] else ""
    return f"[{colour}]{row['after']}[/{colour}]" if colour else str(row["after"])
