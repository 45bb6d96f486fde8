"""The demonstration as a person sees it: a live picture where a terminal is, else one line per event."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tidegate.demo.recorder import Board, Event
from tidegate.demo.scenario import Act, Outcome
from tidegate.demo.stages import stages
from tidegate.domain import ReleaseState

MIN_WIDTH, MIN_HEIGHT = 80, 24
HEARTBEAT_S = 5.0
BAR_CELLS = 34
SHOWN_VERSIONS = 2
SHOWN_EVENTS = 4

TONES = {"plain": "", "good": "green", "bad": "red", "loud": "bold"}
OUTCOME_STYLES = {Outcome.LIVE: "green", Outcome.REFUSED: "yellow", Outcome.ROLLED_BACK: "yellow"}
STAGE_STYLES = {"ahead": ("·", "dim"), "now": ("●", "cyan"), "passed": ("✓", "green"), "failed": ("✗", "red")}
VERSION_STYLES = ("blue", "cyan", "magenta", "yellow")


class View(Protocol):
    """Shows boards while it is entered."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def show(self, boards: Sequence[Board]) -> None: ...


def choose_view(console: Console, *, plain: bool, quiet: bool) -> View:
    """A picture needs a terminal of 80 by 24; programs and logs get lines."""
    if quiet:
        return SilentView()
    is_roomy = console.width >= MIN_WIDTH and console.height >= MIN_HEIGHT
    if plain or not console.is_terminal or not is_roomy:
        return PlainView(console)
    return LiveView(console)


class SilentView:
    """For `--json`: nothing before the result."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, boards: Sequence[Board]) -> None:
        return None


class PlainView(SilentView):
    """One line per event, and a sign of life every few seconds."""

    def __init__(self, console: Console):
        self._console = console
        self._started_at = datetime.now(UTC)
        self._told: dict[str, Event] = {}
        self._next_heartbeat = time.monotonic() + HEARTBEAT_S

    def show(self, boards: Sequence[Board]) -> None:
        for board in boards:
            name = str(board.cast.ref)
            for event in _after(board.events, self._told.get(name)):
                self._told[name] = event
                self._line(event.at, f"{name}  {event.text}", TONES[event.tone])
        if time.monotonic() >= self._next_heartbeat:
            self._next_heartbeat = time.monotonic() + HEARTBEAT_S
            now = datetime.now(UTC)
            for board in boards:
                self._line(now, f"{board.cast.ref}  {heartbeat(board, now)}", "dim")

    def _line(self, at: datetime, text: str, style: str) -> None:
        seconds = (at - self._started_at).total_seconds()
        self._console.print(Text(f"{max(0.0, seconds):7.2f} s  {text}", style=style), soft_wrap=True)


def _after(events: Sequence[Event], last: Event | None) -> Sequence[Event]:
    """Events that were not told yet; the board keeps only the newest."""
    position = next((number for number, event in enumerate(events) if event is last), -1)
    return events[position + 1 :]


def heartbeat(board: Board, now: datetime) -> str:
    """How things stand, in one line."""
    parts = [_standing(board, now)]
    sample = board.sample
    if sample is not None:
        parts += [f"{version} {weight} %" for version, weight in sample.weights.items() if weight]
        counts = sample.counts
        parts.append(f"{counts.ok} ok, {counts.failed} failed, {counts.truncated} cut off")
        if sample.ttft_p50_ms is not None:
            parts.append(f"first token {sample.ttft_p50_ms:.0f} ms")
    return "; ".join(parts)


def _standing(board: Board, now: datetime) -> str:
    """`v2: judge for 3 s`, or what the service waits for."""
    if board.is_over or board.scene is None:
        return "no release under way"
    entered = [entry for entry in board.scene.entries if entry.kind == "entered"]
    if not entered:
        return f"{board.scene.act.version}: waiting for Prefect"
    if entered[-1].name == ReleaseState.REQUESTED.value:
        return f"{board.scene.act.version}: waiting for a worker"
    name = entered[-1].name.replace("_", " ")
    return f"{board.scene.act.version}: {name} for {(now - entered[-1].at).total_seconds():.0f} s"


class LiveView:
    """A picture of constant height, drawn over itself four times a second."""

    def __init__(self, console: Console):
        self._started_at = datetime.now(UTC)
        self._live = Live(console=console, auto_refresh=False, transient=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, boards: Sequence[Board]) -> None:
        self._live.update(picture(boards, self._started_at, datetime.now(UTC)), refresh=True)


def picture(boards: Sequence[Board], started_at: datetime, now: datetime) -> RenderableType:
    """Header and one panel per organization: 23 lines for two, whatever happens."""
    header = Table.grid(expand=True)
    header.add_column()
    header.add_column(justify="right")
    header.add_row(
        Text("Tidegate: nothing carries traffic until evidence says that it may", style="bold"),
        Text(f"{(now - started_at).total_seconds():.0f} s", style="dim"),
    )
    return Group(header, *(_panel(board, started_at, now) for board in boards))


def _panel(board: Board, started_at: datetime, now: datetime) -> Panel:
    lines: list[RenderableType] = [_acts_line(board), _stages_line(board, now)]
    lines += _share_lines(board)
    lines += [_traffic_line(board), *_event_lines(board, started_at)]
    return Panel(Group(*lines), title=str(board.cast.ref), title_align="left", padding=(0, 1))


def _acts_line(board: Board) -> Text:
    """`✓ v1 live   ● v2   · v3-regressed   · v2-fast`."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for act in board.acts:
        outcome = board.outcomes.get(act.version)
        is_now = board.scene is not None and board.scene.act == act and outcome is None
        line.append_text(_act_text(act, outcome, is_now=is_now)).append("   ")
    return line


def _act_text(act: Act, outcome: Outcome | None, *, is_now: bool) -> Text:
    if outcome is None:
        return (
            Text(f"● {act.version}", style="bold cyan") if is_now else Text(f"· {act.version}", style="dim")
        )
    style = OUTCOME_STYLES.get(outcome, "red") if outcome is act.expected else "bold red"
    return Text(f"{'✓' if outcome is act.expected else '✗'} {act.version} {outcome.value}", style=style)


def _stages_line(board: Board, now: datetime) -> Text:
    """`check ✓2.1  start ✓0.8  probe ●1.0  judge ·  ...`."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for stage in stages(board.scene.entries if board.scene else (), now):
        mark, style = STAGE_STYLES[stage.mark]
        line.append(f"{stage.name} {mark}{_seconds(stage.seconds)}", style=style).append("  ")
    return line


def _seconds(spent: float | None) -> str:
    """At most four characters, so that all stages stay in sight."""
    if spent is None:
        return ""
    return f"{spent:.1f}" if spent < 10 else f"{spent:.0f}"


def _share_lines(board: Board) -> list[Text]:
    """A bar for each of the two versions that matter now: traffic wanted, and what they answered."""
    sample = board.sample
    if sample is None:
        return [Text("")] * SHOWN_VERSIONS
    order = [act.version for act in board.acts]
    known = [name for name in order if name in sample.weights]
    # The newest set stays in sight at 0 %, and bars keep their place while weights move.
    wanted = sorted(known, key=lambda name: (name != _now(board), -sample.weights[name]))
    shown = [name for name in known if name in wanted[:SHOWN_VERSIONS]]
    lines = [_bar(name, sample.weights[name], sample.answered.get(name, 0), order) for name in shown]
    return lines + [Text("")] * (SHOWN_VERSIONS - len(lines))


def _now(board: Board) -> str:
    return board.scene.act.version if board.scene else ""


def _bar(name: str, weight: int, answered: int, order: list[str]) -> Text:
    cells = round(weight / 100 * BAR_CELLS)
    style = VERSION_STYLES[order.index(name) % len(VERSION_STYLES)]
    line = Text(f"{name:<13}", style=style, no_wrap=True)
    line.append("█" * cells, style=style).append("░" * (BAR_CELLS - cells), style="dim")
    return line.append(f" {weight:>3} %").append(f"  {answered:>6} answered", style="dim")


def _traffic_line(board: Board) -> Text:
    sample = board.sample
    if sample is None or not sample.counts.sent:
        return Text("no clients yet: nothing is live", style="dim", no_wrap=True)
    counts = sample.counts
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"requests {counts.sent}  ok {counts.ok}  ")
    line.append(f"failed {counts.failed}", style="bold red" if counts.failed else "green").append("  ")
    line.append(f"cut off {counts.truncated}", style="bold red" if counts.truncated else "green")
    if sample.ttft_p50_ms is not None:
        line.append(f"  first token {sample.ttft_p50_ms:.0f} ms (p50)")
    return line


def _event_lines(board: Board, started_at: datetime) -> list[Text]:
    lines: list[Text] = []
    for event in board.events[-SHOWN_EVENTS:]:
        seconds = max(0.0, (event.at - started_at).total_seconds())
        line = Text(no_wrap=True, overflow="ellipsis").append(f"{seconds:6.1f} s  ", style="dim")
        lines.append(line.append(event.text, style=TONES[event.tone]))
    return lines + [Text("")] * (SHOWN_EVENTS - len(lines))
