"""No request of ours may be one that RunPod's own document would reject; the fake server checks each."""

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from tests.contracts.runpod import Breach, contract
from tests.unit.platforms.runpod.conftest import FakeRunPod, endpoint_json
from tidegate.domain import InvalidInput, Secret, TidegateError
from tidegate.platforms.runpod import RunPodClient
from tidegate.platforms.runpod.billing import Billing, BillingRoute, Span
from tidegate.platforms.runpod.catalog import Catalog
from tidegate.platforms.runpod.control import ControlPlane
from tidegate.platforms.runpod.resources import (
    CreateRegistry,
    CreateTemplate,
    CreateVolume,
    TemplateMounts,
    UpdateTemplate,
    UpdateVolume,
    VolumeType,
)
from tidegate.platforms.runpod.wire import (
    Cloud,
    Cpu,
    CreateEndpoint,
    CreatePod,
    EndpointGpu,
    EndpointGpuChange,
    EndpointKind,
    Flashboot,
    Mounts,
    NetworkMount,
    PersistentMount,
    PodAction,
    PodGpu,
    Product,
    QueueDelay,
    RequestCount,
    UpdateEndpoint,
    UpdatePod,
    Workers,
    WorkersChange,
    secret_placeholder,
)

MOMENT = datetime(2026, 11, 26, tzinfo=UTC)
LB = CreateEndpoint(
    name="a",
    type=EndpointKind.LOAD_BALANCER,
    image="worker:1",
    args="",
    disk=20,
    env={"A": "b", "TOKEN": secret_placeholder("token")},
    ports=("8000/http", "8001/http"),
    registry=None,
    scaling=RequestCount(request_count=4),
    workers=Workers(min=0, max=2, idle_timeout=60),
    timeout=300_000,
    flashboot=Flashboot.ON,
    gpu=EndpointGpu(pools=("ADA_24", "AMPERE_24"), excluded_types=("NVIDIA L4",), min_cuda_version="12.4"),
    data_center_ids=("EU-RO-1",),
    network_volumes=("vol",),
)
QUEUE = CreateEndpoint(
    name="a",
    type=EndpointKind.QUEUE,
    template_id="tpl",
    ports=(),
    scaling=QueueDelay(),
    workers=Workers(min=0, max=0),
    timeout=1,
    cpu=(Cpu(id="cpu5c", vcpu_count=4),),
)
POD = CreatePod(
    name="a",
    image="worker:1",
    ports=("8000/http", "22/tcp"),
    cloud=Cloud.COMMUNITY,
    gpu=PodGpu(id="NVIDIA L4", allowed_cuda_versions=("12.4",)),
    mounts=Mounts(network=(NetworkMount(volume_id="v", path="/workspace"),)),
    global_networking=False,
)
CPU_POD = CreatePod(name="a", image="i", ports=(), cpu=Cpu(id="cpu3g", vcpu_count=2), data_center_ids=())

Ask = Callable[[RunPodClient], object]
CONTROL: dict[str, list[Ask]] = {
    "list_endpoints": [lambda c: c.control.list_endpoints()],
    "endpoint": [lambda c: c.control.endpoint("e/../1 ?x")],
    "create_endpoint": [lambda c: c.control.create_endpoint(LB), lambda c: c.control.create_endpoint(QUEUE)],
    "update_endpoint": [
        lambda c: c.control.update_endpoint(
            "e", UpdateEndpoint(workers=WorkersChange(min=0, max=0)), is_repeatable=True
        ),
        lambda c: c.control.update_endpoint(
            "e",
            UpdateEndpoint(
                name="b",
                env={},
                registry=None,
                data_center_ids=(),
                scaling=QueueDelay(queue_delay=0.5),
                gpu=EndpointGpuChange(pools=("ADA_24",), excluded_types=(), count=2, min_cuda_version=""),
                flashboot=Flashboot.PRIORITY,
                network_volumes=(),
                timeout=5,
                ports=(),
            ),
        ),
        lambda c: c.control.update_endpoint("e", UpdateEndpoint(cpu=(Cpu(id="x", vcpu_count=2),))),
        lambda c: c.control.update_endpoint("e", UpdateEndpoint(template_id="t")),
    ],
    "delete_endpoint": [lambda c: c.control.delete_endpoint("e")],
    "workers": [lambda c: c.control.workers("e")],
    "releases": [lambda c: c.control.releases("e")],
    "worker_log": [lambda c: list(c.control.worker_log("e", "w", source="system", tail=9999, since=MOMENT))],
    "list_pods": [lambda c: c.control.list_pods()],
    "pod": [lambda c: c.control.pod("p")],
    "create_pod": [lambda c: c.control.create_pod(POD), lambda c: c.control.create_pod(CPU_POD)],
    "update_pod": [
        lambda c: c.control.update_pod("p", UpdatePod(locked=True, name="x", ports=())),
        lambda c: c.control.update_pod(
            "p", UpdatePod(mounts=Mounts(persistent=PersistentMount(size=10, path="/w")))
        ),
    ],
    "act_on_pod": [lambda c, a=action: c.control.act_on_pod("p", a) for action in PodAction],
    "delete_pod": [lambda c: c.control.delete_pod("p")],
    "pod_log": [
        lambda c: list(c.control.pod_log("p", source="container", tail=0)),
        # August calls this header a timestamp.
        lambda c: list(c.control.pod_log("p", after="2026-11-26T00:00:00Z")),
    ],
    "list_templates": [lambda c: c.control.list_templates()],
    "template": [lambda c: c.control.template("t")],
    "create_template": [
        lambda c: c.control.create_template(
            CreateTemplate(
                name="t",
                image="i",
                category="NVIDIA",
                allowed_cuda_versions=("12.4",),
                mounts=TemplateMounts(persistent=PersistentMount(size=20, path="/w")),
            )
        )
    ],
    "update_template": [lambda c: c.control.update_template("t", UpdateTemplate(image="j", start_ssh=True))],
    "delete_template": [lambda c: c.control.delete_template("t")],
    "list_volumes": [lambda c: c.control.list_volumes()],
    "volume": [lambda c: c.control.volume("v")],
    "create_volume": [
        lambda c: c.control.create_volume(
            CreateVolume(name="v", size=10, data_center="EU-RO-1", type=VolumeType.STANDARD)
        )
    ],
    "update_volume": [lambda c: c.control.update_volume("v", UpdateVolume(size=20))],
    "delete_volume": [lambda c: c.control.delete_volume("v")],
    "list_registries": [lambda c: c.control.list_registries()],
    "create_registry": [
        lambda c: c.control.create_registry(CreateRegistry(name="r", username="u", password=Secret("p")))
    ],
    "delete_registry": [lambda c: c.control.delete_registry("r")],
}
CATALOG: dict[str, list[Ask]] = {
    "gpus": [
        lambda c: c.control.catalog.gpus(),
        lambda c: c.control.catalog.gpus(Product.POD, count=2, cloud=Cloud.COMMUNITY, min_cuda_version="12"),
    ],
    "gpu": [
        lambda c: c.control.catalog.gpu("NVIDIA GeForce RTX 4090"),
        lambda c: c.control.catalog.gpu("NVIDIA L4", Product.SERVERLESS, count=4),
    ],
    "cpus": [
        lambda c: c.control.catalog.cpus(),
        lambda c: c.control.catalog.cpus(Product.SERVERLESS, vcpu_count=4),
    ],
    "cpu": [lambda c: c.control.catalog.cpu("cpu5c")],
    "data_centers": [
        lambda c: c.control.catalog.data_centers(),
        lambda c: c.control.catalog.data_centers(with_gpus=True, with_cpus=True),
    ],
    "data_center": [lambda c: c.control.catalog.data_center("EU-RO-1", with_gpus=True)],
}
BILLING: dict[str, list[Ask]] = {
    "records": [
        *(lambda c, r=route: c.control.billing.records(r, Span(last=3)) for route in BillingRoute),
        lambda c: c.control.billing.records(
            BillingRoute.SERVERLESS, Span(start=MOMENT, end=MOMENT, bucket="hour"), resource_id="e"
        ),
        lambda c: c.control.billing.records(BillingRoute.PODS, resource_id="p"),
        lambda c: c.control.billing.records(BillingRoute.VOLUMES, resource_id="v"),
    ]
}
# Parts of the document that Tidegate has no use for.
NOT_USED = {"clusters", "ssh-keys", "delegations", "catalog/templates", "billing/clusters"}
# RunPod has no route to change a registry, and we never read a single one.
NOT_ASKED = {"GET /v2/registries/{id}"}


def answer_anything(request: httpx.Request) -> httpx.Response:
    """A success without content: what is sent matters here, not what comes back."""
    if request.url.path.endswith("/logs"):
        return httpx.Response(200, text="", headers={"content-type": "text/event-stream"})
    return (
        httpx.Response(204)
        if request.method == "DELETE"
        else httpx.Response(200, json={"id": "x", "name": "a"})
    )


def send_all(client: RunPodClient, asks: list[Ask]) -> None:
    """An answer without content is an error to the client; a breach of the document is one to the test."""
    for ask in asks:
        with contextlib.suppress(TidegateError):
            ask(client)


def public_methods(kind: type[object]) -> set[str]:
    return {name for name, value in vars(kind).items() if not name.startswith("_") and callable(value)}


@pytest.mark.parametrize(
    ("kind", "table"),
    [(ControlPlane, CONTROL), (Catalog, CATALOG), (Billing, BILLING)],
    ids=["control plane", "catalog", "billing"],
)
def test_every_request_that_can_be_sent_is_one_that_runpod_documents(
    client: RunPodClient, server: FakeRunPod, kind: type[object], table: dict[str, list[Ask]]
) -> None:
    server.otherwise = answer_anything

    for asks in table.values():
        send_all(client, asks)

    assert set(table) == public_methods(kind), "a method is sent nowhere in this test"


def test_the_operations_that_are_used_are_known(client: RunPodClient, server: FakeRunPod) -> None:
    server.otherwise = answer_anything
    for table in (CONTROL, CATALOG, BILLING):
        for asks in table.values():
            send_all(client, asks)

    used = {contract().operation(request) for request in server.requests}

    unused = contract().operations() - used - NOT_ASKED
    assert all(any(part in one for part in NOT_USED) for one in unused), sorted(unused)


def test_an_id_with_slashes_stays_one_part_of_the_path(client: RunPodClient, server: FakeRunPod) -> None:
    server.will(httpx.Response(200, json=endpoint_json()))

    client.control.endpoint("../pods/x?y#z")

    assert server.requests[0].url.raw_path == b"/v2/serverless/..%2Fpods%2Fx%3Fy%23z"


def test_what_runpods_defaults_leave_in_doubt_is_always_sent(
    client: RunPodClient, server: FakeRunPod
) -> None:
    server.otherwise = answer_anything
    plain = CreateEndpoint(
        name="a",
        type=EndpointKind.LOAD_BALANCER,
        image="i",
        scaling=RequestCount(),
        workers=Workers(min=0, max=1),
        timeout=1000,
        ports=(),
        gpu=EndpointGpu(pools=("ADA_24",)),
    )

    client.control.create_endpoint(plain)
    client.control.create_pod(CreatePod(name="a", image="i", ports=(), gpu=PodGpu(id="NVIDIA L4")))

    endpoint, pod = (json.loads(request.content) for request in server.requests)
    assert endpoint["gpu"]["count"] == pod["gpu"]["count"] == 1
    assert (endpoint["timeout"], endpoint["flashboot"], endpoint["ports"]) == (1000, "OFF", [])
    assert (pod["ports"], pod["cloud"]) == ([], "SECURE")


def test_unset_null_and_empty_are_three_different_things() -> None:
    assert UpdateEndpoint().body() == {}
    assert UpdateEndpoint(registry=None, env={}, network_volumes=()).body() == {
        "registry": None,
        "env": {},
        "networkVolumes": [],
    }
    assert EndpointGpuChange(allowed_cuda_versions=(), min_cuda_version="").body() == {
        "allowedCudaVersions": [],
        "minCudaVersion": "",
    }


GPU = EndpointGpu(pools=("ADA_24",))
BASE: dict[str, Any] = {
    "name": "a",
    "type": EndpointKind.LOAD_BALANCER,
    "image": "i",
    "scaling": RequestCount(),
    "workers": Workers(min=0, max=1),
    "timeout": 1,
    "ports": (),
    "gpu": GPU,
}


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"bogus": 1}, "Extra inputs"),
        ({"name": ""}, "at least 1 character"),
        ({"scaling": QueueDelay()}, "REQUEST_COUNT only"),
        ({"cpu": (Cpu(id="c", vcpu_count=2),)}, "exactly one"),
        ({"ports": ("8000",)}, "pattern"),
        ({"timeout": "1"}, "valid integer"),
        (
            {
                "type": EndpointKind.QUEUE,
                "workers": Workers(min=0, max=1, idle_timeout=5),
            },
            "idle_timeout is refused",
        ),
        ({"args": "x", "cmd": ("y",)}, "not both"),
    ],
)
def test_what_runpod_would_refuse_is_refused_before_it_is_sent(wrong: dict[str, Any], why: str) -> None:
    CreateEndpoint(**BASE)

    with pytest.raises(ValidationError) as refused:
        CreateEndpoint(**{**BASE, **wrong})

    assert why in str(refused.value)


def test_a_set_of_cuda_versions_and_a_floor_exclude_each_other() -> None:
    EndpointGpu(pools=("A",), allowed_cuda_versions=(), min_cuda_version="12.1")
    with pytest.raises(ValidationError, match="exclude"):
        EndpointGpu(pools=("A",), allowed_cuda_versions=("12.4",), min_cuda_version="12.1")
    with pytest.raises(ValidationError, match="power of two"):
        Cpu(id="c", vcpu_count=6)
    with pytest.raises(InvalidInput):
        Span(last=1, start=MOMENT).query()


def test_entrypoint_and_cmd_are_newer_than_the_document(client: RunPodClient) -> None:
    """RunPod takes both since September 2026; the document is of August, so it refuses them."""
    newer = CreateEndpoint(**{**BASE, "entrypoint": ("/bin/sh",), "cmd": ("-c", "x")})

    with pytest.raises(Breach, match="cmd"):
        client.control.create_endpoint(newer)


def test_credentials_in_requests_are_not_shown() -> None:
    ask = CreateEndpoint(**{**BASE, "env": {"AWS_SECRET_ACCESS_KEY": "hush"}})
    registry = CreateRegistry(name="r", username="u", password=Secret("hush"))

    assert "hush" not in repr(ask) + repr(registry)
    assert registry.body()["password"] == "hush"
