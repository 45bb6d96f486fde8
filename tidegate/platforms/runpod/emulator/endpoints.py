"""`/v2/serverless`: endpoints, their workers, their releases."""

from aiohttp import web

from tidegate.platforms.runpod.emulator.accounts import Organization
from tidegate.platforms.runpod.emulator.bodies import CreateEndpoint, PatchEndpoint, parse
from tidegate.platforms.runpod.emulator.context import Context, context_of, organization_of
from tidegate.platforms.runpod.emulator.emulator import REGISTRY, VOLUME, Emulator
from tidegate.platforms.runpod.emulator.endpoint_config import (
    created,
    has_idle_timeout,
    patched,
    release_diff,
    sent,
)
from tidegate.platforms.runpod.emulator.pages import deleted, page, reply
from tidegate.platforms.runpod.emulator.problems import CAPACITY_DETAIL, Problem
from tidegate.platforms.runpod.emulator.scaling import worker_quota
from tidegate.platforms.runpod.emulator.state import Endpoint, Json, WorkerStatus, new_id
from tidegate.platforms.runpod.emulator.workers import Worker

routes = web.RouteTableDef()


def endpoint_reply(emulator: Emulator, endpoint: Endpoint) -> Json:
    config = endpoint.config
    workers = dict(config["workers"])
    if not has_idle_timeout(config):
        workers.pop("idleTimeout", None)
    return {
        "id": endpoint.id,
        "requestUrls": emulator.request_urls(endpoint),
        **config,
        "workers": workers,
        "createdAt": emulator.clock.text(endpoint.created_at),
    }


@routes.get("/v2/serverless")
async def list_endpoints(request: web.Request) -> web.Response:
    emulator, organization = context_of(request).emulator, organization_of(request)
    lag_s = float(emulator.faults.read("list_lag_s", organization) or 0.0)
    youngest = emulator.clock.now() - lag_s
    shown = [
        one
        for one in emulator.endpoints.values()
        if one.organization == organization and one.created_at <= youngest
    ]
    shown.sort(key=lambda one: -one.created_at)
    return page(request, "endpoints", [endpoint_reply(emulator, one) for one in shown])


@routes.post("/v2/serverless")
async def create_endpoint(request: web.Request) -> web.Response:
    context, name = context_of(request), organization_of(request)
    emulator = context.emulator
    body = parse(CreateEndpoint, await request.read())
    template = emulator.template_for(name, sent(body).get("templateId"), is_serverless=True)
    config = created(body, template, emulator.catalog)
    _check_references(emulator, name, config)
    _check_quota(emulator, emulator.accounts.organizations[name], config, None)
    _check_capacity(emulator, name, config)
    now = emulator.clock.now()
    endpoint = Endpoint(new_id(), name, config, now)
    endpoint.releases = [_release(context, endpoint, [])]
    emulator.save_endpoint(endpoint)
    context.fleet.scale(endpoint)
    return reply(endpoint_reply(emulator, endpoint), status=201)


@routes.get("/v2/serverless/{id}")
async def get_endpoint(request: web.Request) -> web.Response:
    emulator = context_of(request).emulator
    return reply(endpoint_reply(emulator, _asked(request)))


@routes.patch("/v2/serverless/{id}")
async def patch_endpoint(request: web.Request) -> web.Response:
    context, endpoint = context_of(request), _asked(request)
    emulator = context.emulator
    body = parse(PatchEndpoint, await request.read())
    template = emulator.template_for(endpoint.organization, sent(body).get("templateId"), is_serverless=True)
    config = patched(endpoint.config, body, template, emulator.catalog)
    _check_references(emulator, endpoint.organization, config)
    if "workers" in body.model_fields_set:
        account = emulator.accounts.organizations[endpoint.organization]
        _check_quota(emulator, account, config, endpoint.id)
        endpoint.last_request_at = emulator.clock.now()
    diff = release_diff(endpoint.config, config)
    endpoint.config = config
    if diff:
        endpoint.version += 1
        endpoint.releases.insert(0, _release(context, endpoint, diff))
    emulator.save_endpoint(endpoint)
    context.fleet.scale(endpoint)
    return reply(endpoint_reply(emulator, endpoint))


@routes.delete("/v2/serverless/{id}")
async def delete_endpoint(request: web.Request) -> web.Response:
    context, endpoint = context_of(request), _asked(request)
    del context.emulator.endpoints[endpoint.id]
    context.emulator.documents.delete("endpoint", endpoint.id)
    context.emulator.jobs.drop_endpoint(endpoint.id)
    context.fleet.drop_endpoint(endpoint.id)
    return deleted()


@routes.get("/v2/serverless/{id}/workers")
async def list_workers(request: web.Request) -> web.Response:
    context, endpoint = context_of(request), _asked(request)
    workers = [_worker_reply(context, endpoint, one) for one in context.fleet.workers(endpoint.id)]
    counts = {status.lower(): sum(row["status"] == status for row in workers) for status in WorkerStatus}
    summary = {**counts, "total": len(workers)}
    return reply({"workers": workers, "summary": summary, "endpointVersion": endpoint.version})


@routes.get("/v2/serverless/{id}/releases")
async def list_releases(request: web.Request) -> web.Response:
    context, endpoint = context_of(request), _asked(request)
    versions = [worker.version for worker in context.fleet.workers(endpoint.id)]
    latest = versions.count(endpoint.version)
    rollout = {
        "inProgress": latest < len(versions),
        "workersOnLatest": latest,
        "workersTotal": len(versions),
        "percentOnLatest": 100 * latest // len(versions) if versions else 0,
    }
    releases = [{**one, "workerCount": versions.count(one["version"])} for one in endpoint.releases]
    return reply({"endpointVersion": endpoint.version, "rollout": rollout, "releases": releases})


def _asked(request: web.Request) -> Endpoint:
    emulator = context_of(request).emulator
    return emulator.endpoint_of(organization_of(request), request.match_info["id"])


def _worker_reply(context: Context, endpoint: Endpoint, worker: Worker) -> Json:
    clock, claim, started = context.emulator.clock, worker.claim, worker.started_at
    gpu = worker.config.get("gpu")
    return {
        "id": worker.id,
        "status": context.fleet.status(worker),
        "isStale": context.fleet.is_stale(endpoint, worker),
        "version": worker.version,
        "gpuCount": gpu["count"] if gpu else 0,
        "image": worker.config["image"] if claim else None,
        "gpuTypeId": claim.gpu_id if claim else None,
        "dataCenterId": claim.data_center if claim else None,
        "uptimeSeconds": None if started is None else max(0, int(clock.now() - started)),
        "startedAt": None if started is None else clock.text(started),
    }


def _release(context: Context, endpoint: Endpoint, diff: list[Json]) -> Json:
    emulator = context.emulator
    return {
        "id": new_id(),
        "version": endpoint.version,
        "source": "MANUAL",
        "buildId": None,
        "createdByUserId": emulator.accounts.organizations[endpoint.organization].user_id,
        "workerCount": 0,
        "createdAt": emulator.clock.text(emulator.clock.now()),
        "diff": diff,
    }


def _check_references(emulator: Emulator, organization: str, config: Json) -> None:
    """Volumes and registries must be the organization's own."""
    centers: list[str] = []
    for identifier in config["networkVolumes"]:
        volume = emulator.resources[VOLUME].get(identifier)
        if volume is None or volume.organization != organization:
            raise Problem(400, f"network volume not found: {identifier[:64]}")
        centers.append(volume.body["dataCenter"])
    if len(set(centers)) < len(centers):
        raise Problem(400, "only one network volume per data center")
    check_registry(emulator, organization, config["registry"])


def check_registry(emulator: Emulator, organization: str, identifier: str | None) -> None:
    if identifier is None:
        return
    registry = emulator.resources[REGISTRY].get(identifier)
    if registry is None or registry.organization != organization:
        raise Problem(400, f"registry not found: {identifier[:64]}")


def _check_quota(emulator: Emulator, account: Organization, config: Json, own_id: str | None) -> None:
    """The sum of `workers.max` over the account has a limit that grows with the balance."""
    quota = worker_quota(emulator.balance_usd(account.name))
    used = sum(
        one.config["workers"]["max"]
        for one in emulator.endpoints.values()
        if one.organization == account.name and one.id != own_id
    )
    own_before = emulator.endpoints[own_id].config["workers"]["max"] if own_id else 0
    wanted = config["workers"]["max"]
    if wanted > own_before and used + wanted > quota:
        raise Problem(400, f"max workers across all endpoints must not exceed your quota of {quota}")


def _check_capacity(emulator: Emulator, organization: str, config: Json) -> None:
    """A listed data centre without stock refuses the create; a free choice is throttled later."""
    pools = config.get("gpu", {}).get("pools", [])
    if emulator.faults.read("capacity_400", *pools, organization):
        raise Problem(400, CAPACITY_DETAIL)
    if "gpu" not in config or not config["dataCenterIds"]:
        return
    gpus = emulator.catalog.pool_members(pools, config["gpu"].get("excludedTypes", []))
    if emulator.catalog.place(gpus, config["gpu"]["count"], config["dataCenterIds"], emulator.faults) is None:
        raise Problem(400, CAPACITY_DETAIL)
