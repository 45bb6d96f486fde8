"""Running a bank and asking an endpoint: an answer that is not there is an error, never a wrong answer."""

import json
import threading
from collections.abc import Callable

import httpx
import pytest

from tests.unit.quality.asked import bank_of
from tidegate.domain import Secret
from tidegate.quality import Answer, Bank, EndpointAsker, Question, run_bank
from tidegate.quality.run import scored_question

BANK = Bank(
    name="b",
    digest="d",
    questions=tuple(
        Question(id=f"q{n}", topic="t", prompt=f"say {n}", expect=str(n), scorer="exact") for n in range(12)
    ),
)


def test_results_keep_the_order_of_the_bank_and_score_each_answer():
    found = run_bank(
        BANK, lambda q: Answer(text=str(q.expect) if q.id != "q3" else "no", model="m"), concurrency=4
    )
    assert [entry.id for entry in found.results] == [question.id for question in BANK.questions]
    assert (found.right, found.total, found.missing) == (11, 12, 0)
    assert found.results[3].is_right is False
    assert found.model_digest == "m"
    assert found.topics()["t"].right == 11


def test_a_question_that_could_not_be_asked_is_an_error_and_neither_right_nor_wrong():
    def ask(question: Question) -> Answer:
        if question.id == "q1":
            return Answer(error="HTTP 503")
        return Answer(text=question.prompt.removeprefix("say "), model="m")

    found = run_bank(BANK, ask, concurrency=1)
    assert (found.results[1].is_right, found.results[1].error) == (None, "HTTP 503")
    assert (found.score, found.missing) == (1.0, 1)


def test_after_the_deadline_nothing_is_asked_and_everything_is_missing():
    found = run_bank(BANK, lambda q: pytest.fail("asked"), deadline_s=0)
    assert found.missing == 12
    assert found.score is None


def test_answers_of_several_models_leave_no_digest():
    found = run_bank(BANK, lambda q: Answer(text="0", model="m" if q.id == "q0" else "n"))
    assert found.model_digest is None
    assert found.served_models == ("m", "n")


def test_questions_are_asked_side_by_side():
    meeting = threading.Barrier(3, timeout=60)

    def ask(question: Question) -> Answer:
        meeting.wait()
        return Answer(text="0")

    assert run_bank(BANK, ask, concurrency=3).total == 12


def asker(handler: Callable[[httpx.Request], httpx.Response]) -> EndpointAsker:
    return EndpointAsker(
        "http://gate/v1/", Secret("k-1"), "m", headers={"x-pin": "s"}, transport=httpx.MockTransport(handler)
    )


def test_the_endpoint_is_asked_greedily_with_system_key_and_pin():
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(
            200, json={"model": "abc", "choices": [{"message": {"content": "7"}, "finish_reason": "stop"}]}
        )

    question = Question(id="a", topic="t", prompt="p", system="s", expect="7", scorer="exact")
    with asker(handler) as ask:
        answer = ask(question)
    assert (answer.text, answer.model, answer.error) == ("7", "abc", "")
    body = json.loads(seen[0].content)
    assert str(seen[0].url) == "http://gate/v1/chat/completions"
    assert seen[0].headers["authorization"] == "Bearer k-1"
    assert seen[0].headers["x-pin"] == "s"
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["temperature"] == 0
    assert body["max_tokens"] > 0


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (httpx.Response(503, text="no upstream"), "HTTP 503"),
        (httpx.Response(200, text="<html>"), "not a chat completion"),
        (httpx.Response(200, json={"choices": []}), "not complete"),
        (httpx.Response(200, json={"choices": [{"message": {"content": "x"}}]}), "not complete"),
    ],
)
def test_a_reply_that_is_no_whole_answer_is_an_error(response: httpx.Response, reason: str):
    with asker(lambda request: response) as ask:
        assert reason in ask(BANK.questions[0]).error


def test_a_network_failure_is_an_error_without_the_key():
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused, Bearer k-1")

    with asker(handler) as ask:
        answer = ask(BANK.questions[0])
    assert "ConnectError" in answer.error
    assert "k-1" not in answer.error


def test_one_missing_answer_of_several_makes_the_question_a_missing_one():
    question = bank_of(1).questions[0]
    found = scored_question(question, [Answer(text="0"), Answer(error="ReadTimeout"), Answer(text="0")])
    assert (found.value, found.is_right, found.error) == (None, None, "ReadTimeout")
