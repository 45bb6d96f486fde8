"""One question, several scorers: how their marks become one score."""

from typing import Any

import pytest
from pydantic import ValidationError

from tidegate.quality import Answer, Question, score
from tidegate.quality.results import TokenLogprob


def question(**fields: Any) -> Question:
    return Question.model_validate({"id": "q", "prompt": "p", **fields})


def test_without_a_threshold_every_counted_scorer_must_say_right():
    asked = question(
        expect="Paris", scorers=[{"name": "contains"}, {"name": "regex", "expect": r"\.$", "metric": "ends"}]
    )
    assert score(asked, Answer(text="It is Paris.")).is_right
    half = score(asked, Answer(text="It is Paris"))
    assert (half.value, half.is_right) == (0.5, False)
    assert not half.parts["ends"].is_right


def test_with_a_threshold_the_weighted_mean_decides():
    asked = question(
        expect="Paris",
        scorers=[{"name": "contains", "weight": 3}, {"name": "exact", "weight": 1}],
        threshold=0.75,
    )
    scored = score(asked, Answer(text="It is Paris."))
    assert (scored.value, scored.is_right) == (0.75, True)


def test_a_scorer_of_weight_zero_is_shown_and_not_counted():
    asked = question(expect="Paris", scorers=[{"name": "contains"}, {"name": "exact", "weight": 0}])
    scored = score(asked, Answer(text="It is Paris."))
    assert (scored.value, scored.is_right) == (1.0, True)
    assert not scored.parts["exact"].is_right


def test_a_group_counts_as_one_scorer():
    either = {
        "name": "group",
        "threshold": 0.5,
        "scorers": [{"name": "contains", "expect": "red"}, {"name": "contains", "expect": "blue"}],
    }
    asked = question(scorers=[either, {"name": "contains", "expect": "car"}])
    assert score(asked, Answer(text="a red car")).is_right
    assert not score(asked, Answer(text="a green car")).is_right


def test_not_turns_a_scorer_round():
    asked = question(scorers=[{"name": "contains", "expect": "sorry", "not": True}])
    assert score(asked, Answer(text="Here it is.")).is_right
    assert not score(asked, Answer(text="I am sorry.")).is_right


def test_silence_is_never_right_even_where_something_must_be_absent():
    asked = question(scorers=[{"name": "contains", "expect": "sorry", "not": True}])
    scored = score(asked, Answer(text=" \n"))
    assert (scored.value, scored.is_right, scored.flags) == (0.0, False, ("silent",))


def test_an_answer_that_is_an_error_cannot_be_scored():
    with pytest.raises(ValueError, match="HTTP 503"):
        score(question(expect="x", scorer="exact"), Answer(error="HTTP 503"))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"expect": "x"}, "either scorer or scorers"),
        ({"expect": "x", "scorer": "exact", "scorers": [{"name": "exact"}]}, "either scorer or scorers"),
        ({"scorer": "exact"}, "expect"),
        ({"expect": "x", "scorers": [{"name": "exact", "weight": 0}]}, "no scorer counts"),
        (
            {"expect": "x", "scorers": [{"name": "exact", "options": {"ignore_cse": True}}]},
            "there are: ignore_case",
        ),
        ({"expect": "x", "scorers": [{"name": "exact", "threshold": 0.5}]}, "threshold has no meaning"),
        ({"scorers": [{"name": "group"}]}, "a group has no scorers"),
        ({"expect": "x", "scorers": [{"name": "exact", "scorers": [{"name": "exact"}]}]}, "only 'group'"),
        ({"expect": "C", "choices": ["yes", "no"], "scorer": "choice"}, "no letter and no text"),
        ({"expect": "A", "choices": ["B", "A"], "scorer": "choice"}, "letter of one choice"),
        ({"expect": "A", "scorer": "choice_logprobs"}, "needs choices"),
    ],
)
def test_a_question_that_cannot_be_judged_is_refused(fields: dict[str, Any], reason: str):
    with pytest.raises(ValidationError, match=reason):
        question(**fields)


def test_choices_are_listed_for_the_model_unless_the_prompt_does_it():
    asked = question(choices=["red", "blue"], expect="blue", scorer="choice")
    assert asked.turns[-1].content == (
        "p\n\nA) red\nB) blue\n\nAnswer with the letter of the right choice only."
    )
    listed = question(choices=["red", "blue"], expect="B", scorer="choice", has_choices_in_prompt=True)
    assert listed.turns[-1].content == "p"


def test_messages_stand_for_the_prompt():
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "What is 2 + 2?"},
    ]
    asked = Question.model_validate({"id": "q", "messages": turns, "expect": 4, "scorer": "numeric"})
    assert asked.prompt == "What is 2 + 2?"
    assert [turn.role for turn in asked.turns] == ["system", "user", "assistant", "user"]


def test_the_likeliest_letter_is_the_choice_and_its_share_the_value():
    asked = question(choices=["red", "blue"], expect="B", scorer="choice_logprobs")
    likely = (TokenLogprob(token=" B", logprob=-0.5108), TokenLogprob(token="A", logprob=-1.6094))
    scored = score(asked, Answer(text="B", top_logprobs=likely))
    assert scored.is_right
    assert scored.value == pytest.approx(0.75, abs=1e-3)
    assert scored.flags == ()


def test_letters_that_hold_little_of_the_first_token_are_flagged():
    asked = question(choices=["red", "blue"], expect="B", scorer="choice_logprobs")
    likely = (TokenLogprob(token="The", logprob=-0.2), TokenLogprob(token="B", logprob=-3.0))
    scored = score(asked, Answer(text="The", top_logprobs=likely))
    assert scored.is_right
    assert "letters-hold-little" in scored.flags
