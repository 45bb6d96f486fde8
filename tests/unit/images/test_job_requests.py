"""What a job asks the engine, and what its events mean."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate_worker.engine_events import Answer, EventCutter
from tidegate_worker.job_requests import BadJob, EngineRequest, ReportRequest, understand


def test_openai_routes_go_through_with_their_body_untouched() -> None:
    body = {"messages": [], "stream": True, "whatever": 1}

    asked = understand({"openai_route": "/v1/chat/completions", "openai_input": body})

    assert asked == EngineRequest("POST", "/v1/chat/completions", body, "sse", is_streamed_to_caller=True)


def test_a_plain_prompt_takes_sampling_beside_it_or_nested() -> None:
    asked = understand({"prompt": "hi", "seed": 1, "sampling_params": {"max_tokens": 3}})

    assert isinstance(asked, EngineRequest)
    assert asked.path == "/v1/completions"
    assert asked.body is not None
    assert (asked.body["prompt"], asked.body["seed"], asked.body["max_tokens"]) == ("hi", 1, 3)
    assert not asked.is_streamed_to_caller


def test_a_report_is_asked_for_alone() -> None:
    assert understand({"report": True}) == ReportRequest()


@pytest.mark.parametrize(
    "given_input",
    [
        None,
        "hi",
        {},
        {"prompt": "a", "messages": []},
        {"prompt": ["a"]},
        {"messages": "a"},
        {"prompt": "a", "stream": "yes"},
        {"prompt": "a", "sampling_params": 3},
        {"prompt": "a", "model": "other"},
        {"openai_route": "/slots"},
        {"openai_route": "/v1/chat/completions"},
        {"openai_route": "/v1/../slots", "openai_input": {}},
    ],
)
def test_other_inputs_are_refused(given_input: object) -> None:
    with pytest.raises(BadJob):
        understand(given_input)


@given(
    texts=st.lists(st.text(min_size=1), min_size=1, max_size=8),
    cuts=st.lists(st.integers(min_value=0, max_value=400), max_size=10),
)
def test_however_a_stream_is_cut_the_events_are_whole_and_none_is_lost(
    texts: list[str], cuts: list[int]
) -> None:
    events = [f"data: {json.dumps({'choices': [{'text': text}]}, ensure_ascii=False)}\n\n" for text in texts]
    stream = "".join([*events, "data: [DONE]\n\n"]).encode()
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    cutter, answer = EventCutter(), Answer("d")

    wholes = [cutter.feed(stream[a:b]) for a, b in pairwise(edges)]
    for whole in wholes:
        answer.add(whole)

    assert b"".join(wholes) == stream
    assert all(whole.endswith(b"\n\n") for whole in wholes if whole)
    assert answer.text == "".join(texts)


def test_the_engines_error_in_the_middle_of_a_stream_is_noticed() -> None:
    answer = Answer("d")

    answer.add(b'data: {"choices":[{"text":"a"}]}\n\ndata: {"error":{"message":"out of memory"}}\n\n')

    assert answer.error == {"message": "out of memory"}
