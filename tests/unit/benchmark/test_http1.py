"""Reading answers: wherever the network cuts them the body is the same, and what is broken is told as broken."""

import gc
import itertools
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.benchmark.exchange import Exchange
from tidegate.benchmark.http1 import MAX_HEADER_BYTES, AnswerReader, BrokenAnswer

CHUNKED = (
    b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: Chunked\r\nX-A: 1\r\nx-a: 2\r\n\r\n"
    b"5\r\nhello\r\n1b;name=value\r\n, na\xc3\xafve \xf0\x9f\x8c\x8a and the rest.\r\n2 \r\n\r\n\r\n"
    b"0\r\nTrailer: x\r\n\r\n"
)
CHUNKED_BODY = "hello, naïve 🌊 and the rest.\r\n".encode()
COUNTED = b"HTTP/1.1 404 \r\ncontent-length: 11\r\n\r\nhello world"
UNTIL_CLOSE = b"HTTP/1.0 200 OK\n\nhello world"


def read(raw: bytes, cuts: list[int] | None = None) -> tuple[Exchange, AnswerReader]:
    """Feed the bytes cut at these places; the stamp of a piece is the number of its read."""
    done = Exchange()
    reader = AnswerReader(done)
    for number, (start, end) in enumerate(itertools.pairwise([0, *sorted(cuts or []), len(raw)])):
        if end > start:
            reader.feed(raw[start:end], number)
    return done, reader


def cuts_of(raw: bytes) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, len(raw)), max_size=40)


@given(cuts_of(CHUNKED))
def test_a_chunked_answer_is_the_same_wherever_it_is_cut(cuts: list[int]):
    done, reader = read(CHUNKED, cuts)
    assert (done.status, done.headers["x-a"], done.body) == (200, "1, 2", CHUNKED_BODY)
    assert (reader.is_done, reader.keeps_connection) == (True, True)
    assert [stamp for stamp, _ in done.pieces] == sorted(stamp for stamp, _ in done.pieces)


@given(cuts_of(COUNTED))
def test_a_counted_answer_is_the_same_wherever_it_is_cut(cuts: list[int]):
    done, reader = read(COUNTED, cuts)
    assert (done.status, done.body) == (404, b"hello world")
    assert (reader.is_done, reader.keeps_connection) == (True, True)


@given(cuts_of(UNTIL_CLOSE))
def test_an_answer_until_the_end_of_the_connection_is_the_same_wherever_it_is_cut(cuts: list[int]):
    done, reader = read(UNTIL_CLOSE, cuts)
    assert (done.body, reader.is_done) == (b"hello world", False)
    assert (reader.connection_ended(), reader.is_done, reader.keeps_connection) == ("", True, False)


def test_a_piece_carries_the_time_of_the_read_that_brought_it():
    head = CHUNKED.index(b"5\r\nhello")
    done, _ = read(CHUNKED, [head, head + 4, head + 10])
    assert done.headers_ns == 0
    assert done.pieces[:2] == [(1, b"h"), (2, b"ello")]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel", "in the middle"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "in the middle"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel", "in the middle"),
        (b"HTTP/1.1 200 OK\r\ncontent-le", "in the headers"),
        (b"", "before an answer"),
    ],
)
def test_an_answer_that_is_cut_off_is_not_whole(raw: bytes, why: str):
    _, reader = read(raw)
    assert not reader.is_done
    assert why in reader.connection_ended()


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nfolded: x\r\n y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20,
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * MAX_HEADER_BYTES,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfive\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello!!",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffff\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"0" * 2000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 20_000,
    ],
)
def test_what_is_no_sound_answer_is_refused(raw: bytes):
    with pytest.raises(BrokenAnswer):
        read(raw)


def test_a_body_larger_than_the_limit_is_refused_and_what_was_read_is_kept():
    done = Exchange()
    reader = AnswerReader(done, max_body_bytes=10)
    reader.feed(b"HTTP/1.1 200 OK\r\n\r\n12345678", 1)
    with pytest.raises(BrokenAnswer, match="more than 10 bytes"):
        reader.feed(b"12345678", 2)
    assert done.body == b"12345678"


@pytest.mark.parametrize(
    ("raw", "keeps"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: Close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab", False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nmore", False),
    ],
)
def test_a_connection_is_kept_only_when_nothing_speaks_against_it(raw: bytes, keeps: bool):
    _, reader = read(raw)
    assert (reader.is_done, reader.keeps_connection) == (True, keeps)


@given(st.lists(st.binary(max_size=60), max_size=10), st.sampled_from([b"", CHUNKED[:120], COUNTED[:30]]))
def test_garbage_is_refused_or_read_but_never_another_error(pieces: list[bytes], before: bytes):
    reader = AnswerReader(Exchange())
    try:
        reader.feed(before, 0)
        for number, piece in enumerate(pieces):
            reader.feed(piece, number)
    except BrokenAnswer:
        return
    reader.connection_ended()


def test_a_finished_answer_is_freed_at_once_and_not_by_the_collector():
    """A run goes without full collections: one cycle per answer would keep every byte in memory."""
    gc.disable()
    try:
        _, reader = read(CHUNKED)
        seen = weakref.ref(reader)
        del reader
        assert seen() is None
    finally:
        gc.enable()
