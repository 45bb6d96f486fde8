"""`tidegate up` and `tidegate down`: the embedded stack of this home."""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.output import FAILED, JsonFlag, console, escape, print_json, say

if TYPE_CHECKING:
    from rich.status import Status

    from tidegate.settings import Settings
    from tidegate.stack.record import StackRecord

READY_TIMEOUT_S = 480.0


def up(
    foreground: Annotated[
        bool, typer.Option(help="Stay here and stop everything on Ctrl-C or SIGTERM.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(help="Seconds until a stack that is not ready is an error.")
    ] = READY_TIMEOUT_S,
    gateways: Annotated[
        int | None,
        typer.Option(min=1, max=9, help="How many gateways; by default TIDEGATE_GATEWAYS, else one."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Start the stack and wait until it is ready.

    Gateway, Prefect server, workers and the local platform, supervised: what dies is started again.
    Safe to repeat: a stack that is up already is only reported.

    Examples:

      tidegate up

      tidegate up --foreground     (for systemd or a container)

      tidegate up --gateways 2
    """
    import os

    from tidegate.settings import load_settings
    from tidegate.stack.launching import running_stack, wait_until_ready

    if gateways is not None:
        os.environ["TIDEGATE_GATEWAYS"] = str(gateways)
    settings = load_settings()
    found = running_stack(settings.home)
    log = settings.logs_dir / "supervisor.log"
    if found is not None and found.state == "starting" and not foreground:
        found = wait_until_ready(settings.home, None, timeout, log)
    if found is not None:
        _report_running(found, as_json=as_json)
    elif foreground:
        from tidegate.cli.agents import supervise

        supervise()
    else:
        _start(settings, timeout, as_json=as_json)


def _start(settings: "Settings", timeout_s: float, *, as_json: bool) -> None:
    import os

    from tidegate.domain import TidegateError
    from tidegate.stack.launching import start_detached, stop_stack, wait_until_ready

    log = settings.logs_dir / "supervisor.log"
    started = time.monotonic()
    command = (sys.executable, "-m", "tidegate.cli", "agent", "supervisor")
    environ = {**os.environ, "TIDEGATE_HOME": str(settings.home)}
    process = start_detached(command, environ, log)
    progress = Progress(quiet=as_json)
    try:
        with progress:
            record = wait_until_ready(settings.home, process, timeout_s, log, progress.show)
    except (TidegateError, KeyboardInterrupt):
        # Half a stack helps nobody: the next `up` starts from nothing.
        stop_stack(settings.home, progress.note)
        raise
    if as_json:
        print_json(record.as_dict())
    else:
        _print_addresses(record, f"Ready after {time.monotonic() - started:.1f} s")


def _report_running(record: "StackRecord", *, as_json: bool) -> None:
    """A second `up`: fine when the first is healthy, an error that names what is not when it is not."""
    if as_json:
        print_json({"already_up": True, **record.as_dict()})
    else:
        _print_addresses(record, f"Already up, supervisor pid {record.supervisor.pid}")
    if record.state != "ready":
        if not as_json:
            console(stderr=True).print(
                f"[red]It is {record.state}.[/red] See: tidegate status, tidegate doctor."
            )
        raise typer.Exit(FAILED)


def _print_addresses(record: "StackRecord", headline: str) -> None:
    say(f"[green]{escape(headline)}[/green]")
    for name in sorted(name for name in record.urls if name.startswith("gateway")):
        say(f"  {name:9} {record.urls[name]}")
    say(f"  prefect   {record.urls['prefect']}   (its password: tidegate keys prefect)")
    if "console" in record.urls:
        say(f"  API       {record.urls['console']}   (its token: tidegate keys console)")
    if "exporter" in record.urls:
        say(f"  metrics   {record.urls['exporter']}/metrics   (for Prometheus)")
    say("Next: tidegate demo, tidegate status, tidegate models register.")


def down(as_json: JsonFlag = False) -> None:
    """Stop the stack; no process is left behind.

    Sets of the local platform are suspended; they serve again after the next 'tidegate up'.

    Examples:

      tidegate down
    """
    from tidegate.cli.agents import suspend_sets
    from tidegate.settings import load_settings
    from tidegate.stack.launching import stop_stack

    settings = load_settings()
    started = time.monotonic()
    notes: list[str] = []
    progress = Progress(quiet=as_json)
    with progress:
        progress.waiting("stopping")
        ended = stop_stack(settings.home, notes.append if as_json else progress.note, teardown=suspend_sets)
    if as_json:
        print_json({"stopped": ended, "notes": notes})
    else:
        say(f"Stopped after {time.monotonic() - started:.1f} s." if ended else "Nothing was running.")


class Progress:
    """One line per process as it becomes ready; a spinner with what is still missing where a person watches."""

    def __init__(self, *, quiet: bool):
        self._quiet = quiet
        self._console = console()
        self._shown: dict[str, tuple[Any, ...]] = {}
        self._status: Status | None = None

    def __enter__(self) -> "Progress":
        if not self._quiet and self._console.is_terminal:
            self._status = self._console.status("starting")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def waiting(self, text: str) -> None:
        if self._status is not None:
            self._status.update(escape(text))

    def note(self, line: str) -> None:
        if not self._quiet:
            self._console.print(f"  {escape(line)}")

    def show(self, record: "StackRecord") -> None:
        """Called with every new record of the supervisor."""
        from tidegate.stack.specification import SATISFIED, ProcessStatus

        for process in record.processes:
            now = (process.status, process.restarts)
            if self._shown.get(process.name) == now or self._quiet:
                continue
            self._shown[process.name] = now
            if process.status in SATISFIED:
                took = f"{process.ready_s:6.1f} s" if process.ready_s is not None else "running"
                self._console.print(f"  [green]✓[/green] {process.name:<16} {took}")
            elif process.status in (ProcessStatus.BACKOFF, ProcessStatus.FAILED):
                self._console.print(f"  [red]✗[/red] {process.name:<16} {escape(process.last_exit)}")
        missing = [item.name for item in record.processes if item.status not in SATISFIED]
        self.waiting(f"starting {', '.join(missing)}")
