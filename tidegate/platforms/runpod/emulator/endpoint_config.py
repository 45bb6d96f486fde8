"""Create and PATCH of endpoints as pure functions over their configuration: copy, merge, diff."""

from collections.abc import Mapping
from typing import Any

from tidegate.platforms.runpod.emulator.bodies import CreateEndpoint, PatchEndpoint
from tidegate.platforms.runpod.emulator.catalog import Catalog
from tidegate.platforms.runpod.emulator.problems import Problem
from tidegate.platforms.runpod.emulator.state import Json

CONTAINER_DEFAULTS: Json = {"image": "", "args": "", "disk": 20, "ports": [], "env": {}, "registry": None}
CONTAINER_FIELDS = tuple(CONTAINER_DEFAULTS)
DEFAULT_IDLE_TIMEOUT_S = 10

# A changed value of one of these makes a new release; workers switch to it as they cycle.
RELEASE_FIELDS: Mapping[str, str] = {
    "image": "template.imageName",
    "args": "template.dockerArgs",
    "disk": "template.containerDiskInGb",
    "ports": "template.ports",
    "env": "template.env",
    "registry": "template.containerRegistryAuthId",
    "gpu": "gpuIds",
    "cpu": "instanceIds",
    "dataCenterIds": "locations",
    "networkVolumes": "networkVolumeIds",
    "flashboot": "flashBootType",
}


def sent(body: Any) -> Json:
    """What the caller has sent, as plain data; unset fields are absent."""
    return body.model_dump(mode="json", exclude_unset=True)


def created(body: CreateEndpoint, template: Json | None, catalog: Catalog) -> Json:
    """The configuration of a new endpoint.

    Raises:
        Problem: where the vendor's rules refuse it.
    """
    data = sent(body)
    if ("gpu" in data) == ("cpu" in data):
        raise Problem(400, "exactly one of gpu and cpu is required")
    config: Json = {
        "name": body.name,
        "type": body.type,
        **with_template(data, template),
        "workers": {
            "min": body.workers.min,
            "max": body.workers.max,
            "idleTimeout": body.workers.idleTimeout,
        },
        "scaling": body.scaling.model_dump(mode="json"),
        "dataCenterIds": list(body.dataCenterIds),
        "networkVolumes": list(body.networkVolumes),
        "timeout": body.timeout,
        "flashboot": body.flashboot,
    }
    if "gpu" in data:
        config["gpu"] = _new_gpu(data["gpu"], template)
    else:
        config["cpu"] = [_with_memory(choice, catalog) for choice in data["cpu"]]
    if "idleTimeout" in data.get("workers", {}):
        refuse_idle_timeout(config)
    checked(config, catalog)
    return config


def with_template(data: Json, template: Json | None) -> Json:
    """Container fields: the template's copied once, the body's win, `env` merged by key."""
    source = template or {}
    fields: Json = {}
    for name, default in CONTAINER_DEFAULTS.items():
        fields[name] = data.get(name, source.get(name, default))
    fields["env"] = {**source.get("env", {}), **data.get("env", {})}
    return fields


def _new_gpu(gpu: Json, template: Json | None) -> Json:
    made: Json = {"pools": gpu["pools"], "count": gpu.get("count", 1)}
    if gpu.get("excludedTypes"):
        made["excludedTypes"] = gpu["excludedTypes"]
    seeded = (template or {}).get("allowedCudaVersions", [])
    has_cuda = {"allowedCudaVersions", "minCudaVersion"} & gpu.keys()
    made["allowedCudaVersions"] = gpu.get("allowedCudaVersions", [] if has_cuda else seeded)
    made["minCudaVersion"] = gpu.get("minCudaVersion") or None
    return made


def _with_memory(choice: Json, catalog: Catalog) -> Json:
    cpu = catalog.cpu(choice["id"])
    if cpu is None:
        raise Problem(400, f"unknown cpu id '{choice['id'][:64]}'")
    count = choice["vcpuCount"]
    if count & (count - 1):
        raise Problem(400, "vcpuCount must be a power of two")
    if not cpu.min_vcpu <= count <= cpu.max_vcpu:
        raise Problem(400, f"vcpuCount of {cpu.id} must be between {cpu.min_vcpu} and {cpu.max_vcpu}")
    return {**choice, "memory": max(1, int(count * cpu.ram_gb_per_vcpu))}


def patched(config: Json, body: PatchEndpoint, template: Json | None, catalog: Catalog) -> Json:
    """The configuration after a PATCH; fields that were not sent stay as they are.

    Raises:
        Problem: where the vendor's rules refuse it.
    """
    data = sent(body)
    made = dict(config)
    if template is not None:
        made.update({name: template[name] for name in CONTAINER_FIELDS if name in template and name != "env"})
        made["env"] = {**config["env"], **template.get("env", {})}
    for name in (
        *CONTAINER_FIELDS,
        "name",
        "scaling",
        "dataCenterIds",
        "networkVolumes",
        "timeout",
        "flashboot",
    ):
        if name in data:
            made[name] = data[name]
    if "workers" in data:
        made["workers"] = {**config["workers"], **data["workers"]}
    if "gpu" in data:
        made["gpu"] = _patched_gpu(config, data["gpu"])
    if "cpu" in data:
        if "cpu" not in config:
            raise Problem(400, "the compute family of an endpoint cannot be changed")
        made["cpu"] = [_with_memory(choice, catalog) for choice in data["cpu"]]
    if "idleTimeout" in data.get("workers", {}):
        refuse_idle_timeout(made)
    if made["type"] == "LOAD_BALANCER" and made["scaling"]["type"] != "REQUEST_COUNT":
        raise Problem(
            422, "request body does not match the schema", errors=["$.scaling: must be REQUEST_COUNT"]
        )
    checked(made, catalog)
    return made


def _patched_gpu(config: Json, change: Json) -> Json:
    """`pools` alone replaces the selection and clears exclusions; `[]` and `""` clear CUDA limits."""
    if "gpu" not in config:
        raise Problem(400, "the compute family of an endpoint cannot be changed")
    made = dict(config["gpu"])
    if "pools" in change:
        made["pools"] = change["pools"]
        made.pop("excludedTypes", None)
        if change.get("excludedTypes"):
            made["excludedTypes"] = change["excludedTypes"]
    for name in ("count", "allowedCudaVersions"):
        if name in change:
            made[name] = change[name]
    if "minCudaVersion" in change:
        made["minCudaVersion"] = change["minCudaVersion"] or None
    return made


def has_idle_timeout(config: Json) -> bool:
    """The combination QUEUE with REQUEST_COUNT knows no idle timeout."""
    return not (config["type"] == "QUEUE" and config["scaling"]["type"] == "REQUEST_COUNT")


def refuse_idle_timeout(config: Json) -> None:
    if not has_idle_timeout(config):
        raise Problem(
            422,
            "request body does not match the schema",
            errors=["$.workers.idleTimeout: not allowed for QUEUE endpoints that scale by REQUEST_COUNT"],
        )


def checked(config: Json, catalog: Catalog) -> None:
    """Rules over the whole configuration.

    Raises:
        Problem: 400 for the first one that is broken.
    """
    if config["workers"]["min"] > config["workers"]["max"]:
        raise Problem(400, "workers.min must not exceed workers.max")
    check_ports(config["ports"])
    for identifier in config["dataCenterIds"]:
        check_data_center(identifier, catalog)
    if "gpu" in config:
        check_cuda(config["gpu"])
        known = {gpu.pool for gpu in catalog.gpus}
        unknown = [pool for pool in config["gpu"]["pools"] if pool not in known]
        if unknown:
            raise Problem(400, f"unknown gpu pool '{unknown[0][:64]}'")
        if not catalog.pool_members(config["gpu"]["pools"], config["gpu"].get("excludedTypes", [])):
            raise Problem(400, "excludedTypes leaves no gpu type")


def check_cuda(gpu: Mapping[str, Any]) -> None:
    if gpu.get("allowedCudaVersions") and gpu.get("minCudaVersion"):
        raise Problem(400, "allowedCudaVersions and minCudaVersion exclude each other")


def check_data_center(identifier: str, catalog: Catalog) -> None:
    if catalog.data_center(identifier) is None:
        known = ", ".join(one.id for one in catalog.data_centers)
        raise Problem(400, f"unknown data center '{identifier[:64]}'; valid: {known}")


def check_ports(ports: list[str]) -> None:
    for text in ports:
        number, _, protocol = text.partition("/")
        is_port = number.isascii() and number.isdigit() and len(number) <= 5 and 0 < int(number) < 65536
        if not is_port or protocol not in ("http", "tcp"):
            raise Problem(400, f"port '{text[:64]}' is not <port>/http or <port>/tcp")


def release_diff(old: Json, new: Json) -> list[Json]:
    """The changes that make a release; empty when workers need not be replaced."""
    entries: list[Json] = []
    for name, field in RELEASE_FIELDS.items():
        before, now = old.get(name), new.get(name)
        if before == now:
            continue
        if name == "gpu" and before and now:
            entries.extend(_gpu_diff(before, now))
        else:
            entries.append({"field": field, "old": before, "new": now})
    return entries


def _gpu_diff(before: Json, now: Json) -> list[Json]:
    names = {"count": "gpuCount", "pools": "gpuIds", "excludedTypes": "excludedGpuIds"}
    keys = sorted(before.keys() | now.keys())
    return [
        {"field": names.get(key, key), "old": before.get(key), "new": now.get(key)}
        for key in keys
        if before.get(key) != now.get(key)
    ]
