"""The exit codes of all commands that judge (`bench`, `quality`, `drift`, `nightly`): one convention for CI.

0: kept, or passes. 1: shown to be broken or worse; also an error in judging, or a defect of ours. 2: the input is wrong. 3: not judged, or
undecided; what kept us from measuring (a server that does not answer) is no regression, and must not look like one.
"""

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from tidegate.cli.error_notes import note_error
from tidegate.cli.output import FAILED, JSON_KEY, NEEDS_PERSON, OK, is_ours, render_error

if TYPE_CHECKING:
    from tidegate.domain import Verdict

NOT_JUDGED = NEEDS_PERSON
"""Something must be looked at, or measured again, before anything follows from it."""


def exit_code(verdicts: "Iterable[Verdict]") -> int:
    """The worst of them. Nothing judged at all is 0: whoever must judge something adds its verdict."""
    from tidegate.domain import Verdict

    found = set(verdicts)
    if found & {Verdict.FAIL, Verdict.ERROR}:
        return FAILED
    return NOT_JUDGED if Verdict.NOT_JUDGED in found else OK


class JudgingCommand(TyperCommand):
    """A single command that judges."""

    def invoke(self, ctx: Any) -> Any:
        return _invoked(lambda: super(JudgingCommand, self).invoke(ctx), ctx)


class JudgingCommands(TyperGroup):
    """Commands that judge."""

    def invoke(self, ctx: Any) -> Any:
        return _invoked(lambda: super(JudgingCommands, self).invoke(ctx), ctx)


def _invoked(run: Callable[[], Any], ctx: Any) -> Any:
    try:
        return run()
    except BrokenPipeError:
        # A verdict that nobody read is none. Nothing may be flushed into the pipe at exit.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        raise typer.Exit(NOT_JUDGED) from None
    except Exception as error:
        if not is_ours(error):
            raise
        code = render_error(error, as_json=bool(ctx.find_root().meta.get(JSON_KEY)))
        note_error(error, f"command {ctx.info_name}")
        raise typer.Exit(NOT_JUDGED if code == FAILED else code) from None
