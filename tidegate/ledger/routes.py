"""Wanted traffic of services, and what gateways confirmed and counted."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, aliased

from tidegate.domain import GatewayStatus, Route, ServiceRef, TrafficCounts, Upstream
from tidegate.ledger.part import Part, insert_into, lock_fenced, upsert
from tidegate.ledger.tables import CounterRow, GatewayRow, RouteRow, SampleRow

GENERATION = "generation"
KEEP_SAMPLES = timedelta(minutes=15)
KEEP_LAST_SAMPLE = timedelta(days=1)
"""The newest sample of a gateway stays longer: without it the sum over gateways would fall when one is quiet."""


class RoutesPart(Part):
    """Implements the port `Router`."""

    def get_route(self, ref: ServiceRef) -> Route | None:
        with self._database.read() as session:
            row = session.get(RouteRow, (ref.org, ref.service))
        return _route(row) if row else None

    def put_route(self, route: Route, *, epoch: int, expected_generation: int | None = None) -> int:
        """Store wanted upstreams and weights as a new generation, higher than every earlier one of any service,
        and return it. The same content again returns the present generation. With `expected_generation`
        nothing is written, and the present generation returned, when somebody else wrote meanwhile.
        Raises: Fenced."""
        at = self._clock()
        key = {"org": route.org, "service": route.service}
        with self._database.write() as session:
            lock_fenced(session, ServiceRef(route.org, route.service), epoch, at)
            present = session.get(RouteRow, (route.org, route.service))
            if present is not None and _content(_route(present)) == _content(route):
                return present.generation
            found = present.generation if present is not None else 0
            if expected_generation is not None and found != expected_generation:
                return found
            values: dict[str, Any] = {
                "generation": _next_generation(session),
                "epoch": epoch,
                "upstreams": [upstream.model_dump(mode="json") for upstream in route.upstreams],
                "weights": route.weights,
                "newest": route.newest,
                "updated_at": at,
            }
            upsert(session, RouteRow, key | values, tuple(key), overwrite=tuple(values))
            return int(values["generation"])

    def list_routes(self) -> list[Route]:
        """By name of organization and service."""
        with self._database.read() as session:
            rows = session.scalars(select(RouteRow).order_by(RouteRow.org, RouteRow.service))
            return [_route(row) for row in rows]

    def generation(self) -> int:
        """Highest generation of all services: what a gateway must reach to be up to date."""
        with self._database.read() as session:
            return session.scalar(select(CounterRow.value).where(CounterRow.name == GENERATION)) or 0

    def report_gateway(self, status: GatewayStatus) -> None:
        values = status.model_dump(exclude={"gateway"}) | {"healthy_sets": list(status.healthy_sets)}
        with self._database.write() as session:
            upsert(
                session,
                GatewayRow,
                {"gateway": status.gateway, **values},
                ("gateway",),
                overwrite=tuple(values),
            )

    def gateways(self) -> list[GatewayStatus]:
        """By name."""
        with self._database.read() as session:
            rows = session.scalars(select(GatewayRow).order_by(GatewayRow.gateway))
            return [_gateway(row) for row in rows]

    def record_counts(self, gateway: str, counts: Sequence[TrafficCounts]) -> None:
        """Store cumulative counts by set as sampled at one gateway; old samples are pruned."""
        with self._database.write() as session:
            for one in counts:
                values = one.model_dump(exclude={"set_name", "at"})
                key = {"set_name": one.set_name, "gateway": gateway, "at": one.at}
                upsert(session, SampleRow, key | values, tuple(key), overwrite=tuple(values))
            _delete_old_samples(session, self._clock())

    def counts(self, set_name: str, at: datetime | None = None) -> TrafficCounts | None:
        """Sum over gateways of the newest sample (not newer than `at`) of each; None when there is none."""
        newest = select(SampleRow.gateway, func.max(SampleRow.at).label("at")).where(
            SampleRow.set_name == set_name
        )
        if at is not None:
            newest = newest.where(SampleRow.at <= at)
        each = newest.group_by(SampleRow.gateway).subquery()
        wanted = (
            select(SampleRow)
            .join(each, (SampleRow.gateway == each.c.gateway) & (SampleRow.at == each.c.at))
            .where(SampleRow.set_name == set_name)
        )
        with self._database.read() as session:
            rows = session.scalars(wanted).all()
        return _sum(set_name, rows) if rows else None


def _next_generation(session: Session) -> int:
    """The row stays locked until the commit, so that generations become visible in their order."""
    first = insert_into(session, CounterRow).values(name=GENERATION, value=1)
    risen = first.on_conflict_do_update(index_elements=("name",), set_={"value": CounterRow.value + 1})
    return session.scalars(risen.returning(CounterRow.value)).one()


def _delete_old_samples(session: Session, now: datetime) -> None:
    newer = aliased(SampleRow)
    has_newer = (
        select(newer.at)
        .where(
            newer.set_name == SampleRow.set_name, newer.gateway == SampleRow.gateway, newer.at > SampleRow.at
        )
        .exists()
    )
    is_old = SampleRow.at < now - KEEP_SAMPLES
    is_forgotten = SampleRow.at < now - KEEP_LAST_SAMPLE
    session.execute(delete(SampleRow).where(is_old & (has_newer | is_forgotten)))


def _content(route: Route) -> tuple[dict[str, Upstream], dict[str, int], str | None]:
    return {upstream.set_name: upstream for upstream in route.upstreams}, route.weights, route.newest


def _route(row: RouteRow) -> Route:
    return Route(
        org=row.org,
        service=row.service,
        generation=row.generation,
        epoch=row.epoch,
        upstreams=tuple(Upstream.model_validate(upstream) for upstream in row.upstreams),
        weights=row.weights,
        newest=row.newest,
    )


def _gateway(row: GatewayRow) -> GatewayStatus:
    return GatewayStatus(
        gateway=row.gateway,
        observed_generation=row.observed_generation,
        seen_at=row.seen_at,
        healthy_sets=tuple(row.healthy_sets),
        active_requests=row.active_requests,
        error=row.error,
    )


def _sum(set_name: str, rows: Sequence[SampleRow]) -> TrafficCounts:
    return TrafficCounts(
        set_name=set_name,
        requests=sum(row.requests for row in rows),
        failed=sum(row.failed for row in rows),
        attempts_failed=sum(row.attempts_failed for row in rows),
        latency_ms_sum=sum(row.latency_ms_sum for row in rows),
        latency_count=sum(row.latency_count for row in rows),
        at=max(row.at for row in rows),
    )
