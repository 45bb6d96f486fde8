"""How commands speak: tables and lines for people, JSON for programs, errors as a message and a remedy."""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

OK, FAILED, BAD_INPUT, NEEDS_PERSON = 0, 1, 2, 3
JSON_KEY = "tidegate.json"
TRACEBACK_KEY = "tidegate.traceback"
INTERRUPTED = 130
UNWATCHED_WIDTH = 240


def _remember_json(context: typer.Context, value: bool) -> bool:
    """Errors are rendered at the root, which must know how its subcommand was asked to speak."""
    context.meta[JSON_KEY] = value
    return value


JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for programs.", callback=_remember_json)]


def console(*, stderr: bool = False) -> "Console":
    """Where people read. No line is wrapped when a program reads instead."""
    return _made(stderr=stderr, soft_wrap=True)


def _made(**options: Any) -> "Console":
    """A reader (`head`, a pager) that has seen enough changes no exit code: Rich would exit with 1, which says that
    something was shown to be broken."""
    import os

    from rich.console import Console

    class Patient(Console):
        def on_broken_pipe(self) -> None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())

    return Patient(highlight=False, **options)


def table_console() -> "Console":
    """For tables: programs get whole lines."""
    target = _made()
    if not target.is_terminal:
        target.width = max(target.width, UNWATCHED_WIDTH)
    return target


def say(text: str) -> None:
    """One line with Rich markup."""
    console().print(text)


def escape(text: object) -> str:
    """Text of others, shown as it is: brackets in it are no markup, and nothing in it steers the terminal."""
    from rich.markup import escape as rich_escape

    from tidegate.log_files import visible

    return rich_escape("\n".join(map(visible, str(text).split("\n"))))


def print_json(data: object) -> None:
    """The same data as people see, with stable keys."""
    sys.stdout.write(json.dumps(data, indent=2, default=str) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table. Long cells are folded, never cut; programs get whole lines."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, str) else escape(cell) for cell in row))
    table_console().print(table)


def ago(seconds_since_epoch: float, now: float | None = None) -> str:
    """`3 s ago`, `5 min ago`, `2 h ago`, `4 d ago`."""
    gone = max(0.0, (time.time() if now is None else now) - seconds_since_epoch)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if gone >= size:
            return f"{gone / size:.0f} {unit} ago"
    return f"{gone:.0f} s ago"


def is_ours(error: Exception) -> bool:
    """An error that was foreseen: it tells what to do."""
    from tidegate.domain import TidegateError

    return isinstance(error, TidegateError)


def render_error(error: Exception, *, as_json: bool) -> int:
    """Tell what happened and what to do; returns the exit code."""
    from tidegate.domain import InvalidInput, NotFound, Refused, TidegateError

    if not isinstance(error, TidegateError):
        return _render_unexpected(error, as_json=as_json)
    if as_json:
        print_json({"error": error.as_dict()})
    else:
        target = console(stderr=True)
        target.print(f"[red]{escape(error.message)}[/red]")
        if error.remedy:
            target.print(escape(error.remedy))
        target.print(f"[dim]{error.code}[/dim]")
    if isinstance(error, InvalidInput | NotFound | Refused):
        return BAD_INPUT
    return FAILED


def _render_unexpected(error: Exception, *, as_json: bool) -> int:
    """A defect of ours: one line for the person, the traceback for the log."""
    where = _log_traceback(error)
    from tidegate.observability.redaction import Redactor

    # The error of somebody else's code may quote what it was given.
    text = Redactor().text(f"Unexpected error: {type(error).__name__}: {error}".splitlines()[0])
    if as_json:
        print_json(
            {"error": {"code": "TG-0000", "message": text, "remedy": f"Details: {where}", "context": {}}}
        )
    else:
        console(stderr=True).print(f"[red]{escape(text)}[/red] Details: {escape(where)}")
    return FAILED


def _log_traceback(error: Exception) -> str:
    from tidegate.log_files import open_log, rotate
    from tidegate.observability.log_output import error_line
    from tidegate.settings import load_settings

    path = load_settings().logs_dir / "cli.log"
    line = error_line("cli", f"unexpected error in: {' '.join(sys.argv[:3])}", error, os.environ)
    try:
        rotate(path)
        with open_log(path) as log:
            log.write(f"{line}\n".encode())
    except OSError as problem:
        return f"not logged ({path}: {problem.strerror})"
    return str(path)


def pairs(values: Sequence[str] | None) -> dict[str, str]:
    """`key=value` options as a mapping.

    Raises:
        InvalidInput: when one has no `=` or no key.
    """
    from tidegate.domain import InvalidInput

    found: dict[str, str] = {}
    for text in values or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InvalidInput(
                f"'{text}' is not KEY=VALUE.", remedy="For example: --provenance run=2026-11-20."
            )
        found[key] = value
    return found


def as_data(value: Any) -> Any:
    """A pydantic value, or a mapping or list of them, as plain data."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): as_data(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return [as_data(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value
