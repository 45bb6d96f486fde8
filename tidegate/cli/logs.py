"""`tidegate logs`: the end of a process's or a set's log, or one release or request across all of them."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.output import JsonFlag, print_table

if TYPE_CHECKING:
    from tidegate.domain import ServiceRef
    from tidegate.log_files import Line
    from tidegate.observability.log_reading import Wanted
    from tidegate.settings import Settings

FOLLOW_POLL_S = 0.3
SET_WINDOW_LINES = 500
SHOWN_LINES = 50


def logs(
    name: Annotated[
        str, typer.Argument(help="A process (prefect, gateway, worker-control, ...) or a set.")
    ] = "",
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[
        int | None,
        typer.Option(
            "-n", "--lines", min=0, help="How many lines from the end; 50, of a release or request all."
        ),
    ] = None,
    release: Annotated[str, typer.Option(help="What every process wrote about this release, by time.")] = "",
    request: Annotated[str, typer.Option(help="What became of the request with this X-Request-Id.")] = "",
    service: Annotated[str, typer.Option(help="Only about this service: NAME or ORGANIZATION/NAME.")] = "",
    since: Annotated[
        str, typer.Option(help="Only after this: 90s, 10m, 2h, 3d ago, or a moment in ISO 8601.")
    ] = "",
    level: Annotated[
        str, typer.Option(help="Only this bad or worse: debug, info, warning, error, critical.")
    ] = "",
    traffic: Annotated[
        bool, typer.Option("--traffic", help="Also clients' requests that went well.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show the log of a process or of a set, or follow a release or a request through all of them.

    Without a name and a wish, list the logs that there are.

    Examples:

      tidegate logs

      tidegate logs worker-control -f

      tidegate logs swaggystacks--support-chat--0a1b2c3d4e-5f6a7b8c -n 100

      tidegate logs --release REL-ID --follow

      tidegate logs --request 9f2c11ee0d1b4e7a --json

      tidegate logs --service swaggystacks/support-chat --level warning --since 2h
    """
    from tidegate.domain import owner_of_set
    from tidegate.settings import load_settings

    settings = load_settings()
    owner = owner_of_set(name)
    if any((release, request, service, since, level, traffic)):
        wanted = _wanted(release, request, service, since, level, with_traffic=traffic)
        _together(settings, name, wanted, lines, follow=follow, as_json=as_json)
    elif not name:
        _list(settings.logs_dir)
    elif owner is not None:
        _set_log(name, owner, SHOWN_LINES if lines is None else lines, follow=follow)
    else:
        shown = SHOWN_LINES if lines is None else lines
        _process_log(settings.logs_dir, name, shown, follow=follow, as_json=as_json)


def _wanted(
    release: str, request: str, service: str, since: str, level: str, *, with_traffic: bool
) -> "Wanted":
    from tidegate.domain import InvalidInput
    from tidegate.observability.log_keys import LEVELS
    from tidegate.observability.log_reading import Wanted

    level = level.lower()
    if level and level not in LEVELS:
        raise InvalidInput(
            f"There is no level '{level}'.", remedy=f"Choose one of: {', '.join(LEVELS)}.", field="level"
        )
    moment = moment_of(since, datetime.now().astimezone()) if since else None
    return Wanted(release, request, service, moment, level, with_traffic)


def moment_of(text: str, now: datetime) -> datetime:
    """Raises: InvalidInput for what is neither a time ago nor a moment."""
    import re
    from datetime import timedelta

    from tidegate.domain import InvalidInput

    ago = re.fullmatch(r"(\d{1,9})([smhd])", text.strip())
    if ago:
        unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[ago[2]]
        try:
            return now - timedelta(**{unit: int(ago[1])})
        except OverflowError:
            # Before the first day of the calendar: everything.
            return datetime.min.replace(tzinfo=UTC)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InvalidInput(
            f"'{text}' is no time.", remedy="Write 90s, 10m, 2h, 3d, or 2026-11-26T17:54:00Z.", field="since"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)


def _together(
    settings: "Settings", name: str, wanted: "Wanted", lines: int | None, *, follow: bool, as_json: bool
) -> None:
    from tidegate.domain import NotFound
    from tidegate.observability.log_reading import Reader, sources

    def find() -> list[Path]:
        found = sources(settings.logs_dir, settings.gateway_dir)
        return [path for path in found if not name or name in (path.stem, path.parent.name)]

    with closing(Reader(find, wanted)) as reader:
        found = reader.read()
        first = next(found, None)
        if first is None and not follow:
            raise NotFound(
                "No line in the logs of this installation is about that.",
                remedy="Look at its spelling and at --since; older logs are forgotten. See: tidegate logs.",
            )
        everything = chain([first] if first else [], found)
        for line in everything if lines is None else deque(everything, maxlen=lines):
            _say(line, as_json=as_json)
        while follow:
            time.sleep(FOLLOW_POLL_S)
            for line in reader.read():
                _say(line, as_json=as_json)


def _say(line: "Line", *, as_json: bool) -> None:
    from tidegate.log_files import told, visible

    typer.echo(visible(line.text) if as_json else told(line))


def _list(folder: Path) -> None:
    from tidegate.cli.output import ago
    from tidegate.log_files import log_files

    rows = [
        (path.stem, f"{path.stat().st_size / 1024:.0f} KiB", ago(path.stat().st_mtime))
        for path in log_files(folder)
    ]
    print_table(("LOG", "SIZE", "WRITTEN"), rows)


def _process_log(folder: Path, name: str, lines: int, *, follow: bool, as_json: bool) -> None:
    from tidegate.domain import NotFound
    from tidegate.log_files import Following, log_files, read_line, tail

    path = folder / f"{name}.log"
    known = [found.stem for found in log_files(folder)]
    if name not in known:
        raise NotFound(
            f"There is no log of '{name}'.",
            remedy=f"Choose one of: {', '.join(known)}." if known else "Start the stack with: tidegate up.",
        )
    with closing(Following(path, from_end=True)) as following:
        for text in tail(path, lines):
            _say(read_line(text), as_json=as_json)
        while follow:
            for text in following.read():
                _say(read_line(text), as_json=as_json)
            time.sleep(FOLLOW_POLL_S)


def _set_log(name: str, owner: "ServiceRef", lines: int, *, follow: bool) -> None:
    from tidegate import wiring
    from tidegate.log_files import visible

    platform = wiring.load().platform(owner)
    shown = platform.logs(name, lines).splitlines()
    for line in shown:
        typer.echo(visible(line))
    if follow:
        _follow(lambda: platform.logs(name, SET_WINDOW_LINES).splitlines(), shown)


def _follow(read: Callable[[], list[str]], shown: list[str]) -> None:
    """A platform only gives the end of a log: print what comes after the part that was shown."""
    from tidegate.log_files import visible

    while True:
        time.sleep(FOLLOW_POLL_S)
        window = read()
        for line in unseen(window, shown):
            typer.echo(visible(line))
        shown = window


def unseen(window: list[str], shown: list[str]) -> list[str]:
    """The lines of `window` after its longest overlap with the end of `shown`."""
    for length in range(min(len(window), len(shown)), 0, -1):
        for start in range(len(window) - length, -1, -1):
            if window[start : start + length] == shown[-length:]:
                return window[start + length :]
    return window
