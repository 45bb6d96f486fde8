"""Lines of the live log as facts: what each means, and that no line can do harm."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.domain.live import ALL, LARGE, PLAIN, SHADOW, SMALL, STREAM
from tidegate.gateway.config import PROBE_CLIENT
from tidegate.gateway.measured import Fact, read

STALL_MS = 500.0
GOOD_STREAM = "stream 1000 90000 20000 10 1 0 0 stop 11 7"
ROW: dict[str, Any] = {
    "kind": "request",
    "at": "1795701931.5",
    "service": "acme/chat",
    "client": "acme/app",
    "status": 200,
    "flags": "-",
    "set": "green",
    "length": "100",
    "ms": 500,
    "path": "/acme/chat/v1/chat/completions",
    "cluster": "green_else_blue",
    "attempts": 1,
    "bytes": 100,
    "asked": 2000,
    "tried": 2100,
    "began": 12000,
    "wanted": "stream",
    "answer": GOOD_STREAM,
}


def fact_of(**changes: Any) -> Fact:
    fact = read(json.dumps({**ROW, **changes}).encode(), STALL_MS)
    assert fact is not None
    return fact


def test_a_complete_stream_has_times_length_and_reason():
    fact = fact_of()

    assert (fact.org, fact.service, fact.set_name, fact.ended) == ("acme", "chat", "green", 1795701932.0)
    assert fact.slices == (ALL, STREAM, SMALL)
    assert (fact.ttft_ms, fact.gap_ms, fact.tokens, fact.stop) == (11.0, 20.0, 11, "stop")
    assert fact.itl_ms == pytest.approx(8.9)
    wrong = (
        fact.failed,
        fact.truncated,
        fact.left,
        fact.empty,
        fact.malformed,
        fact.stalled,
        fact.unmeasured,
    )
    assert not any(wrong)


def test_after_a_retry_the_time_to_the_first_token_is_that_of_the_attempt_that_answered():
    assert fact_of(attempts=2, tried=9000).ttft_ms == 4.0


def test_an_answer_before_the_request_was_read_has_no_negative_time():
    assert fact_of(asked=13000).ttft_ms == 1.0


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({"flags": "UPE", "answer": "stream 1 2 0 2 0 0 0 - - -"}, {"failed", "truncated", "attempt_failed"}),
        ({"answer": "stream 1 490000 0 2 0 0 0 - - -"}, {"failed", "truncated"}),
        ({"flags": "UPE"}, {"failed", "attempt_failed"}),
        ({"flags": "DC", "answer": "stream 1 490000 0 2 0 0 0 - - -"}, {"left"}),
        ({"flags": "DC", "status": 0, "answer": None}, {"left"}),
        ({"flags": "DC", "status": 0, "answer": None, "ms": 9000}, {"left", "stalled"}),
        ({"flags": "DC", "status": 0, "answer": None, "ms": 9000, "asked": None}, {"left"}),
        ({"flags": "DC", "status": 0, "answer": None, "ms": 9000, "wanted": None}, {"left"}),
        ({"flags": "DC", "answer": "stream -1 0 0 0 0 0 0 - - -", "ms": 9000}, {"left", "stalled"}),
        ({"flags": "DC"}, set()),
        ({"flags": "DC,UC", "answer": "stream 1 490000 0 2 0 0 0 - - -"}, {"failed", "truncated", "attempt_failed"}),
        ({"flags": "DC", "status": 500, "answer": "plain -1 5 0 0 0 0 1 - - -"}, {"failed", "attempt_failed"}),
        ({"answer": "stream 1 490000 600000 2 1 0 0 - - -"}, {"stalled"}),
        ({"flags": "SI", "answer": "stream 1 20000 0 2 0 0 0 - - -", "ms": 900},
         {"failed", "truncated", "attempt_failed", "stalled"}),
        ({"answer": "stream -1 0 0 0 1 0 0 stop - -"}, {"empty"}),
        ({"answer": "plain -1 5 0 0 1 0 0 stop 3 7"}, {"empty"}),
        ({"answer": "plain -1 5 0 0 1 1 0 - - -"}, {"malformed"}),
        ({"answer": "long -1 5 0 0 1 0 0 - - -"}, set()),
        ({"answer": "plain -1 5 0 0 1 0 0 - - -", "path": "/acme/chat/v1/embeddings"}, set()),
        ({"answer": "stream 1 2 0 2 1 0 1 - - -"}, {"failed"}),
        ({"status": 500, "answer": "plain -1 5 0 0 1 0 1 - - -"}, {"failed", "attempt_failed"}),
        ({"status": 404, "answer": "plain -1 5 0 0 1 0 1 - - -"}, set()),
        ({"answer": None}, {"unmeasured"}),
    ],
)  # fmt: skip
def test_an_answer_is_what_it_is(changes, holds):
    fact = fact_of(**changes)

    names = ("failed", "attempt_failed", "truncated", "left", "empty", "malformed", "stalled", "unmeasured")
    assert {name for name in names if getattr(fact, name)} == holds


def test_a_client_that_left_before_the_first_word_waited_in_silence():
    """A set that hangs has no failures: its clients go. That is the silence in which they went."""
    assert fact_of(flags="DC", status=0, answer=None, ms=9000).gap_ms == 8998.0
    assert fact_of(flags="DC", answer="stream -1 0 0 0 0 0 0 - - -", ms=300).gap_ms == 298.0
    assert fact_of(flags="DC", status=0, answer=None, wanted=None).gap_ms is None


@pytest.mark.parametrize(
    ("told", "reason"),
    [("end_turn", "stop"), ("max_tokens", "length"), ("tool_use", "tool_calls"), ("pause_turn", "other")],
)
def test_stop_reasons_of_messages_are_those_of_chat_completions(told, reason):
    answer = f"stream 1000 90000 20000 10 1 0 0 {told} 11 7"
    assert fact_of(answer=answer, path="/acme/chat/v1/messages").stop == reason
    assert fact_of(answer="stream -1 0 0 0 1 0 0 stop - -", path="/acme/chat/v1/responses").empty


def test_slices_are_known_for_failures_too():
    fact = fact_of(status=503, answer="plain -1 5 0 0 1 0 1 - - -", length="20000")

    assert fact.slices == (ALL, STREAM, LARGE)
    assert fact_of(wanted=None, answer="plain 5 5 0 1 1 0 0 stop 3 7").slices == (ALL, PLAIN, SMALL)


def test_a_body_without_a_declared_length_has_the_size_that_was_received():
    assert fact_of(length=None, bytes=50_000).slices[-1] == LARGE


def test_copies_stand_in_a_slice_of_their_own():
    assert fact_of(kind="copy").slices == (SHADOW,)


def test_probes_are_known_by_their_key_alone():
    assert fact_of(client=PROBE_CLIENT).is_probe
    assert not fact_of(client=f"acme/{PROBE_CLIENT}").is_probe


def test_an_attempt_counts_for_the_set_that_was_tried():
    fact = fact_of(kind="attempt", status=0, flags="UF", set="blue")

    assert (fact.set_name, fact.attempt_failed, fact.slices) == ("blue", True, (ALL, SMALL))


def test_a_request_for_which_no_member_was_healthy_is_the_failure_of_the_set_it_was_meant_for():
    fact = fact_of(set=None, status=503, flags="UH", answer=None)

    assert (fact.set_name, fact.failed, fact.is_counted_by_envoy) == ("green", True, False)


@pytest.mark.parametrize(
    "changes", [{"set": None, "status": 401, "service": None}, {"set": "../x"}, {"service": "acme"}]
)
def test_what_belongs_to_no_set_is_left_out(changes):
    assert read(json.dumps({**ROW, **changes}).encode(), STALL_MS) is None


def test_a_reason_that_is_none_is_only_counted():
    assert fact_of(answer="stream 1 2 0 2 1 0 0 my_secret 1 1").stop == "other"


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"kind":"request"', b"[" * 100_000,
        json.dumps({**ROW, "kind": "other"}).encode(),
        json.dumps({**ROW, "at": "nan"}).encode(),
        json.dumps({**ROW, "at": "now"}).encode(),
        json.dumps({**ROW, "answer": "stream 1"}).encode(),
        json.dumps({**ROW, "answer": "stream a b c d e f g h i j"}).encode(),
    ],
)  # fmt: skip
def test_a_line_that_is_none_of_ours_is_refused(line):
    with pytest.raises(ValueError):  # noqa: PT011
        read(line, STALL_MS)


_values = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.integers())
)


@given(st.dictionaries(st.sampled_from(sorted(ROW)), _values, max_size=6))
@settings(max_examples=200, deadline=None)
def test_whatever_a_line_holds_it_is_read_or_refused(changes):
    line = json.dumps({**ROW, **changes}).encode()

    try:
        fact = read(line, STALL_MS)
    except ValueError:
        return
    assert fact is None or all(
        value is None or value >= 0 for value in (fact.ttft_ms, fact.itl_ms, fact.gap_ms, fact.tokens)
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "2xx"),
        ({"status": 404, "answer": None}, "4xx"),
        ({"status": 429, "answer": None}, "429"),
        ({"status": 302, "answer": None}, "3xx"),
        ({"status": 503, "answer": None}, "5xx"),
        ({"status": 401, "answer": None}, "5xx"),
        ({"status": 0, "answer": None}, "5xx"),
        ({"status": 504, "flags": "UT", "answer": None}, "timeout"),
        ({"flags": "SI", "answer": "stream 1000 90000 20000 10 0 0 0 - 11 7"}, "timeout"),
        ({"flags": "DC", "answer": "stream 1000 90000 20000 10 0 0 0 - 11 7"}, "cancelled"),
        ({"answer": "stream 1000 90000 20000 10 0 0 0 - 11 7"}, "5xx"),
    ],
)
def test_a_request_ends_as_its_client_saw_it(changes: dict[str, Any], code: str) -> None:
    """A stream that broke off after a good status is a failure; a client that left is none."""
    assert fact_of(**changes).code == code


def test_tokens_in_and_out_and_the_whole_time_are_known() -> None:
    fact = fact_of()

    assert (fact.tokens_in, fact.tokens_out, fact.total_ms) == (7, 11, 500)
