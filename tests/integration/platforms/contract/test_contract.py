"""What every platform promises, with a real engine and a real model. Callers ask again after a transient error."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from tests.integration.platforms.contract.conftest import Subject
from tests.integration.platforms.watching import until
from tidegate.domain import NotFound, SetSpec, SetState, SetStatus, Transient
from tidegate.platforms.protocol import Platform

MakeSpec = Callable[..., SetSpec]
Result = TypeVar("Result")
READY_S = 60.0
QUESTION = {
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "temperature": 0,
    "max_tokens": 16,
}


def insist(ask: Callable[[], Result], tries: int = 5) -> Result:
    """Ask again after a transient error, as every caller of a platform must."""
    for _ in range(tries - 1):
        try:
            return ask()
        except Transient:
            continue
    return ask()


def ready(platform: Platform, name: str) -> SetStatus:
    """Wait until ready; a lie of a status (unknown) is not believed."""
    deadline = time.monotonic() + READY_S
    while not (status := platform.wait_ready(name, READY_S)).is_ready:
        assert status.state is not SetState.FAILED, status.message
        assert time.monotonic() < deadline, status
    return status


def settled(platform: Platform, name: str, state: SetState) -> SetStatus:
    """The first status that says `state`."""
    seen: list[SetStatus] = []

    def says_so() -> bool:
        seen.append(platform.status(name))
        return seen[-1].state is state

    until(says_so)
    return seen[-1]


def figures(platform: Platform, name: str, wanted: str) -> dict[str, float]:
    """The first metrics that hold the wanted figure: a busy engine tells none, and that is no error."""
    seen: list[dict[str, float]] = []

    def is_told() -> bool:
        seen.append(platform.metrics(name))
        return wanted in seen[-1]

    until(is_told)
    return seen[-1]


@pytest.fixture
def spec(pipit: Path, make_spec: MakeSpec) -> SetSpec:
    return make_spec(pipit)


def test_a_created_set_serves_the_digest_that_was_ordered(subject: Subject, spec: SetSpec) -> None:
    insist(lambda: subject.platform.create(spec))

    status = ready(subject.platform, spec.name)

    assert status.digest == spec.digest
    assert status.load_seconds is not None
    assert status.memory_bytes is not None
    reply = insist(lambda: subject.platform.invoke(spec.name, "/v1/chat/completions", QUESTION, 10))
    assert reply["model"] == spec.digest
    assert "Paris" in str(reply["choices"])


def test_creating_again_adopts_the_set_that_exists(subject: Subject, spec: SetSpec) -> None:
    insist(lambda: subject.platform.create(spec))
    first = ready(subject.platform, spec.name)

    again = insist(lambda: subject.platform.create(spec))

    # An engine that serves may be slow to say so.
    assert again.state in (SetState.READY, SetState.DEGRADED)
    assert (again.port, again.restarts) == (first.port, 0)
    assert ready(subject.platform, spec.name).port == first.port
    assert len(subject.processes()) == 1


def test_another_process_of_ours_finds_and_adopts_the_set(subject: Subject, spec: SetSpec) -> None:
    insist(lambda: subject.platform.create(spec))
    before = ready(subject.platform, spec.name)

    other = subject.reopen()

    assert [status.name for status in insist(other.list_owned)] == [spec.name]
    insist(lambda: other.create(spec))
    assert ready(other, spec.name).port == before.port
    assert len(subject.processes()) == 1


def test_a_killed_set_is_failed_until_it_is_healed(subject: Subject, spec: SetSpec) -> None:
    insist(lambda: subject.platform.create(spec))
    ready(subject.platform, spec.name)

    subject.crash(spec.name)

    assert settled(subject.platform, spec.name, SetState.FAILED).message
    subject.heal()
    healed = ready(subject.platform, spec.name)
    assert healed.restarts == 1
    assert healed.digest == spec.digest


def test_a_stopped_set_stays_known_and_stopped_until_it_is_started(subject: Subject, spec: SetSpec) -> None:
    insist(lambda: subject.platform.create(spec))
    ready(subject.platform, spec.name)

    insist(lambda: subject.platform.stop(spec.name))
    insist(lambda: subject.platform.stop(spec.name))
    subject.heal()

    settled(subject.platform, spec.name, SetState.STOPPED)
    assert subject.processes() == []
    assert [status.name for status in insist(subject.platform.list_owned)] == [spec.name]
    assert subject.platform.logs(spec.name)
    insist(lambda: subject.platform.start(spec.name))
    assert ready(subject.platform, spec.name).restarts == 0


def test_a_deleted_set_is_absent_and_leaves_nothing(subject: Subject, spec: SetSpec) -> None:
    insist(lambda: subject.platform.create(spec))
    ready(subject.platform, spec.name)

    insist(lambda: subject.platform.delete(spec.name))
    insist(lambda: subject.platform.delete(spec.name))

    settled(subject.platform, spec.name, SetState.ABSENT)
    assert subject.processes() == []
    assert insist(subject.platform.list_owned) == []
    with pytest.raises(NotFound):
        insist(lambda: subject.platform.start(spec.name))
    with pytest.raises(NotFound):
        insist(lambda: subject.platform.invoke(spec.name, "/v1/chat/completions", QUESTION, 5))


def test_a_set_is_listed_with_its_like_and_ended_alone(
    subject: Subject, spec: SetSpec, pipit: Path, make_spec: MakeSpec
) -> None:
    other = make_spec(pipit, release="r2")
    for one in (spec, other):
        insist(lambda one=one: subject.platform.create(one))
        ready(subject.platform, one.name)

    insist(lambda: subject.platform.delete(spec.name))

    assert {status.name for status in insist(subject.platform.list_owned)} == {other.name}
    assert ready(subject.platform, other.name).digest == other.digest


def test_a_file_cut_short_is_failed_with_the_engines_reason(
    subject: Subject, pipit: Path, make_spec: MakeSpec
) -> None:
    whole = pipit.read_bytes()
    pipit.write_bytes(whole[: len(whole) // 2])
    spec = make_spec(pipit)
    insist(lambda: subject.platform.create(spec))

    message = settled(subject.platform, spec.name, SetState.FAILED).message

    assert "ended before it was ready" in message
    assert "failed to load model" in message


def test_a_file_that_is_not_the_ordered_one_never_becomes_ready(
    subject: Subject, pipit: Path, make_spec: MakeSpec
) -> None:
    spec = make_spec(pipit, digest=hashlib.sha256(b"another file").hexdigest())
    insist(lambda: subject.platform.create(spec))

    assert "digest" in settled(subject.platform, spec.name, SetState.FAILED).message
    assert subject.processes() == []


def test_metrics_count_tokens_memory_and_time(subject: Subject, spec: SetSpec) -> None:
    assert subject.platform.metrics(spec.name) == {}
    insist(lambda: subject.platform.create(spec))
    ready(subject.platform, spec.name)
    insist(lambda: subject.platform.invoke(spec.name, "/v1/chat/completions", QUESTION, 10))

    metrics = figures(subject.platform, spec.name, "tokens_predicted_total")

    assert metrics["tokens_predicted_total"] > 0
    assert metrics["memory_bytes"] > 1024**2
    assert metrics["cpu_seconds"] >= 0


def test_an_unknown_name_is_absent_everywhere(subject: Subject, spec: SetSpec) -> None:
    settled(subject.platform, spec.name, SetState.ABSENT)
    insist(lambda: subject.platform.stop(spec.name))
    insist(lambda: subject.platform.delete(spec.name))
    assert subject.platform.logs(spec.name) == ""
    with pytest.raises(NotFound):
        insist(lambda: subject.platform.start(spec.name))
