"""Everything that stands, in a fixed number of short queries, whatever happened in the past."""

from collections.abc import Mapping

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from tidegate.domain import ServiceRef
from tidegate.domain.overview import (
    OpenRelease,
    Overview,
    StandingGateway,
    StandingRoute,
    StandingSet,
)
from tidegate.domain.totals import CANDIDATE, SHADOWED, STABLE, candidate_of
from tidegate.ledger.part import Part
from tidegate.ledger.tables import (
    EntryRow,
    FindingRow,
    GatewayRow,
    HoldRow,
    OrganizationRow,
    QuarantineRow,
    ReleaseRow,
    RouteRow,
    ServiceRow,
    SetRow,
    VersionRow,
)

DRIFT_KINDS = ("weights.drift", "alias.drift", "set.lost", "set.identity", "gateway.weights")
"""Findings that something differs from what is wanted. Others are housekeeping, or have a metric of their own."""


class OverviewPart(Part):
    """For the exporter, which asks every few seconds."""

    def overview(self, timeout_s: float) -> Overview:
        """Raises: Transient when the database takes longer than `timeout_s`."""
        with self._database.read(timeout_s) as session:
            releases = _open_releases(session)
            candidates = {one.ref: one.candidate for one in releases if one.candidate}
            routes, mirrors = _routes(session, candidates)
            return Overview(
                organizations=tuple(session.scalars(select(OrganizationRow.name))),
                services=_refs(session, select(ServiceRow.org, ServiceRow.service)),
                sets=_sets(session, candidates, mirrors),
                releases=releases,
                routes=routes,
                gateways=_gateways(session),
                held=frozenset(
                    _refs(session, select(HoldRow.org, HoldRow.service).where(HoldRow.lifted_at.is_(None)))
                ),
                quarantined=_quarantined(session),
                drifting=_drifting(session),
            )


def _refs(session: Session, wanted: Select[tuple[str, str]]) -> tuple[ServiceRef, ...]:
    return tuple(ServiceRef(org, service) for org, service in session.execute(wanted))


def _open_releases(session: Session) -> tuple[OpenRelease, ...]:
    columns = ReleaseRow.id, ReleaseRow.org, ReleaseRow.service, ReleaseRow.state, ReleaseRow.request
    wanted = select(*columns, ReleaseRow.plan, ReleaseRow.created_at).where(
        ReleaseRow.active_key.is_not(None)
    )
    rows = session.execute(wanted.order_by(ReleaseRow.created_at)).all()
    # By id, and not by a join: a database may then read the whole journal instead.
    entered = (
        select(EntryRow.release_id, func.max(EntryRow.at))
        .where(EntryRow.release_id.in_([row.id for row in rows]), EntryRow.kind == "entered")
        .group_by(EntryRow.release_id)
    )
    since = dict(session.execute(entered).tuples().all())
    return tuple(
        OpenRelease(
            ServiceRef(row.org, row.service),
            row.state,
            str(row.request.get("model", "")),
            str(row.request.get("version", "")),
            candidate_of(row.state, row.plan),
            row.created_at,
            since.get(row.id) or row.created_at,
        )
        for row in rows
    )


def _routes(
    session: Session, candidates: Mapping[ServiceRef, str]
) -> tuple[tuple[StandingRoute, ...], frozenset[str]]:
    """Also the sets that get copies of live requests."""
    columns = RouteRow.org, RouteRow.service, RouteRow.generation, RouteRow.weights, RouteRow.mirror
    found: list[StandingRoute] = []
    mirrors: set[str] = set()
    for org, service, generation, weights, mirror in session.execute(select(*columns)):
        ref = ServiceRef(org, service)
        tried = float(weights.get(candidates.get(ref, ""), 0))
        shares = {STABLE: sum(map(float, weights.values())) - tried, CANDIDATE: tried, SHADOWED: 0.0}
        if mirror:
            mirrors.add(mirror["set_name"])
            shares[SHADOWED] = float(mirror["percent"])
        found.append(StandingRoute(ref, generation, shares))
    return tuple(found), frozenset(mirrors)


def _sets(
    session: Session, candidates: Mapping[ServiceRef, str], mirrors: frozenset[str]
) -> tuple[StandingSet, ...]:
    rows = session.execute(
        select(SetRow.name, SetRow.org, SetRow.service, SetRow.platform, SetRow.state, SetRow.spec)
        .add_columns(SetRow.created_at)
        .where(SetRow.deleted_at.is_(None))
        .order_by(SetRow.number)
    ).all()
    versions = _versions(session, {str(row.spec["digest"]) for row in rows})

    def slot(ref: ServiceRef, name: str) -> str:
        if candidates.get(ref) != name:
            return STABLE
        return SHADOWED if name in mirrors else CANDIDATE

    return tuple(
        StandingSet(
            row.name,
            ServiceRef(row.org, row.service),
            row.platform,
            row.state,
            *versions.get((row.org, str(row.spec["digest"])), ("", str(row.spec["digest"])[:12])),
            slot(ServiceRef(row.org, row.service), row.name),
            row.created_at,
        )
        for row in rows
    )


def _versions(session: Session, digests: set[str]) -> dict[tuple[str, str], tuple[str, str]]:
    wanted = select(VersionRow.org, VersionRow.digest, VersionRow.name, VersionRow.version).where(
        VersionRow.digest.in_(digests)
    )
    return {(org, digest): (name, version) for org, digest, name, version in session.execute(wanted)}


def _gateways(session: Session) -> tuple[StandingGateway, ...]:
    rows = session.scalars(select(GatewayRow).order_by(GatewayRow.gateway))
    return tuple(
        StandingGateway(
            row.gateway,
            row.seen_at,
            row.state == "stopped",
            dict(row.observed or {}),
            dict(row.active_requests),
        )
        for row in rows
    )


def _quarantined(session: Session) -> dict[str, int]:
    wanted = (
        select(QuarantineRow.org, func.count())
        .where(QuarantineRow.lifted_at.is_(None))
        .group_by(QuarantineRow.org)
    )
    return dict(session.execute(wanted).tuples().all())


def _drifting(session: Session) -> frozenset[ServiceRef]:
    wanted = select(FindingRow.org, FindingRow.service).where(
        FindingRow.resolved_at.is_(None), FindingRow.service.is_not(None), FindingRow.kind.in_(DRIFT_KINDS)
    )
    return frozenset(ServiceRef(str(org), str(service)) for org, service in session.execute(wanted))
