"""Draws what a benchmark tells, on stderr: `python -m tidegate.cli.bench_picture` with one JSON line per look.

A process of its own, so that drawing never delays what is being measured; it ends when its input does.
"""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

NICENESS = 10


def picture(look: Mapping[str, Any]) -> RenderableType:
    """One look."""
    done = look["answered"] + look["failed"]
    left = "" if look["left_s"] is None else f", about {look['left_s']:.0f} s left"
    head = Text.from_markup(
        f"[bold]{escape(look['title'])}[/bold]  {escape(look['stage'])}  [dim]{look['elapsed_s']:.0f} s{left}[/dim]"
    )
    counts = Table.grid(padding=(0, 3, 0, 0))
    planned = str(look["planned"]) if look["planned"] else "as many as fit"
    failed = f"[red]{look['failed']}[/red]" if look["failed"] else "0"
    counts.add_row(
        f"[dim]planned[/dim] {planned}",
        f"[dim]sent[/dim] {look['sent']}",
        f"[dim]answered[/dim] {look['answered']}",
        f"[dim]failed[/dim] {failed}",
        f"[dim]in flight[/dim] {look['in_flight']}",
        f"[dim]warm-up[/dim] {look['warm']}",
    )
    times = Table.grid(padding=(0, 3, 0, 0))
    times.add_row(
        f"[dim]first token[/dim] {_times(look['first_ms'])}",
        f"[dim]per token[/dim] {_times(look['token_ms'])}",
        f"[dim]output[/dim] {look['tokens_per_s']:.0f} tokens/s",
    )
    parts: list[RenderableType] = [head]
    if look["planned"]:
        parts.append(ProgressBar(total=look["planned"], completed=done, width=60))
    elif look["left_s"] is not None and look["elapsed_s"] > 0:
        whole = look["elapsed_s"] + look["left_s"]
        parts.append(ProgressBar(total=whole, completed=look["elapsed_s"], width=60))
    return Group(*parts, counts, times, _honesty(look))


def _times(values: Iterable[float | None]) -> str:
    p50, p95 = values
    return "–" if p50 is None or p95 is None else f"p50 {p50:.1f}  p95 {p95:.1f} ms"


def _honesty(look: Mapping[str, Any]) -> Text:
    late = f"{look['late_ms']:.1f} ms late"
    if look["is_honest"]:
        return Text.from_markup(f"[green]●[/green] [dim]this client keeps up ({late})[/dim]")
    return Text.from_markup(
        f"[red]● this client does not keep up ({late}): the figures are also its own[/red]"
    )


def main() -> None:
    """Ctrl-C goes to the measurement, which then closes our input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    console = Console(stderr=True, highlight=False)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for line in sys.stdin:
            live.update(picture(json.loads(line)), refresh=True)


if __name__ == "__main__":
    main()
