"""Windows: every token but the first is predicted once, or it is told that it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.drift.scored_text import windows

BOS = 99


@given(length=st.integers(0, 60), context=st.integers(2, 20), has_bos=st.booleans())
def test_windows_of_a_raw_text_cover_it_in_order(length: int, context: int, has_bos: bool):
    tokens = list(range(length))
    found = windows(tokens, context, bos=BOS if has_bos else None)
    assert all(1 < len(window.tokens) <= context for window in found)
    for number, window in enumerate(found):
        first = number * context
        expected = tokens[first : first + context]
        assert list(window.tokens[1:]) == expected[1:]
        assert window.tokens[0] == (BOS if has_bos and number else expected[0])
        assert window.scored == len(window.tokens) - 1


@given(prompt=st.integers(1, 40), answer=st.integers(1, 40), context=st.integers(2, 30))
def test_an_answer_is_measured_behind_as_much_of_its_prompt_as_fits(prompt: int, answer: int, context: int):
    tokens = list(range(prompt + answer))
    (window,) = windows(tokens, context, unscored=prompt)
    assert len(window.tokens) <= context
    assert window.first_scored >= 1
    measured = window.tokens[window.first_scored :]
    assert measured[0] == prompt
    assert list(measured) == list(range(prompt, prompt + len(measured)))
    fed = window.tokens[: window.first_scored]
    assert fed == tuple(range(prompt - len(fed), prompt))
    if prompt + answer <= context:
        assert list(window.tokens) == tokens


def test_a_prompt_that_was_cut_begins_with_the_beginning_of_text():
    (window,) = windows(list(range(30)), 10, unscored=25, bos=BOS)
    assert window.tokens == (BOS, 21, 22, 23, 24, 25, 26, 27, 28, 29)


def test_a_prompt_without_an_answer_has_nothing_to_measure():
    assert windows([1, 2, 3], 10, unscored=3) == []


def test_a_context_without_room_for_two_tokens_is_refused():
    with pytest.raises(ValueError, match="two tokens"):
        windows([1, 2], 1)
