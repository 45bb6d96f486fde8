"""How a file is asked a bank, and what is made of what the engine's child says."""

from typing import Any

import numpy as np
import pytest

from tests.unit.validation.engine import answer
from tidegate.quality import Bank, Question
from tidegate.quality.wording import TOP_LOGPROBS
from tidegate.validation.answers import answer_of
from tidegate.validation.engine import Logits
from tidegate.validation.engine_report import EngineAnswer
from tidegate.validation.queries import BANK_TOKENS, bank_queries, bank_query

CHOICE = {
    "id": "c",
    "prompt": "Which?",
    "choices": ["one", "two"],
    "expect": "B",
    "scorer": "choice_logprobs",
}
PLAIN = {"id": "p", "prompt": "Say 7.", "expect": "7", "scorer": "exact"}


def question(data: dict[str, Any], **changes: Any) -> Question:
    return Question.model_validate(data | changes)


def said(**changes: Any) -> EngineAnswer:
    return EngineAnswer.model_validate(answer(**changes))


def test_a_choice_asks_for_one_token_and_its_rivals():
    asked = bank_query(question(CHOICE), 256)
    assert (asked.max_tokens, asked.top_logprobs) == (1, TOP_LOGPROBS)
    assert "B) two" in asked.prompt


def test_a_conversation_is_put_whole_and_its_own_limit_holds():
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "Say 7."},
    ]
    asked = bank_query(
        Question.model_validate(
            {"id": "m", "messages": turns, "expect": "7", "scorer": "exact", "max_tokens": 9}
        ),
        256,
    )
    assert [role for role, _ in asked.messages] == ["system", "user", "assistant", "user"]
    assert asked.max_tokens == 9
    assert bank_query(question(PLAIN), 256).max_tokens == BANK_TOKENS
    assert bank_query(question(PLAIN), 64).max_tokens == 32


def test_tools_are_not_put_to_a_file_and_such_a_question_has_no_answer():
    with_tools = question(PLAIN, tools=[{"type": "function"}])
    assert bank_queries(Bank(name="b", digest="d", questions=(with_tools,)), 256) == ()
    assert "endpoint only" in answer_of(with_tools, said(id="p")).error


def test_the_childs_answer_keeps_tokens_and_log_probabilities():
    found = answer_of(
        question(CHOICE),
        said(
            id="c", text="B", top_logprobs=[{"token": "B", "logprob": -0.1}, {"token": "A", "logprob": -2.4}]
        ),
        model="m",
        engine="e",
    )
    assert (found.text, found.model, found.engine, found.tokens, found.finish) == ("B", "m", "e", 2, "stop")
    assert [one.token for one in found.top_logprobs] == ["B", "A"]


def test_text_behind_a_stop_sequence_is_cut_off_as_a_server_would():
    found = answer_of(
        question(PLAIN, stop=["\n", "END"]), said(id="p", text="7 END of it\nmore", finish="length")
    )
    assert (found.text, found.finish) == ("7 ", "stop")


@pytest.mark.parametrize(
    ("answered", "error"),
    [
        (None, "not asked"),
        (said(problem="does not fit"), "does not fit"),
        (said(finish="error"), "not finite"),
    ],
)
def test_what_is_no_answer_is_an_error(answered: EngineAnswer | None, error: str):
    assert error in answer_of(question(PLAIN), answered).error


def test_the_likeliest_tokens_come_in_order_with_probabilities_that_add_up():
    values = np.array([0.0, 3.0, 1.0, 2.0], dtype=np.float32)
    logits = Logits(values, float(np.log(np.exp(values).sum())))
    assert [token for token, _ in logits.likeliest(3)] == [1, 3, 2]
    assert logits.best() == logits.likeliest(1)[0]
    assert sum(np.exp(logprob) for _, logprob in logits.likeliest(10)) == pytest.approx(1.0)
    assert logits.likeliest(0) == []
