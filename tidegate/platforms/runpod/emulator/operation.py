"""`/emulator/...` on the control port: faults, timelines, stock, keys and the truth, for the operator's key only."""

import json
from dataclasses import asdict
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from tidegate.domain import InvalidInput
from tidegate.platforms.runpod.emulator.accounts import ALL_SCOPES
from tidegate.platforms.runpod.emulator.context import context_of
from tidegate.platforms.runpod.emulator.faults import KNOBS, FaultRequest
from tidegate.platforms.runpod.emulator.pages import reply
from tidegate.platforms.runpod.emulator.problems import Problem
from tidegate.platforms.runpod.emulator.state import Json

routes = web.RouteTableDef()


async def _data(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except ValueError as error:
        raise Problem(400, "request body is not valid JSON") from error


def _fault(data: Any) -> FaultRequest:
    try:
        return FaultRequest.model_validate(data)
    except ValidationError as error:
        texts = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)]
        raise Problem(422, "this is no fault", errors=texts) from error


@routes.get("/emulator/faults")
async def list_faults(request: web.Request) -> web.Response:
    board = context_of(request).emulator.faults
    knobs = [
        {"knob": one.name, "type": one.kind.__name__, "plane": one.plane, "does": one.does}
        for one in KNOBS.values()
    ]
    return reply({"knobs": knobs, "faults": [asdict(fault) for fault in board.active()]})


@routes.put("/emulator/faults")
async def set_fault(request: web.Request) -> web.Response:
    return reply(asdict(_added(request, [_fault(await _data(request))])[0]))


@routes.post("/emulator/timelines")
async def play_timeline(request: web.Request) -> web.Response:
    """A list of faults with `at` and `for` in seconds from now; all are accepted or none."""
    data = await _data(request)
    if not isinstance(data, list):
        raise Problem(422, "a timeline is a list of faults")
    events = [_fault(one) for one in data]  # pyright: ignore[reportUnknownVariableType]
    return reply({"faults": [asdict(fault) for fault in _added(request, events)]})


def _added(request: web.Request, events: list[FaultRequest]) -> list[Any]:
    from tidegate.platforms.runpod.emulator.faults import checked_value

    board = context_of(request).emulator.faults
    try:
        for event in events:
            checked_value(event.knob, event.value)
        return [board.add(event) for event in events]
    except InvalidInput as error:
        raise Problem(422, str(error)) from error


@routes.delete("/emulator/faults")
@routes.delete("/emulator/faults/{knob}")
async def clear_faults(request: web.Request) -> web.Response:
    cleared = context_of(request).emulator.faults.clear(request.match_info.get("knob"))
    return reply({"cleared": cleared})


@routes.put("/emulator/stock")
async def set_stock(request: web.Request) -> web.Response:
    """`{"gpu": ID, "units": 3, "dataCenter": ID or absent for all}`."""
    data = await _data(request)
    try:
        context_of(request).emulator.catalog.set_units(
            data["gpu"], data.get("dataCenter"), int(data["units"])
        )
    except (KeyError, TypeError, ValueError, AttributeError, InvalidInput) as error:
        raise Problem(422, f"this is no stock: {error}") from error
    return reply({})


@routes.post("/emulator/keys")
async def add_key(request: web.Request) -> web.Response:
    """`{"organization": NAME, "scopes": [...]}`; the key is told once, in this reply."""
    data = await _data(request)
    accounts = context_of(request).emulator.accounts
    try:
        organization, scopes = data["organization"], tuple(data["scopes"])
    except (KeyError, TypeError) as error:
        raise Problem(422, "organization and scopes are required") from error
    if organization not in accounts.organizations or not set(scopes) <= set(ALL_SCOPES):
        raise Problem(422, f"unknown organization or scope; scopes: {', '.join(ALL_SCOPES)}")
    return reply({"key": accounts.add_key(organization, scopes).reveal(), "scopes": list(scopes)}, status=201)


@routes.delete("/emulator/keys")
async def revoke_key(request: web.Request) -> web.Response:
    """`{"key": VALUE}`"""
    data = await _data(request)
    if not isinstance(data, dict) or not isinstance(value := data.get("key"), str):  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        raise Problem(422, "key is required")
    return reply({"revoked": context_of(request).emulator.accounts.revoke(value)})


@routes.get("/emulator/state")
async def tell_state(request: web.Request) -> web.Response:
    """What is really there, with process ids, whatever faults make others believe."""
    context = context_of(request)
    emulator = context.emulator
    workers: list[Json] = [
        {
            "id": worker.id,
            "endpointId": endpoint.id,
            "organization": endpoint.organization,
            "status": context.fleet.status(worker),
            "pid": worker.container.pid if worker.container and not worker.container.has_ended else None,
            "port": worker.port or None,
            "isDraining": worker.is_draining,
            "crashes": worker.crashes,
        }
        for endpoint in emulator.endpoints.values()
        for worker in context.fleet.workers(endpoint.id)
    ]
    return reply(
        {
            "endpoints": [
                {"id": one.id, "organization": one.organization, "name": one.config["name"]}
                for one in emulator.endpoints.values()
            ],
            "pods": [
                {
                    "id": one.id,
                    "organization": one.organization,
                    "name": one.config["name"],
                    "status": one.status,
                }
                for one in emulator.pods.values()
            ],
            "workers": workers,
            "volumes": {one: str(emulator.volume_folder(one)) for one in emulator.resources["volume"]},
        }
    )
