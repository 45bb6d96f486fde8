"""The load generator asks a queue endpoint: jobs of a worker that is started for them."""

import asyncio

from tidegate.benchmark import Arm, Endpoint, LoadPlan, measure
from tidegate.benchmark.record import Outcome
from tidegate.domain import Secret


def test_jobs_are_measured_from_submission_to_their_end_with_the_platforms_own_times(account):
    endpoint = account.endpoint("bench-1")
    target = Arm("queue", endpoint["requestUrls"]["run"].removesuffix("/run"), Secret(account.key))
    plan = LoadPlan(
        prompts=("a", "b"),
        requests=4,
        blocks=1,
        concurrency=2,
        warmup_requests=1,
        endpoint=Endpoint.QUEUE,
        stream=False,
    )
    record = asyncio.run(measure([target], plan))["queue"]
    assert {one.outcome for one in record.measured()} == {Outcome.OK}
    for one in record.measured():
        assert one.queue_ms is not None
        assert one.execution_ms is not None
        assert one.end_ns is not None
        assert one.sent_ns is not None
        assert (one.end_ns - one.sent_ns) / 1e6 >= one.execution_ms
