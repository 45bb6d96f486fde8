"""Scorers: what counts as right, and what never does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.quality import SCORERS, is_right


@pytest.mark.parametrize(
    ("scorer", "expect", "answer", "right"),
    [
        ("exact", "Paris.", " Paris.\n", True),
        ("exact", "Paris.", "paris.", False),
        ("exact", ["Paris", "Paris."], "Paris.", True),
        ("contains", "paris", "It is Paris.", True),
        ("contains", "Paris", "It is Rome.", False),
        ("regex", r"^\d+ km$", "12 km", True),
        ("regex", r"^\d+ km$", "about 12 km", False),
        ("numeric", "7", "3 + 4 = 7.", True),
        ("numeric", "7", "3 + 4 = 17", False),
        ("numeric", 1200, "It is 1,200", True),
        ("numeric", "0.5", "0.50", True),
        ("numeric", "-2", "minus: -2", True),
        ("numeric", "7", "seven", False),
        ("choice", "Yes", "yes.", True),
        ("choice", "B", "(B) because", True),
        ("choice", "No", "Nothing", False),
        ("json", '{"a": 1, "b": [2]}', '{"b": [2], "a": 1}', True),
        ("json", {"a": 1}, '{"a": 1}', True),
        ("json", {"a": 1}, "{'a': 1}", False),
        ("json", {"a": 1}, '```json\n{"a": 1}\n```', False),
        ("json", {"a": 1}, '{"a": true}', False),
        ("json", {"a": 1}, '{"a": NaN}', False),
        ("json", [1, 2], "[1, 2]", True),
        ("json", [1, 2], "1", False),
    ],
)
def test_scorer_decides(scorer: str, expect: object, answer: str, right: bool):
    assert is_right(scorer, expect, answer) is right  # pyright: ignore[reportArgumentType]


EXPECTS = {"json": '{"a": 1}', "numeric": "7", "json_schema": {}, "tool_call": {"name": "f", "arguments": {}}}
BY_DEFAULT = sorted(
    name for name, scorer in SCORERS.items() if not scorer.needs_options and name != "choice_logprobs"
)


@given(st.sampled_from(BY_DEFAULT), st.text(max_size=60))
def test_no_answer_makes_a_scorer_fail_in_itself(scorer: str, answer: str):
    expect = EXPECTS.get(scorer, "Paris")
    assert is_right(scorer, expect, answer) in (True, False)


@pytest.mark.parametrize("scorer", BY_DEFAULT)
def test_silence_is_never_right(scorer: str):
    expect = EXPECTS.get(scorer, "Paris")
    assert not is_right(scorer, expect, "")
