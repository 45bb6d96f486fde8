"""From the bytes of an answer to its record: counts, caches, reasoning, and answers in one piece."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.benchmark.measures import record_of
from tidegate.benchmark.record import Outcome, Phase, RequestRecord
from tidegate.benchmark.traffic import judged
from tidegate.benchmark.wire import Exchange

MS = 1_000_000
START = 5_000 * MS
Event = dict[str, Any]


def told(content: str | None = "a", finish: str | None = None, **more: Any) -> Event:
    delta = {} if content is None else {"content": content}
    return {"choices": [{"delta": delta, "finish_reason": finish}], **more}


def streamed(*events: Event, **changes: Any) -> Exchange:
    """One event every 10 ms, then [DONE]; sent 100 ms after the start of the run."""
    sent = START + 100 * MS
    pieces = [
        (sent + 10 * MS * place, f"data: {json.dumps(event)}\n\n".encode())
        for place, event in enumerate(events, 1)
    ]
    pieces.append((pieces[-1][0], b"data: [DONE]\n\n"))
    values: dict[str, Any] = {"sent_ns": sent, "ended_ns": pieces[-1][0], "status": 200, "pieces": pieces}
    return Exchange(**(values | changes))


def read(done: Exchange, **changes: Any) -> RequestRecord:
    return record_of(done, **({"index": 3, "start_ns": START} | changes))


def test_stamps_count_from_the_start_of_the_run():
    done = streamed(told(), told(), told(None, "stop"), headers_ns=START + 101 * MS, connected_ns=START - 5,
                    planned_ns=START + 90 * MS)  # fmt: skip
    record = read(done, block=2, phase=Phase.WARMUP, tags=("short",))
    assert (record.planned_ns, record.sent_ns, record.headers_ns) == (90 * MS, 100 * MS, 101 * MS)
    assert record.chunk_ns == (110 * MS, 120 * MS)
    assert (record.finish_ns, record.end_ns, record.finish_reason) == (130 * MS, 130 * MS, "stop")
    # A connection that was kept alive may be older than the run.
    assert record.connected_ns == 0
    assert (record.block, record.phase, record.tags) == (2, Phase.WARMUP, ("short",))


def test_counts_of_the_server_are_taken_from_usage_and_its_details():
    usage = {
        "completion_tokens": 9, "prompt_tokens": 20, "prompt_tokens_details": {"cached_tokens": 16},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }  # fmt: skip
    record = read(streamed(told(), told(None, "length"), {"choices": [], "usage": usage, "model": "m"}))
    assert (record.tokens, record.token_source, record.reasoning_tokens) == (9, "usage", 4)
    assert (record.prompt_tokens, record.cached_tokens, record.model) == (20, 16, "m")


def test_timings_of_llama_server_stand_in_for_usage_and_give_its_own_times():
    timings = {"predicted_n": 7, "prompt_n": 5, "cache_n": 3, "prompt_ms": 12.5, "predicted_ms": 70}
    record = read(streamed(told(), told(None, "stop", timings=timings)))
    assert (record.tokens, record.token_source) == (7, "timings")
    assert (record.prompt_tokens, record.cached_tokens) == (8, 3)
    assert (record.server_prompt_ms, record.server_predicted_ms) == (12.5, 70)
    both = read(streamed(told(), told(None, "stop", timings=timings, usage={"completion_tokens": 8})))
    assert (both.tokens, both.token_source) == (8, "usage")


@pytest.mark.parametrize(
    "events",
    [
        [told(timings={"predicted_n": 2}), told(timings={"predicted_n": 5}), told(None, "length")],
        [told(usage={"completion_tokens": 2}), told(usage={"completion_tokens": 5}), told(None, "length")],
        [{"choices": [{"delta": {"content": "a"}, "logprobs": {"content": [{}] * count}}]} for count in (2, 3)]
        + [told(None, "length", usage={"completion_tokens": 5})],
    ],
    ids=["running timings", "running usage", "log-probabilities"],
)  # fmt: skip
def test_tokens_of_each_chunk_are_known_where_the_server_says_them(events: list[Event]):
    assert read(streamed(*events)).chunk_tokens == (2, 3)


def test_tokens_of_chunks_that_do_not_add_up_are_not_taken():
    events = [
        told(usage={"completion_tokens": 4}),
        told(usage={"completion_tokens": 4}),
        told(None, "length"),
    ]
    assert read(streamed(*events)).chunk_tokens is None


def test_reasoning_is_a_token_and_the_answer_begins_behind_it():
    thought = {"choices": [{"delta": {"reasoning_content": "hm"}}]}
    record = read(streamed(thought, thought, told(), told(None, "stop")))
    assert record.chunk_ns == (110 * MS, 120 * MS, 130 * MS)
    assert record.answer_ns == 130 * MS


def test_an_error_that_is_null_is_none():
    record = read(streamed(told(error=None), told(None, "stop")))
    assert record.outcome is Outcome.OK


@pytest.mark.parametrize("value", [-1, True, "5", 2.5, 10**30, None, [], {}])
def test_counts_that_make_no_sense_are_not_taken(value: Any):
    usage = {"completion_tokens": value, "prompt_tokens": value, "prompt_tokens_details": value}
    timings = {"predicted_n": value, "prompt_ms": -1, "predicted_ms": "x"}
    record = read(streamed(told(), told(None, "stop", usage=usage, timings=timings)))
    assert (record.tokens, record.token_source) == (1, "chunks")
    assert (record.prompt_tokens, record.server_prompt_ms, record.server_predicted_ms) == (None, None, None)


def test_more_cached_tokens_than_the_prompt_has_are_as_many_as_it_has():
    usage = {"completion_tokens": 1, "prompt_tokens": 4, "prompt_tokens_details": {"cached_tokens": 9}}
    assert read(streamed(told(), told(None, "stop", usage=usage))).cached_tokens == 4


def plain(body: Any, **changes: Any) -> Exchange:
    sent = START + 100 * MS
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    half = len(data) // 2
    pieces = [(sent + 50 * MS, data[:half]), (sent + 60 * MS, data[half:])]
    values: dict[str, Any] = {"sent_ns": sent, "ended_ns": sent + 61 * MS, "status": 200, "pieces": pieces}
    return Exchange(**(values | changes))


@pytest.mark.parametrize("choice", [{"message": {"role": "assistant", "content": "hi"}}, {"text": "hi"}])
def test_an_answer_in_one_piece_has_one_chunk_when_all_of_it_was_read(choice: Event):
    body = {"choices": [{**choice, "finish_reason": "length"}], "usage": {"completion_tokens": 3}}
    record = read(plain(body), is_streamed=False)
    assert (record.outcome, record.tokens, record.is_streamed) == (Outcome.OK, 3, False)
    assert (record.chunk_ns, record.finish_ns, record.end_ns) == ((160 * MS,), 160 * MS, 161 * MS)


@pytest.mark.parametrize(
    ("done", "outcome", "error"),
    [
        (plain(b'{"choices": ['), Outcome.TRUNCATED, "not a whole JSON object"),
        (plain({"choices": [{"message": {"content": "hi"}}]}), Outcome.TRUNCATED, "no finish reason"),
        (plain({"error": {"message": "no"}}), Outcome.FAILED, "an error with HTTP 200"),
        (plain({}, status=429), Outcome.FAILED, "HTTP 429"),
        (plain({}, error="timeout: no end within 5 s"), Outcome.FAILED, "timeout"),
    ],
)
def test_an_answer_in_one_piece_that_is_not_whole_is_not_ok(done: Exchange, outcome: Outcome, error: str):
    record = read(done, is_streamed=False)
    assert record.outcome is outcome
    assert error in record.error


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-50, 50))
def test_stamps_that_the_loop_took_in_another_order_make_a_record_all_the_same(
    headers: int, sent: int, ended: int
):
    done = streamed(told(), told(None, "stop"))
    done.headers_ns, done.sent_ns, done.ended_ns = START + headers, START + 115 * MS + sent, START + ended
    record = read(done)
    assert record.sent_ns is not None
    assert record.headers_ns is not None
    assert record.end_ns is not None
    assert record.sent_ns <= min(record.headers_ns, *record.chunk_ns)
    assert record.end_ns >= record.chunk_ns[-1]


def test_records_of_a_run_share_the_names_of_their_fields():
    """10,000 requests of 64 chunks must not need more memory than their stamps."""
    first, second = (
        record_of(Exchange(sent_ns=5, ended_ns=9, status=503), index=n, start_ns=0) for n in (0, 1)
    )
    assert first.model_fields_set is second.model_fields_set
    assert first.model_fields_set == set(RequestRecord.model_fields)
    changed = first.model_copy(update={"tokens": 1, "token_source": "usage"})
    assert (changed.tokens, first.tokens) == (1, None)
    assert RequestRecord.model_validate_json(first.model_dump_json()) == first


def test_client_traffic_through_our_gateway_wants_the_end_mark_that_others_may_leave_out():
    whole = streamed(told(), told(None, "stop"))
    unmarked = streamed(told(), told(None, "stop"))
    unmarked.pieces.pop()
    assert read(unmarked).outcome is Outcome.OK
    assert judged(whole, is_stream=True).outcome is Outcome.OK
    cut = judged(unmarked, is_stream=True)
    assert (cut.outcome, cut.error) == (Outcome.TRUNCATED, "ended without [DONE]")
