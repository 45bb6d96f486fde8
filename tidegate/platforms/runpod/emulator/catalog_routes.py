"""`/v2/catalog`: what can be rented, where, and how much of it is free."""

import re

from aiohttp import web

from tidegate.platforms.runpod.emulator.catalog import CUDA_VERSIONS, Cpu, DataCenter, Gpu, level
from tidegate.platforms.runpod.emulator.context import context_of
from tidegate.platforms.runpod.emulator.emulator import Emulator
from tidegate.platforms.runpod.emulator.pages import choice, choices, matching, reply, whole_number
from tidegate.platforms.runpod.emulator.problems import Problem, not_found
from tidegate.platforms.runpod.emulator.state import Json

PRODUCTS = ("POD", "CLUSTER", "SERVERLESS")
MANY = 2**31
COUNTRY = re.compile(r"[A-Z]{2}")
CUDA = re.compile(r"[0-9]+\.[0-9]+")
CUDA_FLOOR = re.compile(r"[0-9]+(\.[0-9]+)?")
REGIONS = (
    "NORTH_AMERICA",
    "SOUTH_AMERICA",
    "EUROPE",
    "ASIA",
    "MIDDLE_EAST",
    "AFRICA",
    "OCEANIA",
    "ANTARCTICA",
    "UNKNOWN",
)

routes = web.RouteTableDef()


@routes.get("/v2/catalog/gpus")
async def list_gpus(request: web.Request) -> web.Response:
    emulator = context_of(request).emulator
    return reply({"gpus": [_gpu_reply(request, emulator, gpu) for gpu in emulator.catalog.gpus]})


@routes.get("/v2/catalog/gpus/{id}")
async def get_gpu(request: web.Request) -> web.Response:
    emulator = context_of(request).emulator
    gpu = emulator.catalog.gpu(request.match_info["id"])
    if gpu is None:
        raise not_found("gpu", request.match_info["id"])
    return reply(_gpu_reply(request, emulator, gpu))


def _gpu_reply(request: web.Request, emulator: Emulator, gpu: Gpu) -> Json:
    told: Json = {
        "id": gpu.id,
        "name": gpu.name,
        "pool": gpu.pool,
        "manufacturer": gpu.manufacturer,
        "memory": gpu.memory_gb,
        "secure": gpu.secure_usd > 0,
        "community": gpu.community_usd > 0,
        "price": {"secure": gpu.secure_usd, "community": gpu.community_usd, "serverless": gpu.serverless_usd},
        "maxCount": {"secure": gpu.max_count, "community": gpu.max_count},
    }
    count = whole_number(request, "count", 1, 1, MANY)
    cloud = choice(request, "cloud", ("SECURE", "COMMUNITY")) or ""
    countries = matching(request, "countryCodes", COUNTRY, is_list=True)
    allowed = matching(request, "cudaVersions", CUDA, is_list=True)
    least = matching(request, "minCudaVersion", CUDA_FLOOR)
    if not _wants_availability(request, PRODUCTS):
        return told
    free = {
        center: emulator.catalog.free(gpu, center.id, emulator.faults, cloud) // count
        for center in emulator.catalog.data_centers
        if not countries or center.country in countries
    }
    told["availability"] = level(sum(free.values()))
    told["dataCenters"] = [
        {"id": center.id, "name": center.name, "availability": level(units)}
        for center, units in free.items()
        if units > 0
    ]
    wanted = [
        one
        for one in CUDA_VERSIONS
        if (not allowed or one in allowed) and (not least or _cuda(one) >= _cuda(least[0]))
    ]
    told["cudaVersions"] = [{"version": one, "available": sum(free.values()) > 0} for one in wanted]
    return told


def _cuda(text: str) -> tuple[int, ...]:
    """Versions compare by number: 12.11 is newer than 12.2."""
    return tuple(int(part) for part in text.split("."))


def _wants_availability(request: web.Request, products: tuple[str, ...]) -> bool:
    include = choices(request, "include", ("AVAILABILITY",), most=1)
    product = choices(request, "product", products)
    if include and not product:
        raise Problem(400, "include=AVAILABILITY requires product")
    return bool(include)


@routes.get("/v2/catalog/cpus")
async def list_cpus(request: web.Request) -> web.Response:
    emulator = context_of(request).emulator
    return reply({"cpus": [_cpu_reply(request, emulator, cpu) for cpu in emulator.catalog.cpus]})


@routes.get("/v2/catalog/cpus/{id}")
async def get_cpu(request: web.Request) -> web.Response:
    emulator = context_of(request).emulator
    cpu = emulator.catalog.cpu(request.match_info["id"])
    if cpu is None:
        raise not_found("cpu", request.match_info["id"])
    return reply(_cpu_reply(request, emulator, cpu))


def _cpu_reply(request: web.Request, emulator: Emulator, cpu: Cpu) -> Json:
    whole_number(request, "vcpuCount", cpu.min_vcpu, 2, MANY)
    told: Json = {
        "id": cpu.id,
        "name": cpu.name,
        "group": cpu.group,
        "vcpu": {"min": cpu.min_vcpu, "max": cpu.max_vcpu},
        "ramGbPerVcpu": cpu.ram_gb_per_vcpu,
        "price": {"securePerVcpu": cpu.secure_usd, "serverlessPerVcpu": cpu.serverless_usd},
    }
    if _wants_availability(request, ("POD", "SERVERLESS")):
        levels = {center: _cpu_level(emulator, center) for center in emulator.catalog.data_centers}
        told["availability"] = "HIGH" if "HIGH" in levels.values() else "NONE"
        told["dataCenters"] = [
            {"id": center.id, "name": center.name, "availability": text} for center, text in levels.items()
        ]
    return told


def _cpu_level(emulator: Emulator, center: DataCenter) -> str:
    return "NONE" if emulator.catalog.place_cpu([center.id], emulator.faults) is None else "HIGH"


@routes.get("/v2/catalog/datacenters")
async def list_data_centers(request: web.Request) -> web.Response:
    emulator = context_of(request).emulator
    regions = choices(request, "regions", REGIONS)
    volumes = choices(request, "networkVolumeTypes", ("STANDARD", "HIGH_PERFORMANCE"))
    compliance = choices(request, "compliance")
    network = choice(request, "globalNetwork", ("true", "false"))
    shown = [
        center
        for center in emulator.catalog.data_centers
        if (not regions or center.region in regions)
        and set(volumes) <= set(center.volume_types)
        and set(compliance) <= set(center.compliance)
        and (network is None or center.is_global_network == (network == "true"))
    ]
    return reply({"dataCenters": [_center_reply(request, emulator, center) for center in shown]})


@routes.get("/v2/catalog/datacenters/{id}")
async def get_data_center(request: web.Request) -> web.Response:
    emulator = context_of(request).emulator
    center = emulator.catalog.data_center(request.match_info["id"])
    if center is None:
        raise not_found("data center", request.match_info["id"])
    return reply(_center_reply(request, emulator, center))


def _center_reply(request: web.Request, emulator: Emulator, center: DataCenter) -> Json:
    include = choices(request, "include", ("GPU_AVAILABILITY", "CPU_AVAILABILITY"))
    told: Json = {
        "id": center.id,
        "name": center.name,
        "region": center.region,
        "globalNetwork": center.is_global_network,
        "networkVolumeTypes": list(center.volume_types),
        "compliance": list(center.compliance),
    }
    if "GPU_AVAILABILITY" in include:
        told["gpuAvailability"] = [
            {
                "id": gpu.id,
                "name": gpu.name,
                "availability": level(emulator.catalog.free(gpu, center.id, emulator.faults)),
            }
            for gpu in emulator.catalog.gpus
        ]
    if "CPU_AVAILABILITY" in include:
        told["cpuAvailability"] = [
            {"id": cpu.id, "name": cpu.name, "availability": _cpu_level(emulator, center)}
            for cpu in emulator.catalog.cpus
        ]
    return told
