"""Following a log of which only the end can be read."""

import pytest

from tidegate.cli.logs import unseen


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
