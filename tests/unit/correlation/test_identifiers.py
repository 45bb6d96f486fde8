"""Ids that others choose, and the trace of a release."""

import pytest

from tidegate.correlation import (
    TraceParent,
    is_request_id,
    new_request_id,
    new_span_id,
    new_trace_id,
    parse_traceparent,
    trace_of_release,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("text", ["abcdefgh", "9f2c-11ee.x_y", "A" * 64, "0af7651916cd43dd8448eb211c80319c"])
def test_an_ordinary_request_id_of_a_client_is_taken(text: str):
    assert is_request_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        "-leading-dash",
        "A" * 65,
        "with space!",
        "new\nline-new",
        'quote"quote',
        "äöüäöüäöü",
        "a" * 20 + "\n",
    ],
)
def test_a_request_id_that_could_break_a_log_or_a_header_is_not_taken(text: str):
    assert not is_request_id(text)


def test_ids_of_our_own_pass_our_own_rules():
    assert is_request_id(new_request_id())
    made = TraceParent(new_trace_id(), new_span_id())
    assert parse_traceparent(str(made)) == made


def test_a_traceparent_is_read_as_the_standard_says():
    assert parse_traceparent(f"00-{TRACE}-{SPAN}-01") == TraceParent(TRACE, SPAN, "01")


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"01-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_another_text_is_no_traceparent(text: str):
    assert parse_traceparent(text) is None


def test_every_process_finds_the_same_trace_of_a_release():
    assert trace_of_release("r-1") == trace_of_release("r-1") != trace_of_release("r-2")
    assert parse_traceparent(str(TraceParent(trace_of_release("r-1"), SPAN))) is not None
