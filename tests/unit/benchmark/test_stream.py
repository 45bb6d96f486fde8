"""Reading event streams: wherever the network cuts them, the events, stamps and outcomes are the same."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.benchmark import stream as stream_module
from tidegate.benchmark.chunks import chunking_of
from tidegate.benchmark.latencies import Latencies, latencies
from tidegate.benchmark.measures import record_of
from tidegate.benchmark.record import Outcome, RequestRecord
from tidegate.benchmark.stream import EventSplitter, parse_stream
from tidegate.benchmark.wire import Exchange

MS = 1_000_000


def chunk(content: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    delta = {} if content is None else {"content": content}
    body = {"choices": [{"delta": delta, "finish_reason": finish}], **more}
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


ROLE = b'data: {"choices":[{"delta":{"role":"assistant","content":null}}]}\n\n'
DONE = b"data: [DONE]\n\n"


def stream(tokens: int, per_chunk: int = 1, ttft_ms: float = 50, gap_ms: float = 10) -> Exchange:
    """A server that makes one token per gap and sends them `per_chunk` at a time, after an early role chunk."""
    done = Exchange(sent_ns=1000, status=200)
    done.pieces.append((done.sent_ns + 1 * MS, ROLE))
    for last in range(per_chunk, tokens + 1, per_chunk):
        at = done.sent_ns + int((ttft_ms + (last - per_chunk) * gap_ms) * MS)
        done.pieces.append((at, chunk("é" * per_chunk)))
    usage = {"usage": {"completion_tokens": tokens}}
    done.ended_ns = done.pieces[-1][0]
    done.pieces.append((done.ended_ns, chunk(finish="length") + chunk(**usage) + DONE))
    return done


def read(done: Exchange) -> tuple[RequestRecord, Latencies]:
    record = record_of(done, index=9, block=2, start_ns=0)
    return record, latencies(record, chunking_of([record]))


@pytest.mark.parametrize("per_chunk", [1, 2, 4, 8])
def test_figures_are_exact_also_with_several_tokens_per_chunk(per_chunk: int):
    record, found = read(stream(64, per_chunk))
    assert (record.outcome, record.block, record.index, record.tokens) == (Outcome.OK, 2, 9, 64)
    assert record.token_source == "usage"
    assert found.ttft_ms == pytest.approx(50)
    assert found.itl_ms == pytest.approx(10)
    assert found.tokens_per_s == pytest.approx(100)
    assert found.gaps_ms == pytest.approx([10 * per_chunk] * (64 // per_chunk - 1))


def test_an_end_of_text_token_without_text_is_counted_with_its_time():
    done = Exchange(sent_ns=0, status=200, ended_ns=90 * MS)
    done.pieces = [(50 * MS, chunk("a")), (60 * MS, chunk("b")), (70 * MS, chunk("c")), (80 * MS, chunk("d"))]
    done.pieces.append((90 * MS, chunk(finish="stop", timings={"predicted_n": 5}) + DONE))
    record, found = read(done)
    assert (record.tokens, record.token_source) == (5, "timings")
    assert found.itl_ms == pytest.approx(10)


def test_a_stall_is_visible_as_a_gap():
    done = stream(8)
    done.pieces = [(at + (1500 * MS if n > 4 else 0), piece) for n, (at, piece) in enumerate(done.pieces)]
    assert read(done)[1].stall_ms == pytest.approx(1510)


def test_chunks_that_nobody_counted_as_tokens_are_an_estimate_and_say_so():
    done = Exchange(sent_ns=0, status=200, ended_ns=70 * MS)
    done.pieces = [(50 * MS, chunk("a")), (60 * MS, chunk("b")), (70 * MS, chunk(finish="stop") + DONE)]
    record, _ = read(done)
    assert record.outcome is Outcome.OK
    assert (record.tokens, record.token_source) == (2, "chunks")


def test_a_stream_read_at_once_has_a_speed_that_is_a_lower_bound():
    done = stream(24)
    at = done.sent_ns + 12 * MS
    done.pieces, done.ended_ns = [(at, b"".join(piece for _, piece in done.pieces))], at
    _, found = read(done)
    assert found.itl_ms == 0
    assert found.tokens_per_s == pytest.approx(2000, rel=0.001)


def test_the_first_reasoning_counts_as_a_token_and_an_early_role_chunk_does_not():
    reasoning = b'data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}\n\n'
    parsed = parse_stream([(1, ROLE), (2, reasoning), (3, chunk("a"))])
    assert parsed.content_ns == [2, 3]


@pytest.mark.parametrize(
    ("change", "outcome", "error"),
    [
        (lambda done: setattr(done, "status", 503), Outcome.FAILED, "HTTP 503"),
        (lambda done: setattr(done, "error", "reset: gone"), Outcome.FAILED, "reset: gone"),
        (lambda done: done.pieces.pop(), Outcome.TRUNCATED, "ended without a finish reason"),
        (lambda done: setattr(done, "error", "reset: the connection closed in the middle"), Outcome.FAILED, "reset: the connection closed in the middle"),
        (lambda done: done.pieces.insert(2, (5, b"data: " + b"[" * 200_000 + b"\n\n")), Outcome.FAILED, "a chunk is not a JSON object"),
        (lambda done: done.pieces.insert(2, (5, b'data: {"error": {"code": 500}}\n\n')), Outcome.FAILED, "an error event"),
        (lambda done: done.pieces.insert(2, (5, b"data: <html>\n\n")), Outcome.FAILED, "a chunk is not a JSON object"),
        (lambda done: done.pieces.clear(), Outcome.TRUNCATED, "ended without a finish reason"),
    ],
)  # fmt: skip
def test_what_is_not_whole_is_never_ok(change: Any, outcome: Outcome, error: str):
    done = stream(4)
    change(done)
    record, _ = read(done)
    assert (record.outcome, record.error) == (outcome, error)


def test_a_stream_that_ended_in_order_is_whole_without_done():
    done = stream(4)
    done.pieces[-1] = (done.pieces[-1][0], chunk(finish="stop"))
    record, _ = read(done)
    assert (record.outcome, record.error, len(record.chunk_ns)) == (Outcome.OK, "", 4)


def test_half_of_a_surrogate_pair_is_text():
    piece = rb'data: {"model":"m","choices":[{"delta":{"content":"\ud83d"}}]}' + b"\n\n"
    assert parse_stream([(1, piece), (2, piece)]).content_ns == [1, 2]


PLAIN = {"model": "m", "choices": [{"delta": {"content": "a"}, "finish_reason": None}]}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"usage": None, "error": None},
        {"error": {"message": "gone"}},
        {"object": "error", "message": "gone"},
        {"usage": {"completion_tokens": 2}},
        {"timings": {"predicted_n": 2}},
        {"choices": []},
        {"choices": [{"delta": {"content": ""}}]},
        {"choices": [{"delta": {"reasoning_content": "a"}}]},
        {"choices": [{"delta": {"content": "a", "reasoning": "b"}}]},
        {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]},
        {"choices": [{"delta": {"content": "a"}, "logprobs": {"content": [{}, {}]}}]},
        {"choices": [{"delta": {"content": "a", "logprobs": {"content": [{}, {}]}}}]},
        {"choices": [{"text": "a"}]},
    ],
)
def test_the_short_way_through_common_chunks_says_the_same(change: dict[str, Any], monkeypatch: Any):
    events = [PLAIN, PLAIN | change, PLAIN]
    pieces = [(at, b"data: " + json.dumps(event).encode() + b"\n\n") for at, event in enumerate(events)]
    short = parse_stream(pieces)
    monkeypatch.setattr(stream_module, "_take_plain_text", lambda *_: False)
    assert parse_stream(pieces) == short


PAYLOAD = (
    b": a comment\r\n\r\nevent: x\r\ndata: one\r\n\r\ndata:two\ndata: lines\n\n"
    b"data: na\xc3\xafve \xf0\x9f\x8c\x8a\r\rdata: last\n\nid: 3\n\ndata: cut off"
)


@given(st.lists(st.integers(0, len(PAYLOAD)), max_size=30))
def test_cuts_anywhere_give_the_same_events(cuts: list[int]):
    edges = [0, *sorted(cuts), len(PAYLOAD)]
    splitter, events = EventSplitter(), list[bytes]()
    for start, end in itertools.pairwise(edges):
        events += splitter.feed(PAYLOAD[start:end])
    assert events == [b"one", b"two\nlines", "naïve 🌊".encode(), b"last"]


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_garbage_is_parsed_without_an_exception_and_is_never_ok(pieces: list[bytes]):
    done = Exchange(sent_ns=0, ended_ns=1, status=200, pieces=list(enumerate(pieces)))
    assert read(done)[0].outcome is not Outcome.OK
