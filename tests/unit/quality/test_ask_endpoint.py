"""What an endpoint is asked, what is tried again, and what is read from its reply."""

import json
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from tests.unit.quality.asked import DIGEST
from tidegate.domain import Secret
from tidegate.quality import Answer, Bank, EndpointAsker, Question, run_bank
from tidegate.quality.ask import ATTEMPTS, LONGEST_WAIT_S, MAX_REPLY_BYTES, told_url
from tidegate.quality.wording import TOP_LOGPROBS, answer_key, body_of

QUESTION = Question(id="a", topic="t", prompt="p", expect="7", scorer="exact")
CHOICE = Question.model_validate(
    {"id": "c", "prompt": "Which?", "choices": ["one", "two"], "expect": "B", "scorer": "choice_logprobs"}
)
Handler = Callable[[httpx.Request], httpx.Response]


def completion(text: str = "7", **choice: object) -> httpx.Response:
    message = {
        "content": text,
        **({"tool_calls": choice.pop("tool_calls")} if "tool_calls" in choice else {}),
    }
    body = {
        "model": DIGEST,
        "system_fingerprint": "b8000-abc",
        "choices": [{"message": message, "finish_reason": "stop", **choice}],
        "usage": {"completion_tokens": 3, "prompt_tokens": 9},
    }
    return httpx.Response(200, json=body)


def asker(handler: Handler, waits: list[float] | None = None) -> EndpointAsker:
    noted = [] if waits is None else waits
    return EndpointAsker(
        "http://gate/v1", Secret("k-1"), "m", transport=httpx.MockTransport(handler), sleep=noted.append
    )


def test_the_reply_says_more_than_its_text():
    with asker(lambda request: completion()) as ask:
        answer = ask(QUESTION)
    assert (answer.text, answer.model, answer.engine) == ("7", DIGEST, "b8000-abc")
    assert (answer.finish, answer.tokens, answer.prompt_tokens) == ("stop", 3, 9)


def test_a_busy_server_is_asked_again_after_the_time_it_names_within_reason():
    replies = [
        httpx.Response(429, headers={"retry-after": "2"}),
        httpx.Response(503, headers={"retry-after": "3600"}),
        completion(),
    ]
    waits: list[float] = []
    with asker(lambda request: replies.pop(0), waits) as ask:
        assert ask(QUESTION).text == "7"
    assert waits == [2.0, LONGEST_WAIT_S]


def test_a_broken_connection_is_tried_again_and_not_for_ever():
    tries: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        tries.append(request)
        raise httpx.ReadError("gone")

    with asker(handler) as ask:
        assert "ReadError" in ask(QUESTION).error
    assert len(tries) == ATTEMPTS


@pytest.mark.parametrize("status", [400, 401, 404, 500, 502])
def test_what_a_server_answers_is_not_asked_for_twice(status: int):
    tries: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        tries.append(request)
        return httpx.Response(status, text="no")

    with asker(handler) as ask:
        assert ask(QUESTION).error == f"HTTP {status}"
    assert len(tries) == 1


def test_a_reply_without_end_is_cut_off():
    with asker(lambda request: httpx.Response(200, content=b"x" * (MAX_REPLY_BYTES + 1))) as ask:
        assert "larger than" in ask(QUESTION).error


def test_a_server_that_knows_no_prompt_cache_is_asked_without_and_the_settings_say_so():
    bodies: list[dict[str, object]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        if "cache_prompt" in bodies[-1]:
            return httpx.Response(400, text="Unrecognized request argument supplied: cache_prompt")
        return completion()

    with asker(handler) as ask:
        assert ask.parameters["cache_prompt"] is False
        assert [ask(QUESTION).text, ask(QUESTION).text] == ["7", "7"]
        assert ask.parameters["cache_prompt"] is None
    assert len(bodies) == 3


def test_a_choice_by_log_probabilities_asks_for_one_token_without_a_grammar():
    body = body_of(CHOICE, "m", {"max_tokens": 64, "temperature": 0})
    assert (body["max_tokens"], body["logprobs"], body["top_logprobs"]) == (1, True, TOP_LOGPROBS)
    assert "A) one" in body["messages"][0]["content"]
    assert "grammar" not in body


def test_log_probabilities_of_the_first_token_are_read_and_a_choice_is_scored_by_them():
    listed = [
        {"token": "B", "logprob": -0.2},
        {"token": "A", "logprob": -1.8},
        {"token": "x", "logprob": None},
    ]
    logprobs = {"content": [{"token": "B", "logprob": -0.2, "top_logprobs": listed}]}
    with asker(lambda request: completion("B", logprobs=logprobs)) as ask:
        answer = ask(CHOICE)
    assert [(one.token, one.logprob) for one in answer.top_logprobs] == [("B", -0.2), ("A", -1.8)]
    assert answer.mean_logprob == pytest.approx(-0.2)


def test_tool_calls_are_read_with_their_arguments_as_text():
    calls = [
        {"function": {"name": "look_up", "arguments": '{"city": "Oslo"}'}},
        {"function": {"name": "wait", "arguments": {"s": 2}}},
    ]
    with asker(lambda request: completion("", tool_calls=calls)) as ask:
        answer = ask(QUESTION)
    assert [(call.name, json.loads(call.arguments)) for call in answer.tool_calls] == [
        ("look_up", {"city": "Oslo"}),
        ("wait", {"s": 2}),
    ]


def test_a_question_brings_its_own_limit_stops_and_tools():
    question = QUESTION.model_copy(
        update={"max_tokens": 5, "stop": ("\n",), "tools": ({"type": "function"},)}
    )
    body = body_of(question, "m", {"max_tokens": 64, "stop": ["END"]})
    assert (body["max_tokens"], body["stop"], body["tools"]) == (5, ["\n", "END"], [{"type": "function"}])


def test_the_model_is_known_only_by_a_digest_and_an_engine():
    with asker(lambda request: completion()) as ask:
        assert ask.identify().is_known
    named = httpx.Response(
        200, json={"model": "gpt", "choices": [{"message": {"content": "x"}, "finish_reason": "length"}]}
    )
    with asker(lambda request: named) as ask:
        assert not ask.identify().is_known


def test_an_address_is_written_down_without_what_may_be_secret():
    assert told_url("https://user:pw@host:8443/v1?key=1#x") == "https://host:8443/v1"
    assert told_url("http://[::1]:80/v1") == "http://[::1]:80/v1"


def test_an_answer_is_kept_under_everything_that_decides_about_it():
    def key(question: Question = QUESTION, **changes: object) -> str:
        values: dict[str, object] = {"digest": "d", "engine": "e", "concurrency": 2, "sample": 0}
        parameters = changes.pop("parameters", {"seed": 0})
        return answer_key(question, parameters, **(values | changes))  # pyright: ignore[reportArgumentType]

    others = [
        key(QUESTION.model_copy(update={"prompt": "q"})),
        key(digest="other"),
        key(engine="other"),
        key(concurrency=4),
        key(sample=1),
        key(parameters={"seed": 1}),
    ]
    assert len({key(), *others}) == len(others) + 1
    # How it is scored does not change what is asked.
    assert key(QUESTION.model_copy(update={"scorer": "contains", "id": "b", "topic": "u"})) == key()


def test_a_server_is_asked_for_the_model_that_it_offers_first():
    names: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"data": [{"id": "first"}, {"id": "second"}]})
        names.append(json.loads(request.content)["model"])
        return completion()

    with asker(handler) as ask:
        ask(QUESTION)
        ask.use_offered_model()
        ask(QUESTION)
    assert names == ["m", "first"]


@pytest.mark.parametrize(
    "reply", [httpx.Response(404), httpx.Response(200, text="<html>"), httpx.Response(200, json={"data": []})]
)
def test_a_server_that_offers_nothing_is_asked_by_the_name_that_was_given(reply: httpx.Response):
    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return reply
        assert json.loads(request.content)["model"] == "m"
        return completion()

    with asker(handler) as ask:
        ask.use_offered_model()
        assert ask(QUESTION).text == "7"


def test_a_result_says_when_the_letters_hold_little_of_the_first_token():
    listed = [{"token": "The", "logprob": -0.1}, {"token": "B", "logprob": -3.0}]
    reply = completion(
        "The", logprobs={"content": [{"token": "The", "logprob": -0.1, "top_logprobs": listed}]}
    )
    with asker(lambda request: reply) as ask:
        found = run_bank(Bank(name="b", digest="d", questions=(CHOICE,)), ask)
    assert any("letters hold less than half" in note for note in found.notes)
    assert found.settings["is_graded"] is True


def test_a_busy_server_is_not_asked_again_when_the_time_would_be_over():
    asked: list[httpx.Request] = []
    waits: list[float] = []

    def busy(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(503, headers={"retry-after": "10"})

    given: list[Answer] = []
    with asker(busy, waits) as ask:
        ask.ask_all(
            [QUESTION], lambda _, answer: given.append(answer), concurrency=1, deadline=time.monotonic() + 9
        )
    assert (len(asked), waits, [one.error for one in given]) == (1, [], ["HTTP 503"])


def test_an_interrupted_run_keeps_what_was_on_its_way():
    is_first, is_on_its_way, is_interrupted = threading.Lock(), threading.Event(), threading.Event()

    def handler(request: httpx.Request) -> httpx.Response:
        if is_first.acquire(blocking=False):
            is_on_its_way.wait(60)
            return completion("first")
        is_on_its_way.set()
        is_interrupted.wait(60)
        return completion("second")

    given: list[str] = []

    def interrupt(place: int, answer: Answer) -> None:
        given.append(answer.text)
        if len(given) == 1:
            is_interrupted.set()
            raise KeyboardInterrupt

    with asker(handler) as ask, pytest.raises(KeyboardInterrupt):
        ask.ask_all([QUESTION] * 20, interrupt, concurrency=2, deadline=time.monotonic() + 600)
    assert given[:2] == ["first", "second"]
