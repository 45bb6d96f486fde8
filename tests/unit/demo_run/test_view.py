"""What a watching person sees: a picture that keeps its size, or lines."""

import io
from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console

from tidegate.demo.recorder import Board, Event, Scene
from tidegate.demo.scenario import ACTS, CASTS
from tidegate.demo.stages import stages
from tidegate.demo.story import Story
from tidegate.demo.summary import summarise
from tidegate.demo.verdict import print_directions, print_verdict
from tidegate.demo.view import LiveView, PlainView, choose_view, heartbeat, picture


def terminal(width: int = 80, height: int = 24, *, is_terminal: bool = True) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=is_terminal,
        color_system=None,
        highlight=False,
    )


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def board(stagehand: Any) -> Board:
    """In the middle of the last release, just after the kill."""
    service = stagehand.service(CASTS[0])
    record = service.acts[3]
    entries = record.entries[:-2]
    sample = [item for item in service.samples if item.at <= entries[-1].at][-1]
    events = tuple(Event(entry.at, f"{entry.name} " + "a very long reason " * 9, "bad") for entry in entries)
    outcomes = {act.version: act.outcome for act in service.acts[:3]}
    return Board(CASTS[0], ACTS, outcomes, Scene(ACTS[3], entries, record.kill), sample, events)


def test_the_picture_of_two_services_fits_a_terminal_of_80_by_24(stagehand: Any, board: Board):
    console = terminal()

    console.print(picture([board, board], stagehand.start, stagehand.at(60)))

    lines = shown(console).splitlines()
    assert len(lines) == 23
    assert max(len(line) for line in lines) <= 80


def test_the_picture_keeps_its_height_from_the_first_moment_on(stagehand: Any, board: Board):
    console = terminal()
    empty = Board(CASTS[1], ACTS)

    console.print(picture([board, empty], stagehand.start, stagehand.at(60)))

    assert len(shown(console).splitlines()) == 23


def test_the_picture_shows_versions_shares_stages_and_counts(stagehand: Any, board: Board):
    console = terminal()

    console.print(picture([board], stagehand.start, stagehand.at(60)))

    text = shown(console)
    assert "✓ v3-regressed refused" in text
    assert "● v2-fast" in text
    assert "shift ✗" in text
    assert "failed 0" in text


@pytest.mark.parametrize(
    ("console", "plain"),
    [
        (terminal(is_terminal=False), False),
        (terminal(), True),
        (terminal(width=79), False),
        (terminal(height=23), False),
    ],
    ids=["no terminal", "asked for", "too narrow", "too low"],
)
def test_lines_are_chosen_where_a_picture_has_no_place(console: Console, plain: bool):
    assert isinstance(choose_view(console, plain=plain, quiet=False), PlainView)


def test_a_terminal_gets_the_picture():
    assert isinstance(choose_view(terminal(), plain=False, quiet=False), LiveView)


def test_each_event_is_told_once(board: Board):
    console = terminal(is_terminal=False)
    view = PlainView(console)

    view.show([board])
    view.show([board])

    assert len(shown(console).splitlines()) == len(board.events)


def test_no_line_is_wrapped(board: Board):
    console = terminal(is_terminal=False)

    PlainView(console).show([board])

    assert all("support-chat" in line for line in shown(console).splitlines())


def test_a_heartbeat_says_what_is_waited_for(board: Board):
    last = board.scene.entries[-1] if board.scene else None
    assert last is not None

    text = heartbeat(board, last.at + timedelta(seconds=2))

    assert text.startswith("v2-fast: rolling back for 2 s; v2 100 %;")
    assert heartbeat(Board(CASTS[0], ACTS, scene=Scene(ACTS[0])), last.at) == "v1: waiting for Prefect"


def test_a_stage_from_which_a_release_turned_back_has_failed(stagehand: Any):
    entries = stagehand.entries(stagehand.rows["v3-regressed"])

    found = {stage.name: stage.mark for stage in stages(entries, entries[-1].at)}

    assert found == {
        "check": "passed", "start": "passed", "probe": "passed", "judge": "failed",
        "shift": "ahead", "bake": "ahead", "tidy": "ahead",
    }  # fmt: skip


def test_time_in_a_stage_adds_up_over_its_steps(stagehand: Any):
    entries = stagehand.entries(stagehand.rows["v2"])

    found = {stage.name: stage for stage in stages(entries, entries[-1].at)}

    assert found["shift"].seconds == pytest.approx(6.4)
    assert {stage.mark for stage in found.values()} == {"passed"}


def test_the_present_stage_counts_on(stagehand: Any):
    entries = stagehand.entries(stagehand.rows["v2"][:6])

    found = {stage.name: stage for stage in stages(entries, entries[-1].at + timedelta(seconds=3))}

    assert (found["probe"].mark, found["probe"].seconds) == ("now", pytest.approx(3.0))


def test_the_verdict_fits_80_columns_except_for_sentences(story: Story):
    console = terminal(is_terminal=False)

    print_verdict(console, story, summarise(story, len(ACTS)))

    text = shown(console)
    assert "v2-fast       rolled back  rolled back" in text
    assert "killed; after 150 ms the release decided to go back" in text
    assert all(len(line) <= 80 for line in text.splitlines() if line.startswith(("RELEASE", "v")))


def test_commands_that_follow_name_the_home_where_it_is_not_the_usual_one(story: Story, tmp_path: Any):
    console = terminal(is_terminal=False)

    print_directions(console, story.urls, tmp_path, is_up=True, prefix="TIDEGATE_HOME=/x ")

    assert "Next: TIDEGATE_HOME=/x tidegate status" in shown(console)
