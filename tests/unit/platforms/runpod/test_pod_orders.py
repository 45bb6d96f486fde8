"""What is asked of RunPod for a set that is a pod, and where it is reached. Pure, or against canned answers."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from tests.unit.platforms.runpod.conftest import KEY, FakeRunPod
from tests.unit.platforms.runpod.test_orders import config, need
from tidegate.domain import EngineKeys, InvalidInput, Refused, Secret, ServiceRef, SetSpec, set_name
from tidegate.platforms.runpod import Allowance, Cloud, RunPodClient
from tidegate.platforms.runpod.costs import pod_price_ceiling
from tidegate.platforms.runpod.errors import NoWorker, Unauthorized
from tidegate.platforms.runpod.marks import ENGINE_KEY, Marks
from tidegate.platforms.runpod.orders import pod_marks, pod_order, same_pod_elsewhere
from tidegate.platforms.runpod.placement import Need, PodRung
from tidegate.platforms.runpod.pod_proxy import PodProxy, proxy_template
from tidegate.platforms.runpod.replies import GpuType, Pod
from tidegate.platforms.runpod.sweeping import find_orphans

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
REF, DIGEST = ServiceRef("acme", "chat"), "a" * 64
NAME = set_name(REF, DIGEST, "r")
SPEC = SetSpec(name=NAME, org=REF.org, service=REF.service, release_id="r", digest=DIGEST, artifact_path="/x")
RUNG = PodRung("NVIDIA L4", Cloud.SECURE, ("EU-RO-1",), Decimal("0.39"))
KEYS = EngineKeys.parse(Secret("k3 " + "r" * 40))
ENGINE = KEYS.key_of(NAME, "k3") or Secret("")
TEMPLATE = "http://127.0.0.1:9/pod/{pod_id}/{port}"


def order_body(**changes: Any) -> dict[str, Any]:
    marks = pod_marks(SPEC, Need(8 * 1024**3), "k3", NOW)
    return pod_order(SPEC, config(kind="pod", **changes), RUNG, marks, ENGINE).body()


def pod(**fields: Any) -> Pod:
    return Pod.model_validate({"id": "p1", "name": NAME, "createdAt": NOW.isoformat(), **fields})


def test_the_order_names_one_machine_and_carries_the_key_in_the_environment_alone() -> None:
    marks = pod_marks(SPEC, Need(8 * 1024**3), "k3", NOW)
    order = pod_order(SPEC, config(kind="pod"), RUNG, marks, ENGINE)
    body = order.body()

    assert ENGINE.reveal() not in repr(order)
    assert str(body).count(ENGINE.reveal()) == 1
    assert body["env"][ENGINE_KEY] == ENGINE.reveal()
    assert body["env"]["TIDEGATE_WORKER_MODE"] == "POD"
    assert (body["name"], body["cloud"], body["gpu"]) == (NAME, "SECURE", {"id": "NVIDIA L4", "count": 1})
    assert (body["ports"], body["dataCenterIds"]) == (["8000/http", "8001/http"], ["EU-RO-1"])
    assert Marks.read(body["env"]) == marks


def test_a_network_volume_appears_where_serverless_workers_have_it() -> None:
    body = order_body(network_volume="v1", data_centers=["EU-RO-1"])

    assert body["mounts"] == {"network": [{"volumeId": "v1", "path": "/runpod-volume"}]}


def test_a_pod_that_moves_keeps_image_environment_and_key() -> None:
    body = order_body()
    old = pod(image="worker:old", env=body["env"], disk=33)
    marks = Marks.read(old.env)
    assert marks is not None
    elsewhere = PodRung("NVIDIA A40", Cloud.SECURE, (), Decimal("0.40"))

    again = same_pod_elsewhere(old, config(kind="pod"), elsewhere, marks).body()

    assert (again["image"], again["disk"], again["gpu"]) == (
        "worker:old",
        33,
        {"id": "NVIDIA A40", "count": 1},
    )
    changed = {"TIDEGATE_PRICE_PER_HOUR_USD": "0.40"}
    assert again["env"] == body["env"] | changed


def test_what_means_nothing_to_a_pod_is_refused_by_name() -> None:
    for field in ("max_workers", "idle_timeout_s", "request_timeout_s", "pools"):
        value = ["A"] if field == "pools" else 5
        with pytest.raises(ValidationError, match=f"{field} mean nothing for kind pod"):
            config(kind="pod", **{field: value})
    with pytest.raises(ValidationError, match="clouds mean nothing for kind load_balancer"):
        config(clouds=["secure"])


def test_clouds_are_those_of_both_and_a_volume_needs_runpods_own() -> None:
    both = Allowance(clouds=(Cloud.SECURE, Cloud.COMMUNITY))

    assert need(config(kind="pod"), Allowance()).limits.clouds == (Cloud.SECURE,)
    assert need(config(kind="pod"), both).limits.clouds == (Cloud.SECURE, Cloud.COMMUNITY)
    assert need(config(kind="pod", clouds=["community"]), both).limits.clouds == (Cloud.COMMUNITY,)
    on_volume = config(kind="pod", network_volume="v", data_centers=["EU-RO-1"])
    assert need(on_volume, both).limits.clouds == (Cloud.SECURE,)
    with pytest.raises(Refused, match="secure machines; the service may use community"):
        need(config(kind="pod", clouds=["community"]), Allowance())


def test_the_price_of_a_pod_is_that_of_the_dearest_machine_it_may_get() -> None:
    gpu = GpuType.model_validate(
        {
            "id": "g",
            "memory": 24,
            "secure": True,
            "community": True,
            "price": {"secure": 0.5, "community": 0.3},
        }
    )
    catalog = {Cloud.SECURE: [gpu], Cloud.COMMUNITY: [gpu]}
    wanted = need(config(kind="pod", gpus_per_worker=2), Allowance(clouds=(Cloud.COMMUNITY,)))

    assert pod_price_ceiling(wanted, catalog) == Decimal("0.6")
    cheap = need(config(kind="pod", max_price_per_hour_usd="0.1"), Allowance())
    with pytest.raises(Refused, match=r"at 0\.1 USD"):
        pod_price_ceiling(cheap, catalog)


def test_the_sweeper_keeps_the_pod_that_runs_and_removes_what_a_lost_machine_left() -> None:
    lost = pod(id="p1", status="ERROR")
    moved = pod(id="p2", status="RUNNING", createdAt=(NOW + timedelta(hours=1)).isoformat())
    stray = pod(id="p3", name=set_name(REF, DIGEST, "other"), status="RUNNING")
    later = NOW + timedelta(hours=2)

    found = find_orphans(REF.org, [], [lost, moved, stray], {NAME}, later)

    assert {(one.kind, one.id) for one in found} == {("pod", "p1"), ("pod", "p3")}


def test_where_pods_are_follows_from_the_data_plane() -> None:
    real = PodProxy(proxy_template("https://api.runpod.ai"))
    emulated = PodProxy(proxy_template("http://127.0.0.1:9002"))

    address = real.address("abc", 8000)
    assert (address.host, address.port, address.tls, address.path_prefix) == (
        "abc-8000.proxy.runpod.net",
        443,
        True,
        "",
    )
    address = emulated.address("abc", 8000)
    assert (address.host, address.port, address.tls, address.path_prefix) == (
        "127.0.0.1",
        9002,
        False,
        "/pod/abc/8000",
    )


@pytest.mark.parametrize("template", ["http://example.com/{pod_id}/{port}", "https://example.com/{pod_id}"])
def test_a_key_is_sent_to_no_address_in_clear_and_to_no_half_one(template: str) -> None:
    with pytest.raises(InvalidInput):
        PodProxy(template)


def proxy(server: FakeRunPod) -> PodProxy:
    return PodProxy(TEMPLATE, http=httpx.MockTransport(server))


def test_a_pod_is_shown_its_own_key_and_never_the_accounts(client: RunPodClient, server: FakeRunPod) -> None:
    server.will(httpx.Response(200, json={"data": []}))

    client.pods.ask("p1", 8000, "/v1/models", Secret("engine-key-of-this-set"))

    [request] = server.requests
    assert request.headers["authorization"] == "Bearer engine-key-of-this-set"
    assert KEY not in str(request.headers)


@pytest.mark.parametrize("status", [404, 502, 524])
def test_nobody_behind_the_proxy_is_a_passing_trouble(server: FakeRunPod, status: int) -> None:
    server.will(httpx.Response(status, text="<html>"))

    with pytest.raises(NoWorker, match=str(status)):
        proxy(server).ask("p1", 8000, "/v1/models", ENGINE)


def test_another_key_is_told_without_the_key(server: FakeRunPod) -> None:
    server.will(httpx.Response(401, json={"error": {"message": f"no {ENGINE.reveal()}"}}))

    with pytest.raises(Unauthorized) as refused:
        proxy(server).ask("p1", 8000, "/v1/models", ENGINE)

    assert ENGINE.reveal() not in str(refused.value)
    assert "engine keys" in refused.value.remedy
