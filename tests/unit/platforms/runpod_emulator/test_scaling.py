from hypothesis import given
from hypothesis import strategies as st

from tidegate.platforms.runpod.emulator.scaling import (
    Demand,
    Rules,
    WorkerView,
    plan,
    shrunk_maximum,
    wanted_workers,
    worker_quota,
)

counts = st.integers(0, 20)
seconds = st.floats(0, 1000)
workers = st.builds(
    WorkerView,
    id=st.uuids().map(str),
    is_ready=st.booleans(),
    is_busy=st.booleans(),
    is_stale=st.booleans(),
    idle_s=seconds,
    age_s=seconds,
)
fleets = st.lists(workers, max_size=10, unique_by=lambda worker: worker.id)


@st.composite
def rules(draw):
    least, more = draw(counts), draw(counts)
    by_count = draw(st.booleans())
    return Rules(
        min_workers=least,
        max_workers=least + more,
        idle_timeout_s=draw(st.floats(1, 100)),
        queue_delay_s=None if by_count else draw(st.floats(0.5, 10)),
        request_count=draw(st.integers(1, 5)) if by_count else None,
    )


demands = st.builds(Demand, queued=counts, in_progress=counts, oldest_wait_s=seconds)
by_delay = Rules(min_workers=0, max_workers=3, idle_timeout_s=10, queue_delay_s=4, request_count=None)
by_count = Rules(min_workers=0, max_workers=5, idle_timeout_s=10, queue_delay_s=None, request_count=4)
idle = WorkerView("idle", is_ready=True, is_busy=False, is_stale=False, idle_s=60, age_s=100)


@given(rules(), demands, counts)
def test_the_wanted_number_is_always_within_the_endpoints_bounds(rules, demand, current):
    assert rules.min_workers <= wanted_workers(rules, demand, current) <= rules.max_workers


@given(rules(), demands, fleets)
def test_a_busy_worker_is_never_drained(rules, demand, fleet):
    busy = {worker.id for worker in fleet if worker.is_busy}
    assert not busy & set(plan(rules, demand, fleet).drain)


@given(rules(), demands, fleets)
def test_a_plan_never_takes_a_fresh_fleet_below_what_is_wanted(rules, demand, fleet):
    made = plan(rules, demand, fleet)
    stale_idle = sum(worker.is_stale and not worker.is_busy for worker in fleet)
    left = len(fleet) - len(made.drain) + made.start
    staying = len(fleet) - stale_idle
    assert left >= min(wanted_workers(rules, demand, staying), staying + made.start)


@given(rules(), demands, fleets)
def test_stale_idle_workers_go_at_once(rules, demand, fleet):
    stale = {worker.id for worker in fleet if worker.is_stale and not worker.is_busy}
    assert stale <= set(plan(rules, demand, fleet).drain)


@given(rules(), demands, fleets)
def test_nothing_starts_while_growth_is_forbidden(rules, demand, fleet):
    assert plan(rules, demand, fleet, may_grow=False).start == 0


@given(rules(), demands, fleets)
def test_starting_never_exceeds_the_maximum(rules, demand, fleet):
    made = plan(rules, demand, fleet)
    staying = [worker for worker in fleet if not worker.is_stale or worker.is_busy]
    assert made.start == 0 or len(staying) + made.start <= rules.max_workers


def test_a_request_younger_than_the_queue_delay_starts_nobody():
    assert plan(by_delay, Demand(queued=1, in_progress=0, oldest_wait_s=3.9), []).start == 0


def test_a_request_as_old_as_the_queue_delay_adds_one_worker():
    assert plan(by_delay, Demand(queued=9, in_progress=0, oldest_wait_s=4), []).start == 1


def test_request_count_divides_queued_and_running_requests_and_rounds_up():
    assert wanted_workers(by_count, Demand(queued=5, in_progress=4, oldest_wait_s=0), 0) == 3


def test_an_idle_worker_stays_until_its_timeout():
    young = WorkerView("young", is_ready=True, is_busy=False, is_stale=False, idle_s=9, age_s=100)
    assert plan(by_count, Demand(0, 0, 0), [young]).drain == ()
    assert plan(by_count, Demand(0, 0, 0), [idle]).drain == ("idle",)


def test_workers_above_a_lowered_maximum_go_without_waiting_for_the_timeout():
    none = Rules(min_workers=0, max_workers=0, idle_timeout_s=3600, queue_delay_s=4, request_count=None)
    fresh = WorkerView("fresh", is_ready=False, is_busy=False, is_stale=False, idle_s=0, age_s=0)
    assert plan(none, Demand(0, 0, 0), [fresh]).drain == ("fresh",)


def test_the_quota_of_workers_grows_with_the_balance():
    assert [worker_quota(usd) for usd in (0, 99, 100, 300, 5000)] == [5, 5, 10, 30, 60]


def test_unused_endpoints_shrink_to_two_workers_and_then_to_none():
    assert [shrunk_maximum(5, unused, 3, 7) for unused in (2, 3, 7)] == [5, 2, 0]
    assert shrunk_maximum(1, 3, 3, 7) == 1
