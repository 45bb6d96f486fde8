"""RunPod goes wrong in every way that it is known for; nothing is made twice, lost, kept running or believed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from tests.integration.platforms.runpod_sets.conftest import OTHER, SERVICE, Account
from tests.integration.platforms.watching import until
from tidegate.domain import (
    CapacityShortage,
    InvalidInput,
    NotFound,
    Refused,
    Secret,
    SetSpec,
    SetState,
    SetStatus,
    Transient,
    cost_of,
)
from tidegate.platforms.runpod import RunPodPlatform
from tidegate.platforms.runpod.orders import worker_bounds
from tidegate.platforms.runpod.sweeping import find_orphans
from tidegate.platforms.runpod.wire import (
    CreateEndpoint,
    EndpointGpu,
    EndpointKind,
    RequestCount,
    UpdateEndpoint,
    Workers,
)

ANYWHERE = 60.0


@pytest.fixture
def spec(make_spec: Callable[..., SetSpec]) -> SetSpec:
    return make_spec()


def becomes(platform: RunPodPlatform, name: str, *states: SetState) -> SetStatus:
    """The first status that says one of `states`."""
    seen: list[SetStatus] = []

    def says_so() -> bool:
        seen.append(platform.status(name))
        return seen[-1].state in states

    until(says_so, ANYWHERE)
    return seen[-1]


def test_a_create_whose_answer_is_lost_makes_one_endpoint(account: Account, spec: SetSpec) -> None:
    account.runpod.faults.set("create_reply_lost", scope="/v2/serverless", count=1)
    platform = account.platform()

    platform.create(spec)

    assert len(account.endpoints()) == 1
    assert becomes(platform, spec.name, SetState.READY, SetState.FAILED).is_ready


def test_two_processes_that_create_at_once_keep_the_same_endpoint(account: Account, spec: SetSpec) -> None:
    first = account.platform()
    first.create(spec)
    # What a second process did that had seen no endpoint.
    control = account.client().control
    original = control.list_endpoints()[0]
    twin = CreateEndpoint(
        name=spec.name,
        type=EndpointKind.LOAD_BALANCER,
        image="example.com/tidegate-worker:1",
        env=original.env,
        ports=("8000/http",),
        scaling=RequestCount(),
        workers=Workers(min=0, max=1),
        timeout=1000,
        gpu=EndpointGpu(pools=("ADA_24",)),
    )
    second = control.create_endpoint(twin)
    assert second.id != original.id

    found = find_orphans(
        "swaggystacks",
        control.list_endpoints(),
        [],
        {spec.name},
        datetime.now(UTC) + timedelta(hours=1),
    )

    assert [one.id for one in found] == [second.id]
    account.platform().delete(spec.name)
    assert account.endpoints() == []


def test_without_stock_nothing_is_made_and_the_release_can_park(account: Account, spec: SetSpec) -> None:
    account.runpod.faults.set("stock_out")

    with pytest.raises(CapacityShortage):
        account.platform().create(spec)

    assert account.endpoints() == []


def test_stock_that_is_gone_at_the_moment_of_the_create_is_a_shortage_too(
    account: Account, spec: SetSpec
) -> None:
    account.runpod.faults.set("capacity_400")

    with pytest.raises(CapacityShortage):
        account.platform().create(spec)

    assert account.endpoints() == []


def test_the_next_rung_is_taken_when_the_cheapest_pools_are_sold_out(account: Account, spec: SetSpec) -> None:
    for pool in ("AMPERE_16", "AMPERE_24", "ADA_24"):
        account.runpod.faults.set("capacity_400", scope=pool)

    account.platform().create(spec)

    (endpoint,) = account.client().control.list_endpoints()
    assert endpoint.gpu is not None
    assert endpoint.gpu.pools == ("AMPERE_48",)


def test_a_set_that_waits_for_a_machine_too_long_is_taken_back(account: Account, spec: SetSpec) -> None:
    account.runpod.faults.set("throttled")
    platform = account.platform(throttled_timeout_s=30)
    platform.create(spec)
    assert becomes(platform, spec.name, SetState.PENDING).message

    account.skew_s += 31

    status = becomes(platform, spec.name, SetState.ABSENT)
    assert "no machine" in status.message
    assert account.endpoints() == []


def test_a_crash_loop_ends_with_no_workers_and_its_log_as_evidence(account: Account, spec: SetSpec) -> None:
    account.runpod.faults.set("crash_at_start", 3)
    platform = account.platform()
    platform.create(spec)

    status = becomes(platform, spec.name, SetState.FAILED)

    assert "started" in status.message
    assert "exited with code 3" in status.message
    (endpoint,) = account.client().control.list_endpoints()
    assert (endpoint.workers.min, endpoint.workers.max) == (0, 0)
    until(lambda: not account.runpod.control.state()["workers"])
    # Another process reads the same verdict, and asking again does not start the loop anew.
    assert account.platform().create(spec).state is SetState.FAILED
    account.runpod.faults.clear()
    assert platform.start(spec.name).state is not SetState.FAILED
    assert becomes(platform, spec.name, SetState.READY, SetState.FAILED).is_ready


def test_a_set_that_is_not_ready_in_time_is_given_up(account: Account, spec: SetSpec) -> None:
    account.runpod.faults.set("image_pull_s", 600)
    platform = account.platform()
    platform.create(spec)
    becomes(platform, spec.name, SetState.STARTING)

    account.skew_s += 61

    assert "within 60 s" in becomes(platform, spec.name, SetState.FAILED).message
    until(lambda: not account.runpod.control.state()["workers"])


def test_workers_that_runpod_took_from_an_idle_endpoint_are_set_back(account: Account, spec: SetSpec) -> None:
    platform = account.platform()
    platform.create(spec)
    becomes(platform, spec.name, SetState.READY)
    control = account.client().control
    (endpoint,) = control.list_endpoints()

    control.update_endpoint(endpoint.id, worker_bounds(0, 0))

    def is_mended() -> bool:
        platform.status(spec.name)
        return control.endpoint(endpoint.id).workers.max == 1

    until(is_mended, ANYWHERE)
    assert becomes(platform, spec.name, SetState.READY).digest == spec.digest


def test_an_account_without_money_makes_nothing(account: Account, spec: SetSpec) -> None:
    account.runpod.faults.set("balance_usd", 0.01)

    with pytest.raises(Refused, match=r"0\.01 USD left"):
        account.platform().create(spec)

    assert account.endpoints() == []


def test_a_price_above_the_limit_makes_nothing(account: Account, spec: SetSpec) -> None:
    platform = account.platform(max_price_per_hour_usd=0.1)

    with pytest.raises(Refused, match=r"at most 0\.1 is allowed"):
        platform.create(spec)
    with pytest.raises(Refused):
        platform.price_per_hour_usd(spec)

    assert account.endpoints() == []


def test_another_file_under_the_same_name_is_refused(account: Account, spec: SetSpec) -> None:
    platform = account.platform()
    platform.create(spec)

    with pytest.raises(Refused, match="exists and serves"):
        platform.create(spec.model_copy(update={"digest": "f" * 64}))

    assert len(account.endpoints()) == 1


def test_an_endpoint_that_is_not_ours_is_left_alone(account: Account, spec: SetSpec) -> None:
    platform = account.platform()
    platform.create(spec)
    control = account.client().control
    (endpoint,) = control.list_endpoints()
    control.update_endpoint(endpoint.id, UpdateEndpoint(env={"SOMEBODY": "else"}))

    other = account.platform()
    assert other.status(spec.name).state is SetState.UNKNOWN
    with pytest.raises(Refused, match="left alone"):
        other.delete(spec.name)
    with pytest.raises(Refused):
        other.create(spec)
    assert other.list_owned() == []
    assert len(account.endpoints()) == 1


def test_a_delete_whose_answer_is_lost_is_done(account: Account, spec: SetSpec) -> None:
    platform = account.platform()
    platform.create(spec)
    account.runpod.faults.set("delete_reply_lost", count=1)

    platform.delete(spec.name)

    assert account.endpoints() == []
    assert platform.status(spec.name).state is SetState.ABSENT


def test_a_burst_of_errors_of_the_control_plane_is_survived(account: Account, spec: SetSpec) -> None:
    platform = account.platform()
    platform.create(spec)
    becomes(platform, spec.name, SetState.READY)
    account.runpod.faults.set("control_5xx", 503, count=1)

    assert platform.status(spec.name).is_ready


def test_organizations_do_not_see_each_other(
    account: Account, spec: SetSpec, make_spec: Callable[..., SetSpec]
) -> None:
    mine, theirs = account.platform(), account.platform(OTHER)
    mine.create(spec)

    assert theirs.list_owned() == []
    assert theirs.status(spec.name).state is SetState.ABSENT
    with pytest.raises(NotFound):
        theirs.create(spec)
    with pytest.raises(NotFound):
        mine.create(make_spec(org=OTHER))
    theirs.delete(spec.name)
    assert len(account.endpoints()) == 1


def test_a_credential_is_verified_at_runpod(account: Account) -> None:
    platform = account.platform()
    runpod = account.runpod

    platform.verify_credential("swaggystacks", runpod.key("swaggystacks"))
    with pytest.raises(Refused, match="not there"):
        platform.verify_credential("swaggystacks", None)
    with pytest.raises(Refused) as wrong:
        platform.verify_credential("swaggystacks", Secret("rpa_nobodysKey0000000000"))
    assert "rpa_nobodysKey" not in str(wrong.value)
    runpod.faults.set("balance_usd", 0.0)
    with pytest.raises(Refused, match="no money"):
        platform.verify_credential("swaggystacks", runpod.key("swaggystacks"))
    runpod.faults.set("graphql_gone")
    platform.verify_credential("swaggystacks", runpod.key("swaggystacks"))


def test_a_service_without_settings_is_told_what_it_lacks(account: Account, spec: SetSpec) -> None:
    elsewhere = spec.model_copy(
        update={"service": "other-chat", "name": spec.name.replace(SERVICE, "other-chat")}
    )

    with pytest.raises(InvalidInput, match="has no settings for RunPod"):
        account.platform().create(elsewhere)


def test_a_file_cut_short_never_becomes_ready(
    account: Account, make_spec: Callable[..., SetSpec], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 4096)
    spec = make_spec(broken)
    platform = account.platform()
    platform.create(spec)

    status = becomes(platform, spec.name, SetState.FAILED, SetState.READY)

    assert status.state is SetState.FAILED
    assert "failed to load model" in status.message or "engine" in status.message


def test_a_gateway_reaches_the_set_at_the_address_that_is_told(account: Account, spec: SetSpec) -> None:
    platform = account.platform()
    platform.create(spec)
    status = becomes(platform, spec.name, SetState.READY)

    url = f"http://{status.host}:{status.port}{status.path_prefix}/v1/models"
    key = account.runpod.key("swaggystacks").reveal()
    reply = httpx.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    assert reply.json()["data"][0]["id"] == spec.digest
    assert (status.tls, status.credential) == (False, "runpod-key-swaggystacks")


def test_what_was_forgotten_is_found_and_removed(account: Account, spec: SetSpec) -> None:
    platform = account.platform()
    platform.create(spec)

    assert platform.orphans({"swaggystacks": frozenset({spec.name})}) == []
    # Young ones may still be under way.
    assert platform.orphans({}) == []
    (endpoint,) = account.client().control.list_endpoints()
    later = datetime.now(UTC) + timedelta(hours=1)
    (orphan,) = find_orphans("swaggystacks", [endpoint], [], set(), later)
    platform.remove_orphan("swaggystacks", orphan)
    assert account.endpoints() == []


def test_a_call_to_a_set_that_cannot_answer_is_told(account: Account, spec: SetSpec) -> None:
    platform = account.platform()
    with pytest.raises(NotFound):
        platform.invoke(spec.name, "/v1/models", {}, 1)
    account.runpod.faults.set("image_pull_s", 600)
    platform.create(spec)

    with pytest.raises(Transient):
        platform.invoke(spec.name, "/v1/chat/completions", {"messages": []}, 0.5)


def test_what_was_billed_stays_below_what_was_promised(account: Account, spec: SetSpec) -> None:
    platform = account.platform()
    platform.create(spec)
    becomes(platform, spec.name, SetState.READY)

    # The bill names ids only: which set they are was told when it was made.
    [resource] = account.resources
    assert (resource.set_name, resource.kind) == (spec.name, "endpoint")
    bill = platform.charges("swaggystacks", resource.since, datetime.now(UTC))
    assert {charge.resource_id for charge in bill} >= {resource.id}
    cost = cost_of(resource, bill, since=resource.since, now=datetime.now(UTC))
    assert not cost.is_exceeded
    status = platform.status(spec.name)
    assert status.usd_per_hour is not None
    assert Decimal(str(status.usd_per_hour)) == resource.usd_per_hour, "one worker of at most one"
    assert platform.price_per_hour_usd(spec) >= 0.576


def test_a_sweep_removes_the_second_of_two_and_what_nobody_knows(account: Account, spec: SetSpec) -> None:
    platform = account.platform()
    platform.create(spec)
    later = RunPodPlatform(
        platform.organizations, account.connect, clock=lambda: datetime.now(UTC) + timedelta(hours=1)
    )

    assert later.sweep({"swaggystacks": frozenset({spec.name})}) == []
    assert [one.name for one in later.sweep({})] == [spec.name]
    assert account.endpoints() == []


def test_an_outage_of_the_control_plane_does_not_hide_a_set_that_proves_itself(
    account: Account, spec: SetSpec
) -> None:
    platform = account.platform()
    platform.create(spec)
    becomes(platform, spec.name, SetState.READY)
    account.runpod.faults.set("control_5xx", 503)

    assert platform.status(spec.name).is_ready

    account.runpod.faults.clear()
    account.runpod.faults.set("control_401")
    # A key that is no longer accepted is no outage. What was told a moment ago may be used once more.
    account.skew_s += 1
    with pytest.raises(Refused):
        platform.status(spec.name)
