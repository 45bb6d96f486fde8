"""Scorers of answers: what each of them sees, and what it leaves alone."""

from typing import Any

import pytest

from tests.unit.validation.engine import JOB, answer, judged, query, report
from tidegate.domain.policy import ResponsePolicy
from tidegate.validation import ValidationStatus
from tidegate.validation.engine_report import EngineAnswer
from tidegate.validation.quality import (
    coherence_problem,
    empty_problem,
    judge_responses,
    length_problem,
    looped_share,
    repetition_problem,
    script_problem,
    special_token_problem,
    text_problem,
    word_share,
)

POLICY = ResponsePolicy()


def _said(text: str = "It is Paris.", **changes: Any) -> EngineAnswer:
    return EngineAnswer.model_validate(answer(text=text, **changes))


@pytest.mark.parametrize("text", ["", " \n", "\t"])
def test_an_empty_answer_is_no_answer(text: str):
    assert empty_problem(_said(text), "", POLICY)


@pytest.mark.parametrize(
    "text",
    [
        "\x00\x01", "caf\ufffd", "\ue000\ue001", "Traceback (most recent call last): ...", "CUDA error: out of memory",
        '{"error": "overloaded"}', "NaN NaN NaN", "null null null",
    ],
)  # fmt: skip
def test_bytes_and_texts_of_failing_programs_are_no_answers(text: str):
    assert text_problem(_said(text), "", POLICY)


@pytest.mark.parametrize(
    "text",
    [
        "It is Paris.",
        "Ja,\n\n1. eins\n2. zwei",
        "東京です。",
        "👩‍👩‍👧 naïve café",
        "The error is {small}.",
        "null and void",
    ],
)
def test_ordinary_text_is_text(text: str):
    assert text_problem(_said(text), "", POLICY) == ""


@pytest.mark.parametrize(
    "change",
    [{"text": "<|assistant|> hello"}, {"text": "done</s>"}, {"text": "[INST] x [/INST]"}, {"text": "<｜end▁of▁sentence｜>"},
     {"controls": ["<|user|>"]}],
)  # fmt: skip
def test_tokens_of_the_chat_format_are_leaks(change: dict[str, Any]):
    assert special_token_problem(_said(**change), "", POLICY)


def test_a_marker_that_the_question_is_about_is_no_leak():
    assert special_token_problem(_said("The tag <s> strikes text."), "What does <s> do?", POLICY) == ""
    assert special_token_problem(_said("Use a < b and b > c; x |> y."), "", POLICY) == ""


@pytest.mark.parametrize(
    ("tokens", "share"),
    [
        ([7] * 40, 1.0),
        ([1, 2, 3] * 10, 1.0),
        ([*range(30)], 0.0),
        ([*range(20), *([5, 6] * 10)], 0.5),
        ([7, 7, 7], 0.0),
    ],
)
def test_a_loop_is_one_passage_at_least_three_times(tokens: list[int], share: float):
    assert looped_share(tokens) == pytest.approx(share)


def test_a_looping_answer_is_named():
    assert "repeats itself" in repetition_problem(_said(tokens=[1, 2] * 20), "", POLICY)
    assert repetition_problem(_said(tokens=[*range(40)]), "", POLICY) == ""


def test_talking_for_both_sides_is_noticed():
    text = "Paris.\nUser: And Spain?\nAssistant: Madrid."
    assert length_problem(_said(text), "What is the capital?", POLICY)
    assert length_problem(_said("Assistant: Paris."), "", POLICY) == ""


def test_a_model_that_guesses_is_incoherent():
    assert "guesses" in coherence_problem(_said(mean_logprob=-4.0), "", POLICY)
    assert coherence_problem(_said(mean_logprob=None), "", POLICY) == ""


@pytest.mark.parametrize("text", ["xkcdq zrtpl wq vbnmk ghjkl qwrtp zxcvb", "aб cд eф gи kл mн oп"])
def test_strings_that_are_no_words_are_incoherent(text: str):
    assert "no language" in coherence_problem(_said(text), "", POLICY)


@pytest.mark.parametrize(
    "text",
    ["The tide comes in twice a day, at 6:20 and 18:45.", "Привет, как у вас дела сегодня утром?", "1 2 3 4 5 6 7 8",
     "HTTP GET returns a JSON body; see RFC 9110, section 9.3.1.", "Übermäßig große Flüsse strömen südwärts nach Österreich."],
)  # fmt: skip
def test_languages_and_numbers_are_coherent(text: str):
    assert coherence_problem(_said(text), "", POLICY) == ""
    assert word_share(text.split()) > 0.6


def test_an_answer_in_another_script_is_noticed():
    assert script_problem(_said("Это столица Франции."), "What is the capital of France?", POLICY)
    assert script_problem(_said("東京は日本の首都です。"), "日本の首都は？", POLICY) == ""
    assert script_problem(_said("It means 'Привет'."), "Say hello in Russian.", POLICY) == ""


def test_few_bad_answers_of_many_are_a_warning_and_many_fail():
    good = [_said(id=str(number)) for number in range(18)]
    loops = [_said(id=f"loop-{number}", tokens=[1, 2] * 20) for number in range(3)]

    def status(*answers: EngineAnswer, is_general: bool = False) -> ValidationStatus:
        results = judge_responses(answers, {}, POLICY, is_general=is_general)
        return next(r.status for r in results if r.check_name == "response.repetition")

    assert status(*good) is ValidationStatus.PASSED
    assert status(*good, loops[0]) is ValidationStatus.WARNING
    assert status(*good, *loops) is ValidationStatus.FAILED
    assert status(*good[:3], *loops[:2], is_general=True) is ValidationStatus.WARNING


def test_one_leak_fails_however_many_answers_there_are():
    said = report(answers=[answer(), answer("two", text="x </s>")])
    assert judged(said)["response.special_tokens"].status is ValidationStatus.FAILED
    assert "two" not in judged(said)["response.special_tokens"].message


def test_the_same_answer_to_everything_is_a_warning():
    names = ("a", "b", "c")
    job = type(JOB)(JOB.digest, queries=tuple(query(name) for name in names))
    said = report(answers=[answer(name) for name in names])
    assert judged(said, job=job)["response.variety"].status is ValidationStatus.WARNING
