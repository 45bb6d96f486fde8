"""One file told from another by what it says to a fixed question; rounding told from both."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.probes.fingerprint import Fingerprint, fingerprint_request, read_fingerprint

PARIS = Fingerprint(
    text="It is Paris.",
    tokens=("It", " is", " Paris", "."),
    logprobs=(-0.1, -0.2, -0.05, -0.01),
    leads=(2, 3, 0.3, 9),
)


def moved(by: float) -> Fingerprint:
    return PARIS.model_copy(update={"logprobs": tuple(value - by for value in PARIS.logprobs)})


def said(*tokens: str, leads: tuple[float, ...] = (2, 3, 0.3, 9)) -> Fingerprint:
    return PARIS.model_copy(update={"text": "".join(tokens), "tokens": tokens, "leads": leads})


def test_the_same_file_rounds_differently():
    assert PARIS.difference(moved(0.05)) == ""


def test_another_file_has_other_numbers_under_the_same_text():
    assert "differs by 0.40 nats" in PARIS.difference(moved(0.4))


def test_another_token_is_another_file_unless_both_were_about_as_likely():
    assert "It was" in said("It", " was", " Rome", ".").difference(PARIS)
    assert said("It", " is", " Lyon", ".").difference(PARIS) == ""


def test_an_answer_that_ends_earlier_is_another_one():
    shorter = Fingerprint(text="It is", tokens=("It", " is"), logprobs=(-0.1, -0.2), leads=(2, 3))
    assert shorter.difference(PARIS)


def test_without_numbers_the_text_decides():
    assert Fingerprint(text="a").difference(PARIS)
    assert not Fingerprint(text=PARIS.text).difference(PARIS)


@pytest.mark.parametrize("text", ["It is Paris.", "It is Paris. It lies on the Seine.", "It is Lyon."])
def test_what_the_file_said_when_it_was_validated_may_be_longer_or_differ_at_a_tie(text: str):
    assert PARIS.differs_from_text(text) == ""


@pytest.mark.parametrize("text", ["It was Paris.", "Rome", ""])
def test_another_text_of_the_validation_is_another_file(text: str):
    assert PARIS.differs_from_text(text)


def test_a_reply_is_read_with_its_numbers():
    content = [
        {
            "token": "Hi",
            "logprob": -0.5,
            "top_logprobs": [{"token": "Hi", "logprob": -0.5}, {"token": "Ho", "logprob": -2.5}],
        }
    ]
    reply = {"choices": [{"message": {"content": "Hi"}, "logprobs": {"content": content}}]}
    found = read_fingerprint(json.dumps(reply))
    assert found == Fingerprint(text="Hi", tokens=("Hi",), logprobs=(-0.5,), leads=(2.0,))


@pytest.mark.parametrize("reply", ["", "no json", "{}", '{"choices": [{"message": {"content": ""}}]}'])
def test_what_says_nothing_is_no_fingerprint(reply: str):
    assert read_fingerprint(reply) is None


def test_the_question_is_greedy_and_without_a_cache():
    asked = fingerprint_request("m", "q", 16)
    assert (asked["temperature"], asked["cache_prompt"], asked["logprobs"]) == (0, False, True)
    assert "logprobs" not in fingerprint_request("m", "q", 16, with_numbers=False)


TOKENS = st.lists(
    st.tuples(st.sampled_from("abc"), st.floats(-3, 0), st.floats(0, 5)), min_size=1, max_size=6
)


def made(tokens: list[tuple[str, float, float]]) -> Fingerprint:
    return Fingerprint(
        text="".join(one[0] for one in tokens),
        tokens=tuple(one[0] for one in tokens),
        logprobs=tuple(one[1] for one in tokens),
        leads=tuple(one[2] for one in tokens),
    )


@settings(max_examples=60, deadline=None)
@given(TOKENS, TOKENS)
def test_a_difference_is_the_same_from_both_sides_and_none_from_itself(one: list, two: list):
    first, second = made(one), made(two)
    assert first.difference(first) == ""
    assert bool(first.difference(second)) == bool(second.difference(first))
