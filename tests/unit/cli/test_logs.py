"""Following a log of which only the end can be read."""

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.cli.logs import moment_of, unseen
from tidegate.domain import InvalidInput


@pytest.mark.parametrize(
    ("window", "shown", "new"),
    [
        (["a", "b", "c"], ["a", "b"], ["c"]),
        (["b", "c", "d"], ["a", "b", "c"], ["d"]),
        (["a", "b"], ["a", "b"], []),
        (["x", "y"], ["a", "b"], ["x", "y"]),
        (["a"], [], ["a"]),
        (["tick", "tick", "tock"], ["tick", "tick"], ["tock"]),
    ],
)
def test_only_what_follows_the_shown_part_is_new(window: list[str], shown: list[str], new: list[str]):
    assert unseen(window, shown) == new


NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("2h", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
        ("2026-11-26T11:30:00Z", datetime(2026, 11, 26, 11, 30, tzinfo=UTC)),
        ("2026-11-26 11:30", datetime(2026, 11, 26, 11, 30, tzinfo=UTC)),
    ],
)
def test_a_time_is_given_as_ago_or_as_a_moment(text: str, moment: datetime):
    assert moment_of(text, NOW) == moment


@pytest.mark.parametrize("text", ["yesterday", "10", "5w", "1e3s"])
def test_what_is_no_time_is_refused_with_an_example(text: str):
    with pytest.raises(InvalidInput, match=text):
        moment_of(text, NOW)
