"""`/v2/pods`: create, read, change, act."""

from aiohttp import web

from tidegate.platforms.runpod.emulator.bodies import CreatePod, PatchPod, PodAction, parse
from tidegate.platforms.runpod.emulator.context import Context, context_of, organization_of
from tidegate.platforms.runpod.emulator.emulator import VOLUME, Emulator
from tidegate.platforms.runpod.emulator.endpoint_config import (
    CONTAINER_FIELDS,
    check_cuda,
    check_data_center,
    check_ports,
    sent,
    with_template,
)
from tidegate.platforms.runpod.emulator.endpoints import check_registry
from tidegate.platforms.runpod.emulator.pages import choice, deleted, page, reply
from tidegate.platforms.runpod.emulator.pods import ACTIONS
from tidegate.platforms.runpod.emulator.problems import CAPACITY_DETAIL, HOST_DETAIL, Problem
from tidegate.platforms.runpod.emulator.state import Json, Pod, PodStatus, new_id

CUDA_VERSION = "12.8"

routes = web.RouteTableDef()


def pod_reply(context: Context, pod: Pod) -> Json:
    clock, config = context.emulator.clock, pod.config
    is_running = pod.status is PodStatus.RUNNING
    is_paid = pod.status not in (PodStatus.EXITED, PodStatus.TERMINATED, PodStatus.ERROR)
    told: Json = {
        "id": pod.id,
        "name": config["name"],
        "status": pod.status,
        "actions": list(ACTIONS[pod.status]),
        **{name: config[name] for name in CONTAINER_FIELDS},
        "mounts": config["mounts"],
        "cloud": config["cloud"],
        "dataCenterId": pod.data_center,
        "cudaVersion": CUDA_VERSION if "gpu" in config and pod.data_center else None,
        "ssh": {"proxy": None, "direct": None},
        "template": None,
        "cost": pod.price_per_hour if is_paid else 0.0,
        "locked": config["locked"],
        "globalNetworking": {"enabled": config["globalNetworking"]},
        "runtime": _runtime(context, pod) if is_running else None,
        "createdAt": clock.text(pod.created_at),
        "startedAt": None if pod.started_at is None else clock.text(pod.started_at),
    }
    if "gpu" in config:
        told["gpu"] = {"id": config["gpu"]["id"], "count": config["gpu"]["count"]}
    else:
        told["cpu"] = config["cpu"]
    return told


def _runtime(context: Context, pod: Pod) -> Json:
    now = context.emulator.clock.now()
    gpus = pod.config["gpu"]["count"] if "gpu" in pod.config else 0
    return {
        "uptime": max(0, int(now - (pod.started_at or now))),
        "gpus": [{"util": 0, "memoryUtil": 0}] * gpus,
        "cpu": {"util": 0},
        "memory": {"util": 0},
        "ports": context.pods.runtime_ports(pod),
    }


@routes.get("/v2/pods")
async def list_pods(request: web.Request) -> web.Response:
    context, organization = context_of(request), organization_of(request)
    emulator = context.emulator
    # There are no clusters here: the parameter is only checked.
    choice(request, "includeClusterPods", ("true", "false"))
    youngest = emulator.clock.now() - float(emulator.faults.read("list_lag_s", organization) or 0.0)
    pods = [
        pod
        for pod in emulator.pods.values()
        if pod.organization == organization and pod.created_at <= youngest
    ]
    pods.sort(key=lambda pod: -pod.created_at)
    return page(request, "pods", [pod_reply(context, pod) for pod in pods])


@routes.post("/v2/pods")
async def create_pod(request: web.Request) -> web.Response:
    context, organization = context_of(request), organization_of(request)
    emulator = context.emulator
    body = parse(CreatePod, await request.read())
    config = _new_config(emulator, organization, body)
    price = _price(emulator, config)
    if emulator.balance_usd(organization) < price:
        raise Problem(402, "your balance is too low to start this pod")
    is_refused = emulator.faults.read("capacity_400", *_scopes(emulator, config), organization)
    claim = None if is_refused else context.pods.find_place(config)
    if claim is None:
        raise Problem(400, CAPACITY_DETAIL)
    pod = Pod(new_id(), organization, config, emulator.clock.now(), data_center=claim.data_center)
    pod.price_per_hour = price
    emulator.save_pod(pod)
    context.pods.start(pod)
    return reply(pod_reply(context, pod), status=201)


def _scopes(emulator: Emulator, config: Json) -> list[str]:
    gpu = emulator.catalog.gpu(config["gpu"]["id"]) if "gpu" in config else None
    return [gpu.id, gpu.pool or "", config["cloud"]] if gpu else ["cpu"]


def _new_config(emulator: Emulator, organization: str, body: CreatePod) -> Json:
    data = sent(body)
    if ("gpu" in data) == ("cpu" in data):
        raise Problem(400, "exactly one of gpu and cpu is required")
    template = emulator.template_for(organization, data.get("templateId"), is_serverless=False)
    config: Json = {
        "name": body.name,
        **with_template(data, template),
        "cloud": body.cloud,
        "dataCenterIds": list(body.dataCenterIds),
        "mounts": data.get("mounts", (template or {}).get("mounts", {})),
        "globalNetworking": body.globalNetworking,
        "startSsh": data.get("startSsh", (template or {}).get("startSsh", False)),
        "startJupyter": data.get("startJupyter", (template or {}).get("startJupyter", False)),
        "locked": False,
        "templateId": data.get("templateId"),
    }
    if "gpu" in data:
        config["gpu"] = {**data["gpu"], "count": data["gpu"].get("count", 1)}
        check_cuda(config["gpu"])
    else:
        config["cpu"] = _cpu(emulator, data["cpu"])
    check_ports(config["ports"])
    for identifier in config["dataCenterIds"]:
        check_data_center(identifier, emulator.catalog)
    check_registry(emulator, organization, config["registry"])
    _check_mounts(emulator, organization, config)
    return config


def _cpu(emulator: Emulator, choice: Json) -> Json:
    cpu = emulator.catalog.cpu(choice["id"])
    if cpu is None:
        raise Problem(400, f"unknown cpu id '{choice['id'][:64]}'")
    if not cpu.min_vcpu <= choice["vcpuCount"] <= cpu.max_vcpu or choice["vcpuCount"] & (
        choice["vcpuCount"] - 1
    ):
        raise Problem(400, f"vcpuCount of {cpu.id} must be a power of two up to {cpu.max_vcpu}")
    return {**choice, "memory": max(1, int(choice["vcpuCount"] * cpu.ram_gb_per_vcpu))}


def _check_mounts(emulator: Emulator, organization: str, config: Json) -> None:
    mounts = config["mounts"]
    if "persistent" in mounts and mounts.get("network"):
        raise Problem(400, "mounts.persistent and mounts.network exclude each other")
    if "persistent" in mounts and "gpu" not in config:
        raise Problem(400, "mounts.persistent needs a GPU pod")
    for mount in mounts.get("network", []):
        volume = emulator.resources[VOLUME].get(mount["volumeId"])
        if volume is None or volume.organization != organization:
            raise Problem(400, f"network volume not found: {mount['volumeId'][:64]}")


def _price(emulator: Emulator, config: Json) -> float:
    """USD per hour.

    Raises:
        Problem: 400 for a type that the catalog lacks.
    """
    if "cpu" in config:
        cpu = emulator.catalog.cpu(config["cpu"]["id"])
        assert cpu is not None
        return cpu.secure_usd * config["cpu"]["vcpuCount"]
    gpu = emulator.catalog.gpu(config["gpu"]["id"])
    if gpu is None:
        raise Problem(400, f"unknown gpu id '{config['gpu']['id'][:64]}'")
    per_gpu = gpu.secure_usd if config["cloud"] == "SECURE" else gpu.community_usd
    return per_gpu * config["gpu"]["count"]


def _asked(request: web.Request) -> Pod:
    return context_of(request).emulator.pod_of(organization_of(request), request.match_info["id"])


@routes.get("/v2/pods/{id}")
async def get_pod(request: web.Request) -> web.Response:
    return reply(pod_reply(context_of(request), _asked(request)))


@routes.patch("/v2/pods/{id}")
async def patch_pod(request: web.Request) -> web.Response:
    """Configuration only: a running container keeps what it was started with."""
    context, pod = context_of(request), _asked(request)
    data = sent(parse(PatchPod, await request.read()))
    template = context.emulator.template_for(
        pod.organization, data.pop("templateId", None), is_serverless=False
    )
    config = dict(pod.config)
    if template is not None:
        config |= {name: template[name] for name in CONTAINER_FIELDS if name != "env"}
        config["env"] = {**config["env"], **template["env"]}
    if "mounts" in data:
        _check_mount_change(config["mounts"], data["mounts"])
    config |= data
    check_ports(config["ports"])
    check_registry(context.emulator, pod.organization, config["registry"])
    _check_mounts(context.emulator, pod.organization, config)
    pod.config = config
    context.emulator.save_pod(pod)
    return reply(pod_reply(context, pod))


def _check_mount_change(old: Json, new: Json) -> None:
    if new.keys() != old.keys() or new.get("network") == []:
        raise Problem(400, "the kind of a pod's mount cannot be changed")
    before = [mount["volumeId"] for mount in old.get("network", [])]
    if [mount["volumeId"] for mount in new.get("network", [])] != before:
        raise Problem(400, "the volume of a pod's mount cannot be changed")


@routes.delete("/v2/pods/{id}")
async def delete_pod(request: web.Request) -> web.Response:
    await context_of(request).pods.terminate(_asked(request))
    return deleted()


@routes.post("/v2/pods/{id}/action")
async def act(request: web.Request) -> web.Response:
    context, pod = context_of(request), _asked(request)
    action = parse(PodAction, await request.read()).action
    if action not in ACTIONS[pod.status]:
        raise Problem(409, f"action '{action}' is not valid for a pod that is {pod.status}")
    if pod.config["locked"] and action == "stop":
        raise Problem(409, "the pod is locked")
    if action == "terminate":
        await context.pods.terminate(pod)
        return deleted()
    if action == "stop":
        await context.pods.stop(pod)
    elif action == "restart":
        await context.pods.restart(pod)
    else:
        # A stopped pod stays bound to its machine, which may be gone or full by now.
        if pod.is_host_lost or context.pods.find_place(pod.config) is None:
            raise Problem(400, HOST_DETAIL)
        context.pods.start(pod)
    return reply(pod_reply(context, pod))
