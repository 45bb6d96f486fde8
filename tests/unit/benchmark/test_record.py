"""Runs as they are stored: small, the same when read again, and refused when they contradict themselves."""

import json
import random
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tidegate.benchmark.record import (
    ClientHonesty,
    Outcome,
    Phase,
    RequestRecord,
    RunRecord,
    clean_url,
)
from tidegate.domain import InvalidInput

MS = 1_000_000


def request(index: int = 0, sent_ms: int = 10, chunks: int = 4, **changes: Any) -> RequestRecord:
    sent = sent_ms * MS
    stamps = tuple(sent + (50 + 10 * number) * MS for number in range(chunks))
    values: dict[str, Any] = {
        "index": index, "sent_ns": sent, "headers_ns": sent + 49 * MS, "chunk_ns": stamps, "answer_ns": stamps[0],
        "finish_ns": stamps[-1], "end_ns": stamps[-1] + MS, "outcome": Outcome.OK, "status": 200, "tokens": chunks,
        "token_source": "usage",
    }  # fmt: skip
    return RequestRecord(**(values | changes))


def run(*requests: RequestRecord, **changes: Any) -> RunRecord:
    values: dict[str, Any] = {
        "id": "run-1",
        "created_at": datetime(2026, 11, 26, tzinfo=UTC),
        "window_ns": (0, 10_000 * MS),
        "requests": requests or (request(),),
    }
    return RunRecord(**(values | changes))


@st.composite
def requests(draw: st.DrawFn, index: int) -> RequestRecord:
    planned = draw(st.none() | st.integers(0, 10_000 * MS))
    phase = draw(st.sampled_from(Phase))
    if draw(st.booleans()):
        return RequestRecord(index=index, phase=phase, planned_ns=planned, outcome=Outcome.NOT_SENT)
    sent = draw(st.integers(0, 10_000 * MS))
    gaps = draw(st.lists(st.integers(0, 2**40), max_size=6))
    stamps = tuple(sent + sum(gaps[: end + 1]) for end in range(len(gaps)))
    outcome = draw(st.sampled_from([Outcome.OK, Outcome.FAILED, Outcome.TRUNCATED]))
    tokens = draw(st.none() | st.integers(0, 10**6))
    return RequestRecord(
        index=index,
        phase=phase,
        planned_ns=planned,
        sent_ns=sent,
        chunk_ns=stamps,
        end_ns=(stamps[-1] if stamps else sent) + draw(st.integers(0, 2**40)),
        outcome=outcome,
        error="" if outcome is Outcome.OK else draw(st.text(max_size=8)),
        tokens=tokens,
        token_source=None if tokens is None else "usage",
        tags=tuple(draw(st.lists(st.text(max_size=4), max_size=2))),
    )


@given(st.integers(0, 5).flatmap(lambda count: st.tuples(*map(requests, range(count)))))
@settings(max_examples=60, deadline=None)
def test_a_stored_run_reads_as_the_same_run_from_both_forms(planned: tuple[RequestRecord, ...]):
    whole = run(window_ns=(0, 2**61)).model_copy(update={"requests": planned})
    assert RunRecord.from_bytes(whole.to_bytes()) == whole
    assert RunRecord.from_bytes(whole.model_dump_json().encode()) == whole


def test_a_stored_chunk_costs_a_few_bytes_and_equal_runs_are_equal_bytes():
    draw = random.Random(1)
    jitter = [int(draw.gauss(10 * MS, 0.3 * MS)) for _ in range(64)]
    stamps = tuple(60 * MS + sum(jitter[:end]) + draw.randrange(MS) // 1000 for end in range(64))
    many = tuple(
        request(number, chunk_ns=stamps, answer_ns=None, finish_ns=None, end_ns=2**40)
        for number in range(500)
    )
    stored = run(*many).to_bytes()
    # Whatever the compression makes of equal requests: unpacked, a chunk costs about nine bytes.
    assert len(zlib.decompress(stored, 31)) / 500 < 64 * 9 + 200
    assert stored == run(*many).to_bytes()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"chunk_ns": (5 * MS,), "answer_ns": None}, "requests.0.chunk_ns"),
        ({"chunk_ns": (70 * MS, 60 * MS), "answer_ns": None}, "requests.0.chunk_ns"),
        ({"end_ns": 70 * MS}, "requests.0.end_ns"),
        ({"end_ns": None}, "requests.0.end_ns"),
        ({"headers_ns": 9 * MS}, "requests.0.headers_ns"),
        ({"finish_ns": 9 * MS}, "requests.0.finish_ns"),
        ({"finish_ns": 900 * MS}, "requests.0.end_ns"),
        ({"answer_ns": 61 * MS}, "requests.0.answer_ns"),
        ({"error": "reset"}, "requests.0.error"),
        ({"outcome": "not_sent"}, "requests.0.outcome"),
        ({"sent_ns": None}, "requests.0.sent_ns"),
        ({"tokens": None}, "requests.0.token_source"),
        ({"token_source": None}, "requests.0.token_source"),
        ({"chunk_tokens": (1, 1)}, "requests.0.chunk_tokens"),
        ({"prompt_tokens": 4, "cached_tokens": 5}, "requests.0.cached_tokens"),
        ({"sent_ns": -1}, "requests.0.sent_ns"),
        ({"tokens": 2**60}, "requests.0.tokens"),
        ({"planned_ns": 20_000 * MS}, "requests.0.phase"),
        ({"surprise": 1}, "requests.0.surprise"),
    ],
)
def test_a_request_that_contradicts_itself_is_refused_by_the_name_of_its_field(
    changes: dict[str, Any], field: str
):
    data = json.loads(run().model_dump_json())
    data["requests"][0] |= changes
    with pytest.raises(InvalidInput) as refused:
        RunRecord.from_bytes(json.dumps(data).encode())
    assert refused.value.context["field"] == field
    assert field in refused.value.message


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"window_ns": (5, 5)}, "window_ns"),
        ({"window_ns": (100 * MS, 200 * MS)}, "requests.0.phase"),
        ({"block_windows_ns": [(0, 20_000 * MS)]}, "block_windows_ns"),
        ({"schema_version": 2}, "schema_version"),
        ({"created_at": "2026-11-26T00:00:00"}, "created_at"),
        ({"honesty": {"verdict": "client-bound"}}, "honesty.reasons"),
        ({"requests": 5}, "requests"),
        ({"requests": [5]}, "requests.0"),
        ({"requests": [{"chunk_gaps_ns": "1"}]}, "requests.0.index"),
        ({"mode": "Fast & loose"}, "mode"),
    ],
)
def test_a_run_that_contradicts_itself_is_refused_by_the_name_of_its_field(
    changes: dict[str, Any], field: str
):
    data = json.loads(run().model_dump_json()) | changes
    with pytest.raises(InvalidInput) as refused:
        RunRecord.from_data(data)
    assert refused.value.context["field"] == field


def test_a_request_that_was_never_sent_has_nothing_that_came_later():
    with pytest.raises(ValidationError, match="never sent"):
        RequestRecord(index=0, outcome=Outcome.NOT_SENT, end_ns=5)
    with pytest.raises(ValidationError, match="never sent"):
        RequestRecord(index=0, outcome=Outcome.NOT_SENT, chunk_ns=(5,))


def test_a_number_of_a_request_is_given_once_in_a_phase_and_its_block_has_a_window():
    with pytest.raises(ValidationError, match="is there twice"):
        run(request(1), request(1))
    assert len(run(request(1), request(1, phase=Phase.WARMUP)).measured()) == 1
    with pytest.raises(ValidationError, match="has no window"):
        run(request(1, block=1), block_windows_ns=((0, 10_000 * MS),))


@pytest.mark.parametrize(
    "data", [b"", b"\x1f\x8b", b"no", b"[]", b"\xff\xfe", b"[" * 100_000, run().to_bytes()[:-9]]
)
def test_what_is_no_stored_run_is_said_so(data: bytes):
    with pytest.raises(InvalidInput):
        RunRecord.from_bytes(data)


def test_a_small_file_cannot_unpack_to_more_than_is_allowed():
    bomb = zlib.compress(bytes(2_000_000), wbits=31)
    assert len(bomb) < 10_000
    with pytest.raises(InvalidInput, match="larger than 1,000,000 bytes"):
        RunRecord.from_bytes(bomb, most_bytes=1_000_000)
    whole = run().to_bytes()
    unpacked = len(zlib.decompress(whole, 31))
    assert RunRecord.from_bytes(whole, most_bytes=unpacked) == run()
    with pytest.raises(InvalidInput, match="larger than"):
        RunRecord.from_bytes(whole, most_bytes=unpacked - 1)


@given(st.binary(max_size=200))
def test_garbage_is_refused_in_one_way_only(data: bytes):
    with pytest.raises(InvalidInput):
        RunRecord.from_bytes(data)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://user:key@host:8080/v1?token=x#y", "http://host:8080/v1"),
        ("https://host/v1/a@b", "https://host/v1/a@b"),
        ("http://host?key=x", "http://host"),
        ("host:8080", "host:8080"),
        ("", ""),
    ],
)
def test_a_target_is_kept_without_what_may_be_secret(url: str, kept: str):
    assert clean_url(url) == kept
    assert run(target=url).target == kept


def test_an_open_loop_starts_a_request_when_it_was_planned_and_a_closed_one_when_it_was_sent():
    assert request(planned_ns=3).start_ns == 3
    assert request().start_ns == 10 * MS
    assert RequestRecord(index=0, outcome=Outcome.NOT_SENT).start_ns is None
    assert not run().is_open_loop
    assert run(mode="poisson", plan={"digest": "d"}).plan_digest == "d"
    assert ClientHonesty().verdict == "honest"
