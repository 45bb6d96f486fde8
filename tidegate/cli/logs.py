"""`tidegate logs`: the end of a process's or a set's log, and what is written from now on."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.output import print_table

if TYPE_CHECKING:
    from tidegate.domain import ServiceRef

FOLLOW_POLL_S = 0.3
SET_WINDOW_LINES = 500


def logs(
    name: Annotated[
        str, typer.Argument(help="A process (prefect, gateway, worker-control, ...) or a set.")
    ] = "",
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many lines from the end.")] = 50,
) -> None:
    """Show the log of a process or of a set.

    Without a name, list the logs that there are.

    Examples:

      tidegate logs

      tidegate logs worker-control -f

      tidegate logs swaggystacks--support-chat--0a1b2c3d4e-5f6a7b8c -n 100
    """
    from tidegate.domain import owner_of_set
    from tidegate.settings import load_settings

    settings = load_settings()
    owner = owner_of_set(name)
    if not name:
        _list(settings.logs_dir)
    elif owner is not None:
        _set_log(name, owner, lines, follow=follow)
    else:
        _process_log(settings.logs_dir, name, lines, follow=follow)


def _list(folder: Path) -> None:
    from tidegate.cli.output import ago
    from tidegate.log_files import log_files

    rows = [
        (path.stem, f"{path.stat().st_size / 1024:.0f} KiB", ago(path.stat().st_mtime))
        for path in log_files(folder)
    ]
    print_table(("LOG", "SIZE", "WRITTEN"), rows)


def _process_log(folder: Path, name: str, lines: int, *, follow: bool) -> None:
    from tidegate.domain import NotFound
    from tidegate.log_files import log_files, read_new, tail

    path = folder / f"{name}.log"
    known = [found.stem for found in log_files(folder)]
    if name not in known:
        raise NotFound(
            f"There is no log of '{name}'.",
            remedy=f"Choose one of: {', '.join(known)}." if known else "Start the stack with: tidegate up.",
        )
    offset = path.stat().st_size
    for line in tail(path, lines):
        typer.echo(line)
    while follow:
        text, offset = read_new(path, offset)
        if text:
            typer.echo(text, nl=False)
        time.sleep(FOLLOW_POLL_S)


def _set_log(name: str, owner: "ServiceRef", lines: int, *, follow: bool) -> None:
    from tidegate import wiring

    platform = wiring.load().platform(owner)
    shown = platform.logs(name, lines).splitlines()
    for line in shown:
        typer.echo(line)
    if follow:
        _follow(lambda: platform.logs(name, SET_WINDOW_LINES).splitlines(), shown)


def _follow(read: Callable[[], list[str]], shown: list[str]) -> None:
    """A platform only gives the end of a log: print what comes after the part that was shown."""
    while True:
        time.sleep(FOLLOW_POLL_S)
        window = read()
        for line in unseen(window, shown):
            typer.echo(line)
        shown = window


def unseen(window: list[str], shown: list[str]) -> list[str]:
    """The lines of `window` after its longest overlap with the end of `shown`."""
    for length in range(min(len(window), len(shown)), 0, -1):
        for start in range(len(window) - length, -1, -1):
            if window[start : start + length] == shown[-length:]:
                return window[start + length :]
    return window
