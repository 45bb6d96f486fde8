"""`tidegate reconcile`: one sweep, or a loop of them, that brings reality to what the ledger says."""

import json
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.output import NEEDS_PERSON, OK, JsonFlag, escape, print_json, say

if TYPE_CHECKING:
    from types import FrameType

    from tidegate.observability.health.endpoint import Pulse
    from tidegate.steps.reconcile import ReconcileReport
    from tidegate.steps.reconcile_watch import Sweep


def reconcile(
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option("--interval", min=0.5, max=3600, help="Seconds between sweeps, with --watch.")
    ] = 5.0,
    as_json: JsonFlag = False,
) -> None:
    """Compare what should be with what is, and put it right.

    Finishes releases whose owner died, restores weights, aliases, addresses and sets, removes what nobody needs, and
    tells what a person must look at. Any number of them may run at once. Exit code: 0, or 3 when a person must look.

    Examples:

      tidegate reconcile

      tidegate reconcile --watch --json     (one JSON object a line)
    """
    from tidegate import wiring
    from tidegate.steps.reconcile import reconcile as sweep_once

    ports = wiring.load()
    if not watch:
        report = sweep_once(ports)
        ports.note_error.flush()
        if as_json:
            print_json(asdict(report))
        else:
            _tell(report)
        raise typer.Exit(NEEDS_PERSON if report.problems else OK)
    from tidegate.steps.reconcile_watch import ReconcileWatch

    stop = _Turning()
    _stop_on_signals(stop)
    loop = ReconcileWatch(ports, stop, interval_s=interval, tell=_as_line if as_json else _Told().tell)
    if not as_json:
        say(
            f"Sweeping every {interval:g} s; a release whose owner dies is driven again at most "
            f"{loop.bound_s:g} s after its last word. Ctrl-C ends it."
        )
    from tidegate.watching.process import ready

    with ready(ports.settings, "reconciler", stop.pulse(interval)):
        loop.run()
    ports.note_error.flush()
    if not as_json:
        say("Stopped. What was under way is taken up by the next reconciler.")


class _Turning(threading.Event):
    """Each time that the loop asks whether to stop is a beat of it."""

    def __init__(self) -> None:
        super().__init__()
        self._beat: Callable[[], None] | None = None

    def pulse(self, interval_s: float) -> "Pulse":
        """What says whether the loop still turns."""
        from tidegate.observability.health.endpoint import Pulse
        from tidegate.watching.process import PULSE_LIMIT_S

        pulse = Pulse(PULSE_LIMIT_S + interval_s)
        self._beat = pulse.beat
        return pulse

    def is_set(self) -> bool:
        if self._beat is not None and threading.current_thread() is threading.main_thread():
            self._beat()
        return super().is_set()


def _stop_on_signals(stop: threading.Event) -> None:
    """The sweep in progress ends first: nothing is left half done."""

    def on_signal(number: int, frame: "FrameType | None") -> None:
        stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)


def _as_line(sweep: "Sweep") -> None:
    sys.stdout.write(json.dumps(asdict(sweep), default=str) + "\n")
    sys.stdout.flush()


class _Told:
    """Tells what changed from one sweep to the next; a quiet installation stays quiet."""

    def __init__(self) -> None:
        self._last: tuple[str, ...] = ()

    def tell(self, sweep: "Sweep") -> None:
        if sweep.error:
            say(f"[red]sweep {sweep.number}: {escape(sweep.error)}[/red]")
            return
        for line in sweep.report.done:
            say(f"[green]done[/green]    {escape(line)}")
        standing = (
            *(f"[yellow]differs[/yellow] {escape(line)}" for line in sweep.report.drift),
            *(f"[red]person[/red]  {escape(line)}" for line in sweep.report.problems),
        )
        for line in standing:
            if line not in self._last:
                say(line)
        if self._last and not standing:
            say("[green]quiet[/green]   everything is as it should be")
        self._last = standing


def _tell(report: "ReconcileReport") -> None:
    if report.is_quiet:
        say("[green]Everything is as it should be.[/green]")
    for title, lines in (
        ("Needs a person", report.problems),
        ("Differs", report.drift),
        ("Put right", report.done),
        ("Left to its living owner", report.left_to_owner),
        ("Waits for an approval", report.awaiting),
    ):
        for line in lines:
            say(f"{title}: {escape(line)}")
