"""How long a run waits for a GPU, and when it asks again."""

from datetime import UTC, datetime, timedelta

import pytest
from prefect.client.schemas.objects import State
from prefect.states import Failed, Pending, Running, Scheduled

from deployments.runpod_worker.capacity import AWAITING, next_try, waiting_since

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(seconds: float, state: State) -> State:
    return state.model_copy(update={"timestamp": NOW + timedelta(seconds=seconds)})


def awaiting(seconds: float) -> State:
    return at(seconds, Scheduled(name=AWAITING))


def test_a_wait_begins_with_the_first_refusal_and_not_with_the_last() -> None:
    states = [awaiting(60), at(0, Scheduled()), at(1, Pending()), awaiting(10), at(50, Pending())]

    assert waiting_since(states) == NOW + timedelta(seconds=10)


@pytest.mark.parametrize("end", [Failed(), Running()])
def test_the_wait_of_an_earlier_attempt_does_not_count(end: State) -> None:
    earlier = [awaiting(10), at(20, end), at(30, Scheduled(name="AwaitingRetry"))]

    assert waiting_since(earlier) is None
    assert waiting_since([*earlier, awaiting(40)]) == NOW + timedelta(seconds=40)


@pytest.mark.parametrize(("waited_s", "pause_s"), [(0, 5), (4, 5), (30, 30), (600, 120)])
def test_the_longer_a_run_has_waited_the_longer_it_waits_until_it_asks_again(
    waited_s: int, pause_s: int
) -> None:
    now = NOW + timedelta(seconds=waited_s)

    assert next_try(NOW, now, HOUR) == now + timedelta(seconds=pause_s)


def test_it_asks_a_last_time_when_the_wait_ends_and_then_no_more() -> None:
    limit = timedelta(seconds=100)

    assert next_try(NOW, NOW + timedelta(seconds=90), limit) == NOW + limit
    assert next_try(NOW, NOW + limit, limit) is None
    assert next_try(NOW, NOW, timedelta(0)) is None
