"""The contract of every platform, kept by both kinds of endpoints, by pods, and by their faulty twins.

What a process of this machine promises beyond it (its own counters, `heal`) has no place here: RunPod starts workers
again by itself.
"""

from collections.abc import Callable

import pytest

from tests.integration.platforms.contract.conftest import Subject
from tests.integration.platforms.contract.test_contract import (
    QUESTION,
    insist,
    ready,
    test_a_deleted_set_is_absent_and_leaves_nothing,
    test_a_file_that_is_not_the_ordered_one_never_becomes_ready,
    test_a_set_is_listed_with_its_like_and_ended_alone,
    test_a_stopped_set_stays_known_and_stopped_until_it_is_started,
    test_an_unknown_name_is_absent_everywhere,
    test_another_process_of_ours_finds_and_adopts_the_set,
    test_creating_again_adopts_the_set_that_exists,
)
from tests.integration.platforms.runpod_sets.conftest import Account
from tests.integration.platforms.watching import until
from tidegate.domain import CapacityShortage, SetSpec, SetState
from tidegate.platforms.faulty import Effect, Fault, FaultyPlatform
from tidegate.platforms.protocol import Platform
from tidegate.platforms.runpod import RunPodPlatform

__all__ = [
    "test_a_deleted_set_is_absent_and_leaves_nothing",
    "test_a_file_that_is_not_the_ordered_one_never_becomes_ready",
    "test_a_set_is_listed_with_its_like_and_ended_alone",
    "test_a_stopped_set_stays_known_and_stopped_until_it_is_started",
    "test_an_unknown_name_is_absent_everywhere",
    "test_another_process_of_ours_finds_and_adopts_the_set",
    "test_creating_again_adopts_the_set_that_exists",
]

FAULTS = (
    Fault("create", Effect.REFUSE, times=2, error=CapacityShortage),
    Fault("create", Effect.LOSE_REPLY, after=2),
    Fault("status", Effect.REPORT, times=2, state=SetState.UNKNOWN),
    Fault("stop", Effect.LOSE_REPLY),
    Fault("start", Effect.LOSE_REPLY),
    Fault("delete", Effect.REFUSE),
    Fault("delete", Effect.LOSE_REPLY, after=1),
    Fault("list_owned", Effect.REFUSE),
    Fault("invoke", Effect.LOSE_REPLY),
)


@pytest.fixture(params=["load_balancer", "queue", "pod", "load_balancer with faults"])
def subject(request: pytest.FixtureRequest, account: Account) -> Subject:
    account.kind, _, faults = request.param.partition(" ")

    def wrapped(platform: RunPodPlatform) -> Platform:
        return FaultyPlatform(platform, FAULTS) if faults else platform

    return Subject(
        platform=wrapped(account.platform()),
        reopen=lambda: wrapped(account.platform()),
        heal=lambda: None,
        crash=lambda name: account.kill_engines(),
        processes=account.engines,
    )


@pytest.fixture
def spec(make_spec: Callable[..., SetSpec]) -> SetSpec:
    return make_spec()


def test_a_created_set_serves_the_digest_that_was_ordered(subject: Subject, spec: SetSpec) -> None:
    insist(lambda: subject.platform.create(spec))

    status = ready(subject.platform, spec.name)

    assert status.digest == spec.digest
    assert status.load_seconds is not None
    assert status.memory_bytes is not None
    assert status.usd_per_hour is not None
    reply = insist(lambda: subject.platform.invoke(spec.name, "/v1/chat/completions", QUESTION, 10))
    assert reply["model"] == spec.digest
    assert "Paris" in str(reply["choices"])


def test_a_set_whose_worker_dies_is_not_ready_until_runpod_has_started_another(
    subject: Subject, spec: SetSpec
) -> None:
    insist(lambda: subject.platform.create(spec))
    ready(subject.platform, spec.name)
    before = {process.pid for process in subject.processes()}

    subject.crash(spec.name)

    # RunPod starts a worker again by itself, and a pod only when it is told to by whoever looks at the set.
    until(lambda: subject.platform.status(spec.name) and {one.pid for one in subject.processes()} - before)
    again = ready(subject.platform, spec.name)
    assert (again.digest, again.restarts) == (spec.digest, 1)
    assert len(subject.processes()) == 1


def test_metrics_count_workers(subject: Subject, spec: SetSpec) -> None:
    assert subject.platform.metrics(spec.name) == {}
    insist(lambda: subject.platform.create(spec))
    ready(subject.platform, spec.name)

    metrics = subject.platform.metrics(spec.name)
    # An endpoint counts workers; a pod is one engine, which tells its own figures.
    assert metrics.get("workers_total") == 1 or metrics["memory_bytes"] > 1024**2
