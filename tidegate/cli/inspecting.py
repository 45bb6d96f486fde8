"""`tidegate inspect`: what a model file says about itself. Reads the header only, in a limited process."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.output import BAD_INPUT, JsonFlag, as_data, escape, print_json, print_table, say

if TYPE_CHECKING:
    from tidegate.validation.outline import MetadataEntry, Outline

VALUE_CHARACTERS, ITEMS_CHARACTERS = 120, 28
BAR_CELLS = 24


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A model file.")],
    tensors: Annotated[bool, typer.Option("--tensors", help="List every tensor.")] = False,
    template: Annotated[bool, typer.Option("--template", help="Show the chat template, escaped.")] = False,
    context_tokens: Annotated[
        int, typer.Option("--context", min=1, help="Tokens of each sequence, for the memory estimate.")
    ] = 4096,
    parallel: Annotated[
        int, typer.Option("--parallel", min=1, help="Sequences at once, for the memory estimate.")
    ] = 1,
    as_json: JsonFlag = False,
) -> None:
    """Show what a model file says about itself. Reads its header, and nothing of it is run.

    Exit code 2 when the header cannot be read.

    Examples:

      tidegate inspect out/pipit-v2.gguf

      tidegate inspect out/pipit-v2.gguf --tensors --template

      tidegate inspect out/pipit-v2.gguf --json
    """
    from tidegate.validation.outline import read_outline

    outline = read_outline(file, context_tokens=context_tokens, parallel=parallel)
    if as_json:
        print_json(as_data(outline))
    else:
        _print_head(outline)
        _print_metadata(outline)
        _print_groups(outline)
        if tensors:
            _print_tensors(outline)
        if template:
            _print_templates(outline)
        _print_findings(outline)
    if not outline.is_readable:
        raise typer.Exit(BAD_INPUT)


def shown(text: object, longest: int | None = None) -> str:
    """Text from a file for the terminal: no control code acts, no bracket is markup."""
    from tidegate.domain.plain import plain

    return escape(plain(str(text), longest))


def facts(outline: "Outline") -> list[str]:
    """A few lines on what the model is, harmless to print."""
    from tidegate.domain.plain import amount, plural, size

    model, memory = outline.model, outline.memory
    header = "" if outline.header_bytes is None else f", {size(outline.header_bytes)} of it header"
    lines: list[str] = []
    if model is not None:
        kinds = ", ".join(map(shown, model.tensor_types)) or "no types"
        name = f" '{shown(model.name)}'" if model.name else ""
        lines.append(
            f"{shown(model.architecture) or 'no architecture'}{name}, {amount(model.parameters)} parameters in "
            f"{plural(model.tensors, 'tensor')} ({kinds})"
        )
    parts = "" if len(outline.files) == 1 else f" in {plural(len(outline.files), 'file')}"
    lines.append(f"{shown(outline.format)}, {size(outline.size_bytes)}{parts}{header}")
    if model is not None and model.blocks is not None:
        vocabulary = "no vocabulary" if model.vocabulary is None else f"vocabulary of {model.vocabulary}"
        lines.append(
            f"{plural(model.blocks, 'block')} of width {model.width}, {vocabulary}, "
            f"trained for {model.trained_context} tokens"
        )
    if memory is not None:
        most = " at most" if memory.is_upper_bound else ""
        lines.append(
            f"needs{most} {size(memory.total_bytes)} to serve {plural(memory.parallel, 'sequence')} of "
            f"{memory.context_tokens} tokens on a CPU"
        )
    return lines


def _print_head(outline: "Outline") -> None:
    say(f"[bold]{shown(outline.path)}[/bold]")
    for line in facts(outline):
        say(f"  {line}")


def _print_metadata(outline: "Outline") -> None:
    if not outline.metadata:
        return
    say("")
    rows = [
        (shown(entry.key), f"[dim]{shown(_type(entry))}[/dim]", _value(entry)) for entry in outline.metadata
    ]
    print_table(("METADATA", "TYPE", "VALUE"), rows)


def _type(entry: "MetadataEntry") -> str:
    return entry.type if entry.count is None else entry.type.replace("[]", f"[{entry.count}]")


def _value(entry: "MetadataEntry") -> str:
    """The beginning of a value; a list of numbers says little, so it gets one line."""
    if entry.count is not None:
        return shown(entry.value, ITEMS_CHARACTERS)
    if entry.key.startswith("tokenizer.chat_template") and len(entry.value) > VALUE_CHARACTERS:
        return shown(entry.value, VALUE_CHARACTERS) + " [dim](whole: --template)[/dim]"
    return shown(entry.value, VALUE_CHARACTERS)


def _print_groups(outline: "Outline") -> None:
    from tidegate.domain.plain import size

    whole = sum(group.bytes for group in outline.groups)
    if not outline.groups:
        return
    say("")
    rows = [
        (
            group.kind,
            shown(group.type),
            str(group.tensors),
            size(group.bytes),
            f"{100 * group.bytes / whole if whole else 0:.0f} %",
            "█" * max(1, round(BAR_CELLS * group.bytes / whole)) if whole else "",
        )
        for group in outline.groups
    ]
    print_table(("PART", "TYPE", "TENSORS", "SIZE", "SHARE", ""), rows)


def _print_tensors(outline: "Outline") -> None:
    from tidegate.domain.plain import size

    say("")
    rows = [
        (
            shown(tensor.name),
            shown(tensor.type),
            escape(" x ".join(map(str, tensor.dims))),
            "?" if tensor.bytes is None else size(tensor.bytes),
            str(tensor.offset),
        )
        for tensor in outline.tensors
    ]
    print_table(("TENSOR", "TYPE", "SHAPE", "SIZE", "OFFSET"), rows)


def _print_templates(outline: "Outline") -> None:
    from tidegate.validation.comparison import template_lines

    if not outline.templates:
        say("\nThe file has no chat template.")
    for key, text in outline.templates.items():
        say(f"\n[bold]{shown(key)}[/bold] [dim](line ends added between tags)[/dim]")
        for line in template_lines(text):
            say(f"  {shown(line)}")


def _print_findings(outline: "Outline") -> None:
    """The first of each kind; what to do about them is told by `validate`."""
    from tidegate.domain.plain import plural

    if not outline.findings:
        return
    say("")
    kinds = dict.fromkeys((found.check, found.severity) for found in outline.findings)
    for kind in kinds:
        own = [found for found in outline.findings if (found.check, found.severity) == kind]
        colour = "red" if own[0].severity.value == "error" else "yellow"
        place = "" if own[0].offset is None else f" [dim](byte {own[0].offset})[/dim]"
        more = f" [dim](+{len(own) - 1})[/dim]" if len(own) > 1 else ""
        say(f"[{colour}]{own[0].check}[/{colour}]  {shown(own[0].message)}{place}{more}")
    errors = sum(found.severity.value == "error" for found in outline.findings)
    warnings = len(outline.findings) - errors
    say(
        f"{plural(errors, 'error')} and {plural(warnings, 'warning')} in the header. "
        f"What to do about them: tidegate validate {shown(outline.path)}"
    )
