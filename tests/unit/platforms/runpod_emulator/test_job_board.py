"""Queues over time: leases, limits, TTL and retention, with a clock that the test moves."""

import asyncio

import pytest

from tidegate.platforms.runpod.emulator.clock import Clock
from tidegate.platforms.runpod.emulator.jobs import JobBoard
from tidegate.platforms.runpod.emulator.persistence import Documents
from tidegate.platforms.runpod.emulator.state import Endpoint
from tidegate.platforms.runpod.emulator.timings import Timings

ENDPOINT = Endpoint("e", "swaggystacks", {"type": "QUEUE", "timeout": 60_000}, created_at=0.0)


class Story:
    """A board, its clock, and the steps that tests tell it."""

    def __init__(self, documents):
        self.now = 1000.0
        self.documents = documents
        self.timings = Timings()
        self.board = JobBoard(documents, Clock(lambda: self.now), self.timings)

    def submit(self, *, is_sync=False, **body):
        return self.board.submit(ENDPOINT, {"input": {"a": 1}, **body}, is_sync=is_sync)

    def take(self, worker="w1", size=1):
        reply = self.board.poll("e", worker, size)
        return reply.result() if reply.done() else []

    def later(self, seconds):
        self.now += seconds
        self.board.tick()

    def exists(self, job):
        return job.id in self.board.jobs


def story_test(tell):
    """Runs a test that needs a loop for its polls."""

    def test(tmp_path):
        async def run():
            documents = Documents(tmp_path / "state.sqlite")
            try:
                tell(Story(documents))
            finally:
                documents.close()

        asyncio.run(run())

    test.__name__ = tell.__name__
    return test


@story_test
def test_a_waiting_worker_gets_the_job_at_once(story):
    reply = story.board.poll("e", "w1", 1)
    job = story.submit()
    assert reply.result() == [job]
    assert (job.status, job.worker_id) == ("IN_PROGRESS", "w1")


@story_test
def test_a_batch_is_as_large_as_it_is_wanted_in_order_of_arrival(story):
    jobs = [story.submit() for _ in range(3)]
    assert story.take(size=2) == jobs[:2]


@story_test
def test_closed_polls_are_answered_with_nothing_and_get_no_job(story):
    reply = story.board.poll("e", "w1", 1)
    story.board.close_polls("e", "w1")
    job = story.submit()
    assert (reply.result(), job.status) == ([], "IN_QUEUE")


@story_test
def test_heartbeats_that_name_the_job_keep_its_lease(story):
    job = story.submit(policy={"executionTimeout": 600_000})
    story.take()
    for _ in range(10):
        story.board.ping("w1", [job.id])
        story.later(30)
    assert (job.status, job.retries) == ("IN_PROGRESS", 0)


@story_test
def test_a_lost_lease_requeues_once_and_then_fails(story):
    job = story.submit(policy={"executionTimeout": 600_000})
    story.take()
    story.later(story.timings.unacknowledged_s)
    assert (job.status, job.retries) == ("IN_QUEUE", 1)
    story.take("w2")
    story.board.ping("w2", [job.id])
    story.later(story.timings.unacknowledged_s)
    assert job.status == "IN_PROGRESS"
    story.later(story.timings.lease_lost_s)
    assert (job.status, job.error) == ("FAILED", "job timed out after 1 retries")


@story_test
def test_a_result_of_the_worker_that_lost_the_job_is_ignored(story):
    job = story.submit()
    story.take("w1")
    story.later(story.timings.unacknowledged_s)
    story.take("w2")
    story.board.done(job, "w1", {"output": "late"})
    assert (job.status, job.output) == ("IN_PROGRESS", None)
    story.board.done(job, "w2", {"output": "right"})
    assert (job.status, job.output) == ("COMPLETED", "right")


@story_test
def test_progress_is_shown_and_does_not_end_the_job_nor_change_an_ended_one(story):
    job = story.submit()
    story.take()
    story.board.done(job, "w1", {"status": "IN_PROGRESS", "output": "half"})
    assert (job.status, job.output) == ("IN_PROGRESS", "half")
    story.board.done(job, "w1", {"output": "all"})
    story.board.done(job, "w1", {"status": "IN_PROGRESS", "output": "half"})
    assert (job.status, job.output) == ("COMPLETED", "all")


@story_test
def test_the_endpoints_limit_ends_a_job_and_asks_for_another_worker(story):
    recycled: list[str] = []
    story.board.on_recycle = lambda endpoint_id, worker_id: recycled.append(worker_id)
    job = story.submit()
    story.take()
    for _ in range(6):
        story.later(10)
        story.board.ping("w1", [job.id])
    assert (job.status, recycled) == ("TIMED_OUT", ["w1"])


@story_test
def test_the_time_to_live_removes_a_job_even_while_it_runs(story):
    job = story.submit(policy={"ttl": 10_000})
    story.take()
    story.later(10)
    assert not story.exists(job)


@pytest.mark.parametrize(("is_sync", "kept_s"), [(True, 60), (False, 1800)])
def test_results_are_kept_for_their_time_and_then_forgotten(tmp_path, is_sync, kept_s):
    @story_test
    def tell(story):
        job = story.submit(is_sync=is_sync)
        story.take()
        story.board.done(job, "w1", {"output": 1})
        story.later(kept_s - 1)
        assert story.exists(job)
        story.later(1)
        assert not story.exists(job)
        assert list(story.documents.load("job")) == []

    tell(tmp_path)


@story_test
def test_jobs_of_low_priority_are_no_reason_to_grow(story):
    story.submit(policy={"lowPriority": True})
    assert story.board.demand("e").queued == 0
    assert story.board.queued("e") == 1


@story_test
def test_a_cancelled_job_that_its_worker_still_names_is_stopped_again(story):
    job = story.submit()
    story.take()
    story.board.cancel(job)
    stops = asyncio.get_running_loop().create_task(story.board.jobs_to_stop("w1", 0))
    story.board.ping("w1", [job.id])
    assert story.board.pending_stops("w1") == [job.id]
    stops.cancel()


@story_test
def test_jobs_and_their_order_survive_a_restart(story):
    jobs = [story.submit() for _ in range(3)]
    story.take()
    again = JobBoard(story.documents, Clock(lambda: story.now), story.timings)
    assert [again.jobs[job.id].status for job in jobs] == ["IN_PROGRESS", "IN_QUEUE", "IN_QUEUE"]
    assert again.poll("e", "w2", 5).result() == [again.jobs[jobs[1].id], again.jobs[jobs[2].id]]
