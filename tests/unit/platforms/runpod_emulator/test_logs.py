import asyncio

import pytest

from tidegate.platforms.runpod.emulator.clock import Clock, parse_rfc3339, rfc3339
from tidegate.platforms.runpod.emulator.logs import CONTAINER, SYSTEM, LogBook, event_id, start_after


@pytest.fixture
def book(tmp_path):
    times = iter(range(1000, 2000))
    return LogBook(tmp_path / "log", Clock(lambda: float(next(times))))


def test_a_tail_shows_the_last_lines(book):
    for number in range(5):
        book.write(CONTAINER, f"line {number}")
    assert start_after(list(book.lines), 2, None, None) == 3
    assert start_after(list(book.lines), 0, None, None) == 5


def test_an_event_id_continues_after_its_line_and_wins_over_tail(book):
    for number in range(5):
        book.write(CONTAINER, f"line {number}")
    third = event_id(book.lines[2], book.clock)
    assert start_after(list(book.lines), 100, None, third) == 3


def test_since_starts_at_the_moment(book):
    for number in range(5):
        book.write(CONTAINER, f"line {number}")
    assert start_after(list(book.lines), 0, rfc3339(1002), None) == 2


@pytest.mark.parametrize("text", ["yesterday", "2026-11-26T00:00:00", "now"])
def test_a_text_that_is_no_moment_is_refused(text):
    with pytest.raises(ValueError, match=r"time zone|Invalid isoformat"):
        parse_rfc3339(text)


def test_container_lines_disappear_after_the_container_and_system_lines_stay(book):
    book.write(SYSTEM, "start container")
    book.write(CONTAINER, "hello")
    book.close()
    book.forget_container_lines(retention_s=0.5)
    assert [line.text for line in book.lines] == ["start container"]


def test_a_follower_sees_the_past_and_what_comes(book):
    async def follow():
        seen: list[str] = []
        book.write(CONTAINER, "past")
        async for line in book.follow(0):
            seen.append(line.text)
            if line.text == "past":
                asyncio.get_running_loop().call_soon(book.write, CONTAINER, "future")
            else:
                return seen

    assert asyncio.run(follow()) == ["past", "future"]


def test_lines_are_written_to_a_file_too(book):
    book.write(CONTAINER, "kept")
    assert book.path.read_text().endswith("container kept\n")
