"""`/v2/billing`: what the account owes, in buckets of the calendar."""

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tidegate.platforms.runpod.emulator.billing import (
    ID_NAMES,
    POD,
    SERVERLESS,
    VOLUME,
    Bucket,
    all_amounts,
    buckets,
    product_records,
    product_totals,
)
from tidegate.platforms.runpod.emulator.clock import parse_rfc3339
from tidegate.platforms.runpod.emulator.context import context_of, organization_of
from tidegate.platforms.runpod.emulator.emulator import Emulator
from tidegate.platforms.runpod.emulator.pages import choice, reply, whole_number
from tidegate.platforms.runpod.emulator.problems import Problem
from tidegate.platforms.runpod.emulator.state import Json, Usage

SIZES = {"hour": 3600.0, "day": 86400.0, "week": 604800.0, "month": 2678400.0, "year": 31622400.0}
DEFAULT_BUCKETS = 30
MOST_BUCKETS = 10_000
UNIQUE_NAMES = {
    POD: "uniquePodCount",
    SERVERLESS: "uniqueServerlessCount",
    VOLUME: "uniqueNetworkVolumeCount",
}

routes = web.RouteTableDef()


@dataclass(frozen=True)
class Query:
    """The span and size that were asked for. `known_until` is where billing's knowledge ends."""

    start: float
    end: float
    size: str
    known_until: float

    def spans(self) -> list[Bucket]:
        return list(buckets(self.start, self.end, self.size))


def _query(request: web.Request, emulator: Emulator) -> Query:
    size = choice(request, "bucketSize", tuple(SIZES)) or "day"
    last = whole_number(request, "lastN", DEFAULT_BUCKETS, 1, MOST_BUCKETS)
    delay_s = float(emulator.faults.read("billing_delay_s", organization_of(request)) or 0.0)
    now = emulator.clock.now()
    try:
        end = _moment(request, "endTime", now)
        start = _moment(request, "startTime", max(0.0, end - last * SIZES[size]))
    except (ValueError, OverflowError) as error:
        raise Problem(422, "query does not match the schema", errors=[f"query: {error}"]) from error
    if start > end:
        raise Problem(400, "startTime must not be after endTime")
    if (end - start) / SIZES[size] > MOST_BUCKETS:
        raise Problem(400, "too many buckets; use a larger bucketSize")
    return Query(start, end, size, now - delay_s)


def _moment(request: web.Request, name: str, default: float) -> float:
    text = request.query.get(name)
    # A plus sign of an offset arrives as a space unless it was escaped.
    return default if text is None else parse_rfc3339(text.strip().replace(" ", "+"))


def _usages(request: web.Request, product: str | None) -> list[Usage]:
    return context_of(request).emulator.meter.of(organization_of(request), product)


def _told_query(emulator: Emulator, query: Query, **extra: Any) -> Json:
    text = emulator.clock.text
    return {"startTime": text(query.start), "endTime": text(query.end), "bucketSize": query.size, **extra}


def _with_texts(emulator: Emulator, rows: list[Json]) -> list[Json]:
    text = emulator.clock.text
    return [{**row, "startTime": text(row["startTime"]), "endTime": text(row["endTime"])} for row in rows]


@routes.get("/v2/billing")
async def whole_bill(request: web.Request) -> web.Response:
    emulator = context_of(request).emulator
    query, usages = _query(request, emulator), _usages(request, None)
    rows: list[Json] = []
    for span in query.spans():
        amounts = all_amounts(usages, span.start, span.end, query.known_until)
        if amounts["totalAmount"] > 0:
            rows.append({"startTime": span.start, "endTime": span.end, **amounts})
    totals = all_amounts([], 0, 0, 0)
    for row in rows:
        totals = {name: amount + row[name] for name, amount in totals.items()}
    metadata = {"query": _told_query(emulator, query), "recordCount": len(rows), "totals": totals}
    return reply({"records": _with_texts(emulator, rows), "metadata": metadata})


def _product_bill(request: web.Request, product: str) -> web.Response:
    emulator = context_of(request).emulator
    query, name = _query(request, emulator), ID_NAMES[product]
    wanted = request.query.get(name)
    usages = [usage for usage in _usages(request, product) if wanted in (None, usage.resource_id)]
    rows = product_records(product, usages, query.spans(), query.known_until)
    metadata = {
        "query": _told_query(emulator, query, **{name: wanted}),
        "recordCount": len(rows),
        UNIQUE_NAMES[product]: len({row[name] for row in rows}),
        "totals": product_totals(product, rows),
    }
    return reply({"records": _with_texts(emulator, rows), "metadata": metadata})


@routes.get("/v2/billing/pods")
async def pod_bill(request: web.Request) -> web.Response:
    return _product_bill(request, POD)


@routes.get("/v2/billing/serverless")
async def serverless_bill(request: web.Request) -> web.Response:
    return _product_bill(request, SERVERLESS)


@routes.get("/v2/billing/network-volumes")
async def volume_bill(request: web.Request) -> web.Response:
    return _product_bill(request, VOLUME)


@routes.get("/v2/billing/endpoints")
async def public_endpoint_bill(request: web.Request) -> web.Response:
    """Endpoints that the vendor hosts; there are none here, so there is never a record."""
    emulator = context_of(request).emulator
    query = _query(request, emulator)
    metadata = {"query": _told_query(emulator, query), "recordCount": 0, "totals": {"totalAmount": 0.0}}
    return reply({"records": [], "metadata": metadata})
