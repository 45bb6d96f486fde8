"""Strict reading of a finished event stream."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.probes.replies import StreamFault, is_error_reply, read_stream

CHUNK = b'data: {"model":"m","choices":[{"delta":{"content":"Par"}}]}'
LAST = b'data: {"model":"m","choices":[{"delta":{"content":"is"},"finish_reason":"stop"}]}'


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_sound_stream_is_read_with_any_line_end(end: bytes):
    payload = (end * 2).join([b": comment", CHUNK, LAST, b"data: [DONE]", b""])
    found = read_stream(payload)
    assert (found.text, found.finish_reason, found.is_done, found.models) == ("Paris", "stop", True, {"m"})


def test_an_event_without_its_blank_line_is_not_complete():
    assert not read_stream(CHUNK + b"\n\n" + LAST + b"\n\ndata: [DONE]").is_done


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"data: \xff\n\n", "byte 6 is not UTF-8"),
        (b"data: {oops\n\n", "not JSON"),
        (b"<html>\n\n", "no event field"),
        (b"data: [DONE]\n\n" + CHUNK + b"\n\n", r"after \[DONE\]"),
        (b'data: {"error": {"message": "x"}}\n\n', "carries an error"),
    ],
)
def test_a_malformed_stream_is_named(payload: bytes, reason: str):
    with pytest.raises(StreamFault, match=reason):
        read_stream(payload)


@given(st.binary(max_size=200))
def test_garbage_is_a_fault_or_not_done_but_never_another_error(payload: bytes):
    with contextlib.suppress(StreamFault):
        assert not read_stream(payload).is_done


@pytest.mark.parametrize(
    ("text", "is_error"),
    [
        ('{"error": {"code": 400}}', True),
        ('{"detail": "x"}', True),
        ("{}", False),
        ("[]", False),
        ("<html>", False),
    ],
)
def test_an_error_reply_is_a_json_object_with_a_reason(text: str, is_error: bool):
    assert is_error_reply(text) is is_error
