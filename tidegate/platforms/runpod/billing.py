"""What RunPod charged, by resource and span of time."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from tidegate.domain import InvalidInput
from tidegate.platforms.runpod.replies import BillingRecord
from tidegate.platforms.runpod.transport import Call, Transport, entries, parse

Bucket = Literal["hour", "day", "week", "month", "year"]


class BillingRoute(StrEnum):
    """Whose costs. Our serverless endpoints are `serverless`; RunPod's `endpoints` are its own public ones."""

    ALL = ""
    PODS = "/pods"
    SERVERLESS = "/serverless"
    PUBLIC_ENDPOINTS = "/endpoints"
    VOLUMES = "/network-volumes"


ID_FILTER = {
    BillingRoute.PODS: "podId",
    BillingRoute.SERVERLESS: "serverlessId",
    BillingRoute.VOLUMES: "networkVolumeId",
}


@dataclass(frozen=True)
class Span:
    """A span of time, or the last so many buckets: RunPod refuses both together."""

    start: datetime | None = None
    end: datetime | None = None
    last: int | None = None
    bucket: Bucket = "day"

    def query(self) -> dict[str, str]:
        """Raises: InvalidInput."""
        if self.last is not None and (self.start or self.end):
            raise InvalidInput(
                "A span is given by its ends or by a number of buckets, not both.",
                remedy="Leave one of them out.",
                field="last",
            )
        query = {"bucketSize": str(self.bucket)}
        if self.start is not None:
            query["startTime"] = _rfc3339(self.start)
        if self.end is not None:
            query["endTime"] = _rfc3339(self.end)
        if self.last is not None:
            query["lastN"] = str(self.last)
        return query


class Billing:
    """Records of cost."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def records(
        self, route: BillingRoute, span: Span | None = None, *, resource_id: str | None = None
    ) -> list[BillingRecord]:
        """Records of one kind of resource, of a single one when its id is given."""
        query = (span or Span()).query()
        if resource_id is not None:
            if route not in ID_FILTER:
                raise InvalidInput(
                    f"Costs of '{route.name.lower()}' cannot be asked for one resource.",
                    remedy=f"Use one of: {', '.join(one.name.lower() for one in ID_FILTER)}.",
                    field="resource_id",
                )
            query[ID_FILTER[route]] = resource_id
        what = f"read costs of {route.name.lower().replace('_', ' ')}"
        data = self._transport.json(Call("GET", f"/v2/billing{route.value}", what, query=query))
        return [parse(BillingRecord, item, what) for item in entries(data, "records", what)]


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
