"""Jobs of a queue as requests: submitted once, followed to their end, and judged by what they gave."""

import asyncio
import json
from collections.abc import Iterable, Iterator

import pytest

from tests.unit.benchmark.fake_wire import Asked, FakeWire, Reply
from tidegate.benchmark.load import measure
from tidegate.benchmark.plan import Arm, Endpoint, LoadPlan
from tidegate.benchmark.record import Outcome, RequestRecord, RunRecord
from tidegate.domain import Secret

PLAN = LoadPlan(
    prompts=("a",),
    requests=1,
    blocks=1,
    concurrency=1,
    warmup_requests=0,
    endpoint=Endpoint.QUEUE,
    stream=False,
)
OPENAI = {
    "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}],
    "usage": {"completion_tokens": 7},
}


def queue(*statuses: object) -> FakeWire:
    """A queue whose job is in these states, one after the other."""
    told: Iterator[object] = iter(statuses)

    def reply(asked: Asked) -> Reply:
        if asked.url.endswith("/run"):
            return 200, b'{"id": "job/1", "status": "IN_QUEUE"}'
        if "/cancel/" in asked.url:
            return 200, b"{}"
        seen = next(told)
        return (seen, b"") if isinstance(seen, int) else (200, json.dumps(seen).encode())

    return FakeWire(reply)


def run(plan: LoadPlan, wire: FakeWire) -> RunRecord:
    target = Arm("q", "https://host/v2/endpoint", Secret("k"))
    return asyncio.run(measure([target], plan, wire=wire))["q"]


def only(records: Iterable[RequestRecord]) -> RequestRecord:
    (record,) = records
    return record


@pytest.mark.parametrize("output", [OPENAI, [OPENAI]], ids=["an answer", "a list of one answer"])
def test_a_job_is_followed_to_its_end_and_its_own_times_are_kept(output: object):
    done = {"status": "COMPLETED", "delayTime": 1200, "executionTime": 340, "output": output}
    wire = queue({"status": "IN_QUEUE"}, 502, {"status": "SOMETHING_NEW"}, {"status": "IN_PROGRESS"}, done)
    record = only(run(PLAN, wire).measured())
    assert record.outcome is Outcome.OK
    assert (record.tokens, record.token_source) == (7, "usage")
    assert (record.queue_ms, record.execution_ms) == (1200, 340)
    assert [asked.url for asked in wire.asked][:2] == [
        "https://host/v2/endpoint/run",
        "https://host/v2/endpoint/status/job%2F1",
    ]
    assert len(wire.asked) == 6


def test_an_output_of_another_shape_is_an_answer_too():
    done = {"status": "COMPLETED", "output": {"text": "hello"}}
    assert only(run(PLAN, queue(done)).measured()).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("end", "error"),
    [
        ({"status": "FAILED", "error": "no memory"}, "job FAILED: no memory"),
        ({"status": "TIMED_OUT"}, "job TIMED_OUT: no reason given"),
        ({"status": "COMPLETED", "output": {"error": "x"}}, "error"),
        (404, "the job is gone"),
    ],
)
def test_a_job_that_does_not_succeed_is_a_failed_request(end: object, error: str):
    record = only(run(PLAN, queue(end)).measured())
    assert record.outcome is Outcome.FAILED
    assert error in record.error


def test_a_job_that_does_not_end_in_time_is_cancelled():
    states = ({"status": "IN_QUEUE"} for _ in range(1000))
    plan = LoadPlan.from_dict(PLAN.as_dict() | {"request_timeout_s": 0.3})
    wire = queue(*states)
    record = only(run(plan, wire).measured())
    assert record.outcome is Outcome.FAILED
    assert record.error.startswith("timeout")
    assert wire.asked[-1].url.endswith("/cancel/job%2F1")


@pytest.mark.parametrize(("status", "body"), [(401, b"{}"), (429, b""), (200, b"[]"), (200, b"{}")])
def test_a_job_that_was_not_taken_is_a_failed_request_and_is_not_asked_for(status: int, body: bytes):
    wire = FakeWire(lambda _: (status, body))
    assert only(run(PLAN, wire).measured()).outcome is Outcome.FAILED
    assert len(wire.asked) == 1
