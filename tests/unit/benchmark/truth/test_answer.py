"""What a truth server says is what the client reads, for any shape and wherever the bytes are cut."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.benchmark.stream import parse_stream, parse_whole
from tidegate.benchmark.truth import Fault, FaultKind, Shape
from tidegate.benchmark.truth.answer import UNIT, Answer, Ask, Kind, Write, tokenize

MS = 1_000_000


def ask(**changes: Any) -> Ask:
    body = {"messages": [{"role": "user", "content": "one two"}], "max_tokens": 12, "stream": True}
    is_chat = changes.pop("is_chat", True)
    return Ask.read(0, is_chat, body | {"stream_options": {"include_usage": True}} | changes)


def answer(shape: Shape, asked: Ask | None = None) -> Answer:
    chance = shape.chance(0)
    return Answer(shape, asked or ask(), shape.fault(chance), chance)


def of_kind(writes: list[Write], *kinds: Kind) -> list[Write]:
    return [write for write in writes if write.kind in kinds]


shapes = st.builds(
    Shape,
    tokens=st.integers(1, 20),
    tokens_per_chunk=st.integers(1, 5),
    role_chunk=st.booleans(),
    reasoning_tokens=st.integers(0, 25),
    reasoning_field=st.sampled_from(["reasoning_content", "reasoning"]),
    tool_call=st.booleans(),
    usage=st.sampled_from(["event", "finish", "timings", "none"]),
    timings=st.booleans(),
    cached_tokens=st.integers(0, 2),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    comments=st.booleans(),
)


@settings(max_examples=150)
@given(shapes, st.booleans(), st.lists(st.floats(0, 1), max_size=60))
def test_a_client_reads_what_was_said_wherever_it_is_cut(shape: Shape, is_chat: bool, cuts: list[float]):
    writes = list(answer(shape, ask(is_chat=is_chat)).writes())
    raw = b"".join(write.data for write in writes)
    edges = [0, *sorted(round(cut * len(raw)) for cut in cuts), len(raw)]
    # The stamp of a read is the number of bytes read so far; an event was complete when its last byte was.
    parsed = parse_stream([(end, raw[start:end]) for start, end in itertools.pairwise(edges) if end > start])
    ends = dict(zip(map(id, writes), itertools.accumulate(len(write.data) for write in writes), strict=True))

    def read_at(write: Write) -> int:
        # A lone CR may be half of a CRLF: its event is known to be complete when the next byte is read.
        least = ends[id(write)] + (shape.line_end == "\r")
        return next((edge for edge in edges if edge >= least), len(raw))

    content = of_kind(writes, Kind.CONTENT, Kind.REASONING)
    assert parsed.is_whole
    assert parsed.content_ns == [read_at(write) for write in content]
    first_answer = next(iter(of_kind(writes, Kind.CONTENT)), None)
    is_visible = is_chat and first_answer is not None
    assert parsed.answer_ns == (
        read_at(first_answer) if is_visible else parsed.content_ns[0] if not is_chat else None
    )
    assert parsed.tokens == (None if shape.usage == "none" and not shape.timings else shape.tokens)
    if shape.usage in ("event", "finish"):
        assert (parsed.prompt_tokens, parsed.cached_tokens) == (2, shape.cached_tokens)


@pytest.mark.parametrize(
    ("kind", "fault", "is_finished"),
    [
        (FaultKind.ERROR_EVENT, "an error event: an error that was asked for", False),
        (FaultKind.NAMED_ERROR_EVENT, "an error event: an error that was asked for", False),
        (FaultKind.BROKEN_JSON, "a chunk is not a JSON object", False),
        (FaultKind.QUIET_END, "", False),
        (FaultKind.CUT, "", False),
        (FaultKind.NO_DONE, "", True),
    ],
)
def test_each_fault_is_seen_as_what_it_is(kind: FaultKind, fault: str, is_finished: bool):
    writes = answer(Shape(faults=(Fault(kind=kind, after=3),))).writes()
    parsed = parse_stream([(number, write.data) for number, write in enumerate(writes)])
    assert (parsed.fault, parsed.finish_ns is not None, parsed.done_ns) == (fault, is_finished, None)
    assert parsed.is_whole == is_finished
    assert len(parsed.content_ns) == (12 if kind is FaultKind.NO_DONE else 3)


def test_the_waits_are_those_of_the_shape():
    writes = list(answer(Shape(ttft=50, gap=10, tokens_per_chunk=4, stall_ms=1500)).writes())
    waits = [write.wait_ns // MS for write in of_kind(writes, Kind.CONTENT)]
    assert waits == [50, 40 + 1500, 40]
    assert sum(write.tokens for write in writes) == 12


def test_the_last_chunk_holds_the_tokens_that_are_left():
    writes = list(answer(Shape(tokens=10, tokens_per_chunk=4)).writes())
    assert [write.tokens for write in of_kind(writes, Kind.CONTENT)] == [4, 4, 2]


def test_usage_in_an_event_of_its_own_is_sent_only_when_it_was_asked_for():
    writes = list(answer(Shape(), ask(stream_options=None)).writes())
    assert of_kind(writes, Kind.USAGE) == []


def test_the_timings_of_the_engine_are_the_planned_times():
    writes = list(answer(Shape(ttft=50, gap=10, usage="timings")).writes())
    parsed = parse_stream([(0, write.data) for write in writes])
    assert (parsed.timings_tokens, parsed.prompt_ms, parsed.predicted_ms) == (12, 50, 110)


@given(shapes, st.booleans())
def test_a_plain_answer_says_the_same_in_one_piece(shape: Shape, is_chat: bool):
    work_ns, body = answer(shape, ask(is_chat=is_chat, stream=False)).whole()
    parsed = parse_whole(json.loads(json.dumps(body)), 9)
    assert work_ns == (50 + 10 * ((shape.tokens or 0) - 1)) * MS
    assert (parsed.fault, parsed.content_ns, parsed.answer_ns) == ("", [9], 9)
    assert (parsed.finish_ns, parsed.is_whole) == (9, True)


@given(st.integers(0, 50))
def test_the_tokenizer_counts_what_the_server_makes(tokens: int):
    assert len(tokenize(UNIT * tokens)) == tokens
    assert len(tokenize("Two words " + UNIT * tokens)) == tokens + 2
