"""Templates, network volumes, registries, delegations and SSH keys."""

import asyncio
import shutil

from aiohttp import web

from tidegate.platforms.runpod.emulator.billing import VOLUME as VOLUME_BILL
from tidegate.platforms.runpod.emulator.billing import volume_usd_per_s
from tidegate.platforms.runpod.emulator.bodies import (
    CreateDelegation,
    CreateRegistry,
    CreateTemplate,
    CreateVolume,
    PatchTemplate,
    PatchVolume,
    SshKeys,
    parse,
)
from tidegate.platforms.runpod.emulator.context import context_of, organization_of
from tidegate.platforms.runpod.emulator.emulator import (
    DELEGATION,
    REGISTRY,
    SSH_KEYS,
    TEMPLATE,
    VOLUME,
    Emulator,
)
from tidegate.platforms.runpod.emulator.endpoint_config import (
    CONTAINER_DEFAULTS,
    check_data_center,
    check_ports,
    sent,
)
from tidegate.platforms.runpod.emulator.endpoints import check_registry
from tidegate.platforms.runpod.emulator.pages import choices, deleted, page, reply
from tidegate.platforms.runpod.emulator.problems import Problem
from tidegate.platforms.runpod.emulator.state import Json, Resource, new_id

routes = web.RouteTableDef()
VOLUME_BILLS = {"STANDARD": "standard", "HIGH_PERFORMANCE": "highPerformance"}


def _asked(request: web.Request, kind: str) -> Resource:
    emulator = context_of(request).emulator
    return emulator.resource_of(kind, organization_of(request), request.match_info["id"])


def _made(request: web.Request, kind: str, body: Json) -> Resource:
    emulator = context_of(request).emulator
    identifier = new_id(10)
    resource = Resource(
        identifier, organization_of(request), {"id": identifier, **body}, emulator.clock.now()
    )
    emulator.save_resource(kind, resource)
    return resource


def _bodies(request: web.Request, kind: str) -> list[Json]:
    emulator = context_of(request).emulator
    return [one.body for one in emulator.resources_of(kind, organization_of(request))]


def _check_unique(request: web.Request, kind: str, name: str, own_id: str | None = None) -> None:
    if any(body["name"] == name and body["id"] != own_id for body in _bodies(request, kind)):
        raise Problem(400, f"{kind} name must be unique: {name[:64]}")


@routes.get("/v2/templates")
async def list_templates(request: web.Request) -> web.Response:
    return page(request, "templates", _bodies(request, TEMPLATE))


@routes.post("/v2/templates")
async def create_template(request: web.Request) -> web.Response:
    emulator = context_of(request).emulator
    body = parse(CreateTemplate, await request.read())
    data = sent(body)
    template: Json = {
        **CONTAINER_DEFAULTS,
        "mounts": {},
        "serverless": False,
        "public": False,
        "category": "NVIDIA",
        "startSsh": True,
        "startJupyter": True,
        "allowedCudaVersions": [],
        **data,
    }
    _check_template(request, emulator, template, None)
    return reply(_made(request, TEMPLATE, template).body, status=201)


@routes.get("/v2/templates/{id}")
async def get_template(request: web.Request) -> web.Response:
    return reply(_asked(request, TEMPLATE).body)


@routes.patch("/v2/templates/{id}")
async def patch_template(request: web.Request) -> web.Response:
    emulator, template = context_of(request).emulator, _asked(request, TEMPLATE)
    body = {**template.body, **sent(parse(PatchTemplate, await request.read()))}
    _check_template(request, emulator, body, template.id)
    template.body = body
    emulator.save_resource(TEMPLATE, template)
    return reply(body)


def _check_template(request: web.Request, emulator: Emulator, body: Json, own_id: str | None) -> None:
    _check_unique(request, TEMPLATE, body["name"], own_id)
    check_ports(body["ports"])
    check_registry(emulator, organization_of(request), body["registry"])


@routes.delete("/v2/templates/{id}")
async def delete_template(request: web.Request) -> web.Response:
    emulator, template = context_of(request).emulator, _asked(request, TEMPLATE)
    if any(pod.config.get("templateId") == template.id for pod in emulator.pods.values()):
        raise Problem(400, "template is in use by a pod")
    emulator.delete_resource(TEMPLATE, template)
    return deleted()


@routes.get("/v2/network-volumes")
async def list_volumes(request: web.Request) -> web.Response:
    return reply({"networkVolumes": _bodies(request, VOLUME)})


@routes.post("/v2/network-volumes")
async def create_volume(request: web.Request) -> web.Response:
    emulator = context_of(request).emulator
    body = parse(CreateVolume, await request.read())
    check_data_center(body.dataCenter, emulator.catalog)
    center = emulator.catalog.data_center(body.dataCenter)
    assert center is not None
    kind = sent(body).get("type", center.volume_types[0])
    if kind not in center.volume_types:
        raise Problem(400, f"data center {center.id} has no {kind} volumes")
    made: Json = {"name": body.name, "size": body.size, "dataCenter": center.id, "type": kind}
    volume = _made(request, VOLUME, made)
    emulator.volume_folder(volume.id)
    _bill_volume(emulator, volume)
    return reply(volume.body, status=201)


@routes.get("/v2/network-volumes/{id}")
async def get_volume(request: web.Request) -> web.Response:
    return reply(_asked(request, VOLUME).body)


@routes.patch("/v2/network-volumes/{id}")
async def patch_volume(request: web.Request) -> web.Response:
    emulator, volume = context_of(request).emulator, _asked(request, VOLUME)
    data = sent(parse(PatchVolume, await request.read()))
    if data.get("size", volume.body["size"]) < volume.body["size"]:
        raise Problem(400, "a network volume can only grow")
    volume.body = {**volume.body, **data}
    emulator.save_resource(VOLUME, volume)
    if "size" in data:
        _end_volume_bill(emulator, volume)
        _bill_volume(emulator, volume)
    return reply(volume.body)


@routes.delete("/v2/network-volumes/{id}")
async def delete_volume(request: web.Request) -> web.Response:
    emulator, volume = context_of(request).emulator, _asked(request, VOLUME)
    emulator.delete_resource(VOLUME, volume)
    _end_volume_bill(emulator, volume)
    await asyncio.to_thread(shutil.rmtree, emulator.volume_folder(volume.id), ignore_errors=True)
    return deleted()


def _bill_volume(emulator: Emulator, volume: Resource) -> None:
    unit, rate = VOLUME_BILLS[volume.body["type"]], volume_usd_per_s(volume.body["size"])
    emulator.meter.open(volume.organization, VOLUME_BILL, volume.id, unit, rate)


def _end_volume_bill(emulator: Emulator, volume: Resource) -> None:
    for usage in emulator.meter.of(volume.organization, VOLUME_BILL):
        if usage.resource_id == volume.id:
            emulator.meter.close(usage.id)


@routes.get("/v2/registries")
async def list_registries(request: web.Request) -> web.Response:
    return reply({"registries": _bodies(request, REGISTRY)})


@routes.post("/v2/registries")
async def create_registry(request: web.Request) -> web.Response:
    """Name only is kept: nothing here ever pulls with the password."""
    body = parse(CreateRegistry, await request.read())
    _check_unique(request, REGISTRY, body.name)
    return reply(_made(request, REGISTRY, {"name": body.name}).body, status=201)


@routes.get("/v2/registries/delegations")
async def list_delegations(request: web.Request) -> web.Response:
    return reply({"delegations": _bodies(request, DELEGATION)})


@routes.post("/v2/registries/delegations")
async def create_delegation(request: web.Request) -> web.Response:
    emulator = context_of(request).emulator
    body = parse(CreateDelegation, await request.read())
    repository, _, tag = body.resource.partition(":")
    account = emulator.accounts.organizations[organization_of(request)]
    made: Json = {
        "name": body.name,
        "delegatorUserId": account.user_id,
        "awsUser": "000000000000",
        "repository": repository,
        "tag": tag or "latest",
        "awsRegion": "us-east-1",
        "createdAt": emulator.clock.text(emulator.clock.now()),
    }
    return reply(_made(request, DELEGATION, made).body, status=201)


@routes.delete("/v2/registries/delegations/{id}")
async def delete_delegation(request: web.Request) -> web.Response:
    context_of(request).emulator.delete_resource(DELEGATION, _asked(request, DELEGATION))
    return deleted()


@routes.get("/v2/registries/{id}")
async def get_registry(request: web.Request) -> web.Response:
    return reply(_asked(request, REGISTRY).body)


@routes.delete("/v2/registries/{id}")
async def delete_registry(request: web.Request) -> web.Response:
    emulator, registry = context_of(request).emulator, _asked(request, REGISTRY)
    if any(pod.config["registry"] == registry.id for pod in emulator.pods.values()):
        raise Problem(400, "registry is in use by a pod")
    emulator.delete_resource(REGISTRY, registry)
    for template in emulator.resources_of(TEMPLATE, registry.organization):
        if template.body["registry"] == registry.id:
            template.body = {**template.body, "registry": None}
            emulator.save_resource(TEMPLATE, template)
    return deleted()


@routes.get("/v2/account/ssh-keys")
async def get_ssh_keys(request: web.Request) -> web.Response:
    kept = context_of(request).emulator.resources[SSH_KEYS].get(organization_of(request))
    return reply(kept.body if kept else {"keys": []})


@routes.put("/v2/account/ssh-keys")
async def put_ssh_keys(request: web.Request) -> web.Response:
    emulator, organization = context_of(request).emulator, organization_of(request)
    body = parse(SshKeys, await request.read())
    kept = Resource(organization, organization, {"keys": list(body.keys)}, emulator.clock.now())
    emulator.save_resource(SSH_KEYS, kept)
    return reply(kept.body)


@routes.get("/v2/catalog/templates")
async def list_public_templates(request: web.Request) -> web.Response:
    choices(request, "source", ("official", "verified", "community"))
    public = [
        one.body
        for one in context_of(request).emulator.resources[TEMPLATE].values()
        if one.body["public"] and not one.body["serverless"]
    ]
    return reply({"templates": public[:100]})
