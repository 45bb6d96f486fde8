"""Sets that are pods: closed to strangers, placed by a ladder, started again, moved, or given up with the reason."""

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal

import httpx
import psutil
import pytest

from tests.integration.platforms.runpod_sets.conftest import ENGINE_KEYS, ORG, OTHER, Account
from tests.integration.platforms.runpod_sets.test_trouble_at_runpod import becomes
from tidegate.domain import (
    CapacityShortage,
    Refused,
    SetSpec,
    SetState,
    SetStatus,
    Transient,
    engine_credential,
)
from tidegate.platforms.runpod import Allowance, Cloud
from tidegate.platforms.runpod.wire import CreatePod, PodGpu

QUESTION = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "max_tokens": 8}
CHEAPEST, NEXT = "NVIDIA RTX A4000", "NVIDIA RTX A4500"


@pytest.fixture
def spec(make_spec: Callable[..., SetSpec]) -> SetSpec:
    return make_spec()


@pytest.fixture
def pods(account: Account) -> Account:
    account.kind = "pod"
    return account


def url_of(status: SetStatus) -> str:
    return f"http://{status.host}:{status.port}{status.path_prefix}"


def test_a_pod_answers_nobody_without_the_key_of_its_set(pods: Account, spec: SetSpec) -> None:
    platform = pods.platform()
    platform.create(spec)
    ready = becomes(platform, spec.name, SetState.READY, SetState.FAILED)
    assert ready.is_ready, ready.message
    assert ready.credential == engine_credential("k1", spec.name)
    assert ready.memory_bytes is not None
    assert ready.restarts == 0
    key, another = ENGINE_KEYS.key_of(spec.name, "k1"), ENGINE_KEYS.key_of("another-set", "k1")
    assert key is not None
    assert another is not None

    def asked(path: str, bearer: str | None) -> int:
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return httpx.post(url_of(ready) + path, json=QUESTION, headers=headers, timeout=60).status_code

    # Not even RunPod's own key of the account opens it.
    for wrong in (None, "x", another.reveal(), pods.runpod.key(ORG).reveal()):
        assert asked("/v1/chat/completions", wrong) == 401
    assert asked("/v1/chat/completions", key.reveal()) == 200
    # What tells something about the model or the machine is closed too.
    report = url_of(ready).replace("/8000", "/8001") + "/worker"
    for closed in (*(url_of(ready) + path for path in ("/v1/models", "/props", "/metrics")), report):
        assert httpx.get(closed, timeout=60).status_code == 401
    opened = httpx.get(report, headers={"Authorization": f"Bearer {key.reveal()}"}, timeout=60)
    assert opened.status_code == 200

    assert key.reveal() not in platform.logs(spec.name, 200)
    assert pods.engines()
    for process in psutil.Process(pods.runpod.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            assert key.reveal() not in " ".join(process.cmdline())


def test_a_set_is_paid_by_the_hour_while_its_pod_runs(pods: Account, spec: SetSpec) -> None:
    platform = pods.platform()
    assert platform.exact_price_per_hour_usd(spec) == Decimal("3.59")
    platform.create(spec)
    becomes(platform, spec.name, SetState.READY)
    control = pods.client().control
    assert control.list_pods()[0].cost == Decimal("0.25"), "the cheapest type that fits"

    platform.stop(spec.name)

    becomes(platform, spec.name, SetState.STOPPED)
    assert control.list_pods()[0].cost == 0


def test_the_next_type_is_taken_when_the_cheapest_has_no_room(pods: Account, spec: SetSpec) -> None:
    pods.runpod.faults.set("capacity_400", scope=CHEAPEST)

    pods.platform().create(spec)

    assert [pod["name"] for pod in pods.pods()] == [spec.name]
    pod = pods.client().control.list_pods()[0]
    assert pod.gpu is not None
    assert (pod.gpu.id, pod.cloud) == (NEXT, "SECURE")


def test_community_machines_are_used_only_by_who_is_allowed_to(
    pods: Account, make_spec: Callable[..., SetSpec]
) -> None:
    """SwaggyStacks may, ScientiaCapital may not: when RunPod's own machines are out of stock, it waits."""
    pods.runpod.faults.set("stock_out", scope="SECURE")

    with pytest.raises(CapacityShortage):
        pods.platform(OTHER).create(make_spec(org=OTHER))
    assert pods.pods() == []

    pods.allowance = Allowance(clouds=(Cloud.SECURE, Cloud.COMMUNITY))
    pods.platform(ORG).create(make_spec(org=ORG))
    assert pods.client(ORG).control.list_pods()[0].cloud == "COMMUNITY"


def test_without_room_anywhere_nothing_is_made_and_the_release_can_park(pods: Account, spec: SetSpec) -> None:
    pods.runpod.faults.set("capacity_400")

    with pytest.raises(CapacityShortage, match="A4000"):
        pods.platform().create(spec)

    assert pods.pods() == []


def test_a_create_whose_answer_is_lost_makes_one_pod(pods: Account, spec: SetSpec) -> None:
    pods.runpod.faults.set("create_reply_lost", scope="/v2/pods", count=1)

    pods.platform().create(spec)

    assert len(pods.pods()) == 1


def test_a_pod_that_ends_by_itself_is_started_again_and_counted(pods: Account, spec: SetSpec) -> None:
    platform = pods.platform()
    platform.create(spec)
    before = becomes(platform, spec.name, SetState.READY)

    pods.runpod.faults.set("pod_exits", 1, count=1)

    becomes(platform, spec.name, SetState.DEGRADED)
    again = becomes(platform, spec.name, SetState.READY)
    assert again.restarts == 1
    assert again.path_prefix == before.path_prefix, "the same pod, at the same address"
    assert len(pods.pods()) == 1


def test_a_pod_whose_machine_is_lost_moves_and_nothing_is_left_behind(pods: Account, spec: SetSpec) -> None:
    platform = pods.platform()
    platform.create(spec)
    before = becomes(platform, spec.name, SetState.READY)

    pods.runpod.faults.set("host_lost", count=1)

    becomes(platform, spec.name, SetState.DEGRADED)
    moved = becomes(platform, spec.name, SetState.READY)
    assert moved.path_prefix != before.path_prefix, "another pod has another address"
    assert len({resource.id for resource in pods.resources}) == 2, "both are paid for"
    assert (moved.digest, moved.restarts) == (spec.digest, 1)
    assert len(pods.pods()) == 1


def test_a_pod_in_a_crash_loop_is_stopped_with_the_reason(pods: Account, spec: SetSpec) -> None:
    pods.runpod.faults.set("crash_at_start", 3)
    platform = pods.platform()
    platform.create(spec)

    failed = becomes(platform, spec.name, SetState.FAILED)

    assert "never served" in failed.message
    assert "container exited with code 3" in failed.message
    assert pods.client().control.list_pods()[0].cost == 0
    assert pods.platform().status(spec.name).state is SetState.FAILED, "another process reads the same"


def test_a_pod_that_is_not_ready_in_time_is_given_up(pods: Account, spec: SetSpec) -> None:
    pods.runpod.faults.set("init_delay_s", 600)
    platform = pods.platform()
    platform.create(spec)
    becomes(platform, spec.name, SetState.STARTING)

    pods.skew_s = 61

    assert "not ready within 60 s" in becomes(platform, spec.name, SetState.FAILED).message
    assert pods.client().control.list_pods()[0].cost == 0


def test_a_stop_that_broke_off_is_finished_by_whoever_looks_next(pods: Account, spec: SetSpec) -> None:
    platform = pods.platform()
    platform.create(spec)
    becomes(platform, spec.name, SetState.READY)
    # Its process died after it had written what it wanted, and before it did it.
    pods.runpod.faults.set("control_5xx", 500, scope=f"/v2/pods/{pods.pods()[0]['id']}/action", count=9)
    with pytest.raises(Transient, match="500"):
        platform.stop(spec.name)
    pods.runpod.faults.clear()

    becomes(pods.platform(), spec.name, SetState.STOPPED)

    assert pods.engines() == []


def test_a_service_that_changes_to_pods_keeps_its_endpoint_until_it_is_replaced(
    account: Account, make_spec: Callable[..., SetSpec]
) -> None:
    old, new = make_spec(), make_spec(release="r2")
    account.platform().create(old)
    becomes(account.platform(), old.name, SetState.READY)

    account.kind = "pod"
    platform = account.platform()
    platform.create(new)
    becomes(platform, new.name, SetState.READY)

    assert platform.status(old.name).is_ready
    assert {status.name for status in platform.list_owned()} == {old.name, new.name}
    platform.delete(old.name)
    assert account.endpoints() == []
    assert [pod["name"] for pod in account.pods()] == [new.name]


def test_a_pod_of_this_name_that_is_not_ours_is_left_alone(pods: Account, spec: SetSpec) -> None:
    control = pods.client().control
    control.create_pod(
        CreatePod(name=spec.name, image="tidegate-worker", ports=(), gpu=PodGpu(id="NVIDIA L4"))
    )
    platform = pods.platform()

    assert platform.status(spec.name).state is SetState.UNKNOWN
    with pytest.raises(Refused, match="does not carry our marks"):
        platform.create(spec)
    with pytest.raises(Refused, match="does not carry our marks"):
        platform.delete(spec.name)
    assert len(pods.pods()) == 1
