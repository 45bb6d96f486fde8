"""What a person sees while minutes pass, and what is left when a step fails."""

import io
import sys
from pathlib import Path

import pytest

from deployments.setup.errors import SetupError
from deployments.setup.progress import Progress, fraction_done, run_logged, spoken_time


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("line", "fraction"),
    [
        ("  [67/268] Building CXX object", 0.25),
        ("[268/268] Linking", 1.0),
        ("Progress 1024 of 4096", 0.25),
        ("Progress 10 of 0", None),
        ("warning: [unused]", None),
        ("", None),
    ],
)
def test_progress_is_read_from_the_tools_own_words(line: str, fraction: float | None) -> None:
    assert fraction_done(line) == fraction


@pytest.mark.parametrize(
    ("seconds", "spoken"), [(0.4, "0 s"), (59, "59 s"), (60, "1 min 00 s"), (245.9, "4 min 05 s")]
)
def test_time_is_spoken_in_minutes_and_seconds(seconds: float, spoken: str) -> None:
    assert spoken_time(seconds) == spoken


def test_without_a_terminal_a_line_appears_every_quarter_minute() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(stream, clock)
    progress.begin("building")
    for clock.now in range(1, 31):
        progress.tick(clock.now / 100)
    progress.done()

    assert stream.getvalue().splitlines() == [
        "  building ...",
        "  building ... 15%, 15 s",
        "  building ... 30%, 30 s",
        "  building: done in 30 s",
    ]


def test_on_a_terminal_one_line_is_written_over() -> None:
    stream, clock = Terminal(), Clock()
    progress = Progress(stream, clock)
    progress.begin("building")
    clock.now = 1
    progress.tick(None)
    progress.done()

    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().count("\r\x1b[K") == 3


def test_output_goes_to_the_log_and_not_to_the_screen(tmp_path: Path) -> None:
    stream, log = io.StringIO(), tmp_path / "logs" / "step.log"

    run_logged(
        [sys.executable, "-c", "print('[1/2] detail')"],
        log=log,
        progress=Progress(stream),
        failure=SetupError("It failed.", "Do this."),
    )

    assert "[1/2] detail" in log.read_text(encoding="utf-8")
    assert "detail" not in stream.getvalue()


def test_a_failed_step_shows_its_last_lines_the_remedy_and_the_log(tmp_path: Path) -> None:
    log = tmp_path / "step.log"
    script = "import sys; [print(f'line {n}') for n in range(100)]; sys.exit(3)"

    with pytest.raises(SetupError) as caught:
        run_logged(
            [sys.executable, "-c", script],
            log=log,
            progress=Progress(io.StringIO()),
            failure=SetupError("It failed.", "Do this."),
        )

    assert "ended with status 3" in caught.value.message
    assert "line 99" in caught.value.message
    assert "line 1\n" not in caught.value.message
    assert caught.value.remedy.startswith("Do this.")
    assert str(log) in caught.value.remedy
