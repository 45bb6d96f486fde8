from hypothesis import given
from hypothesis import strategies as st

from tidegate.platforms.runpod.emulator.job_states import (
    TERMINAL,
    JobEvent,
    JobStatus,
    after,
    is_terminal,
    loss,
)

statuses = st.sampled_from(list(JobStatus))
events = st.sampled_from(list(JobEvent))


@given(statuses, events)
def test_a_terminal_status_is_left_only_by_a_retry(status, event):
    following = after(status, event)
    if status in TERMINAL and following is not None:
        assert event is JobEvent.RETRY
        assert following is JobStatus.IN_QUEUE


@given(st.lists(events, max_size=30))
def test_a_cancelled_or_completed_job_stays_so_whatever_happens(story):
    status = JobStatus.IN_QUEUE
    settled: JobStatus | None = None
    for event in story:
        status = after(status, event) or status
        if settled is not None:
            assert status is settled
        if status in (JobStatus.CANCELLED, JobStatus.COMPLETED):
            settled = status


def test_the_first_lost_worker_requeues_the_job_and_the_second_fails_it():
    assert after(JobStatus.IN_PROGRESS, loss(0)) is JobStatus.IN_QUEUE
    assert after(JobStatus.IN_PROGRESS, loss(1)) is JobStatus.FAILED


def test_only_failed_and_timed_out_jobs_can_be_retried():
    able = {status for status in JobStatus if after(status, JobEvent.RETRY) is not None}
    assert able == {JobStatus.FAILED, JobStatus.TIMED_OUT}


def test_a_late_result_of_a_cancelled_job_means_nothing():
    assert after(JobStatus.CANCELLED, JobEvent.COMPLETE) is None
    assert is_terminal("CANCELLED")
