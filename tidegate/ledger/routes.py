"""Wanted traffic of services, and what gateways confirmed and counted."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, aliased

from tidegate.domain import GatewayStatus, Mirror, Route, ServiceRef, Sticky, TrafficCounts, Upstream
from tidegate.ledger.part import Part, lock_fenced, refuse_foreign_set, upsert
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
        Raises: Fenced, Refused for a set of another service."""
        at = self._clock()
        ref = ServiceRef(route.org, route.service)
        with self._database.write() as session:
            lock_fenced(session, ref, epoch, at)
            refuse_foreign_set(session, ref, [upstream.set_name for upstream in route.upstreams])
            row = session.get(RouteRow, (route.org, route.service))
            if row is not None and _content(_route(row)) == _content(route):
                return row.generation
            present = row.generation if row is not None else 0
            if expected_generation not in (None, present):
                return present
            if row is None:
                row = RouteRow(org=route.org, service=route.service)
            row.generation = _next_generation(session)
            row.epoch = epoch
            row.upstreams = [upstream.model_dump(mode="json") for upstream in route.upstreams]
            row.weights = dict(route.weights)
            row.newest = route.newest
            row.mirror = route.mirror.model_dump(mode="json") if route.mirror else None
            row.sticky = route.sticky.model_dump(mode="json")
            row.stand_in = route.stand_in
            row.updated_at = at
            session.add(row)
            return row.generation

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
        lists = {"healthy_sets": list(status.healthy_sets), "routed_sets": list(status.routed_sets)}
        values = status.model_dump(exclude={"gateway"}) | lists
        with self._database.write() as session:
            upsert(
                session,
                GatewayRow,
                {"gateway": status.gateway, **values},
                ("gateway",),
                overwrite=tuple(values),
            )

    def want_gateway(self, gateway: str, wanted: str | None, *, actor: str = "") -> bool:
        """What a person asks of a gateway, which its agent reads; False when it is not known."""
        with self._database.write() as session:
            told = update(GatewayRow).where(GatewayRow.gateway == gateway).values(wanted=wanted)
            is_known = session.scalars(told.returning(GatewayRow.gateway)).one_or_none() is not None
            if is_known:
                said = {"wanted": wanted or "serve"}
                self._witness(session, "gateway.asked", actor=actor, subject=gateway, evidence=said)
            return is_known

    def wanted_of_gateway(self, gateway: str) -> str | None:
        """None: it serves."""
        with self._database.read() as session:
            return session.scalar(select(GatewayRow.wanted).where(GatewayRow.gateway == gateway))

    def forget_gateway(self, gateway: str, *, actor: str = "") -> bool:
        """Nobody waits for it any more; False when it was not known. One that comes back is known again."""
        with self._database.write() as session:
            gone = session.scalars(
                delete(GatewayRow).where(GatewayRow.gateway == gateway).returning(GatewayRow.gateway)
            ).one_or_none()
            if gone is not None:
                self._witness(session, "gateway.forgotten", actor=actor, subject=gateway)
        return gone is not None

    def gateways(self) -> list[GatewayStatus]:
        """By name."""
        with self._database.read() as session:
            rows = session.scalars(select(GatewayRow).order_by(GatewayRow.gateway))
            return [_gateway(row) for row in rows]

    def record_counts(self, gateway: str, counts: Sequence[TrafficCounts]) -> None:
        """Store cumulative counts by set as sampled at one gateway; old samples are pruned."""
        with self._database.write() as session:
            for one in counts:
                session.merge(SampleRow(gateway=gateway, **one.model_dump()))
            session.flush()
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
    risen = update(CounterRow).where(CounterRow.name == GENERATION).values(value=CounterRow.value + 1)
    value = session.scalars(risen.returning(CounterRow.value)).one_or_none()
    if value is not None:
        return value
    upsert(session, CounterRow, {"name": GENERATION, "value": 0}, ("name",))
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


def _content(route: Route) -> tuple[object, ...]:
    upstreams = {upstream.set_name: upstream for upstream in route.upstreams}
    return upstreams, route.weights, route.newest, route.mirror, route.sticky, route.stand_in


def _route(row: RouteRow) -> Route:
    return Route(
        org=row.org,
        service=row.service,
        generation=row.generation,
        epoch=row.epoch,
        upstreams=tuple(Upstream.model_validate(upstream) for upstream in row.upstreams),
        weights=row.weights,
        newest=row.newest,
        mirror=Mirror.model_validate(row.mirror) if row.mirror else None,
        published_at=row.updated_at,
        sticky=Sticky.model_validate(row.sticky or {}),
        stand_in=row.stand_in,
    )


def _gateway(row: GatewayRow) -> GatewayStatus:
    return GatewayStatus(
        gateway=row.gateway,
        observed_generation=row.observed_generation,
        seen_at=row.seen_at,
        healthy_sets=tuple(row.healthy_sets),
        active_requests=row.active_requests,
        error=row.error,
        state="stopped" if row.state == "stopped" else "serving",
        boot=row.boot or "",
        observed=row.observed or {},
        routed_sets=tuple(row.routed_sets or ()),
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
