"""Tables of the ledger. A change here needs a migration; a test compares the two."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tidegate.ledger.columns import Rows


def _of_service(table: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["org", "service"], ["services.org", "services.service"], name=f"fk_{table}_service"
    )


class OrganizationRow(Rows):
    __tablename__ = "organizations"

    name: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]


class ApiKeyRow(Rows):
    """A key of a client of the gateway, as its digest. Rows stay: they say who could call until when."""

    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("digest"), Index(None, "org", "name"))

    number: Mapped[int] = mapped_column(primary_key=True)
    org: Mapped[str] = mapped_column(ForeignKey("organizations.name"))
    name: Mapped[str]
    digest: Mapped[str]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class ServiceRow(Rows):
    """Also the lock on the service: `epoch` never falls and belongs to the release `epoch_of`."""

    __tablename__ = "services"

    org: Mapped[str] = mapped_column(ForeignKey("organizations.name"), primary_key=True)
    service: Mapped[str] = mapped_column(primary_key=True)
    epoch: Mapped[int]
    epoch_of: Mapped[str | None]
    holder: Mapped[str | None]
    created_at: Mapped[datetime]


class VersionRow(Rows):
    __tablename__ = "model_versions"
    __table_args__ = (UniqueConstraint("org", "name", "version"), Index(None, "digest"))

    number: Mapped[int] = mapped_column(primary_key=True)
    org: Mapped[str] = mapped_column(ForeignKey("organizations.name"))
    name: Mapped[str]
    version: Mapped[str]
    digest: Mapped[str]
    size_bytes: Mapped[int]
    path: Mapped[str]
    provenance: Mapped[dict[str, Any]]
    tensor_digest: Mapped[str | None] = mapped_column(index=True)
    registered_at: Mapped[datetime]


class AliasRow(Rows):
    __tablename__ = "aliases"
    __table_args__ = (_of_service("aliases"),)

    org: Mapped[str] = mapped_column(primary_key=True)
    service: Mapped[str] = mapped_column(primary_key=True)
    alias: Mapped[str] = mapped_column(primary_key=True)
    version_number: Mapped[int] = mapped_column(ForeignKey("model_versions.number"))


class AliasMoveRow(Rows):
    __tablename__ = "alias_history"
    __table_args__ = (_of_service("alias_history"), Index(None, "org", "service"))

    number: Mapped[int] = mapped_column(primary_key=True)
    org: Mapped[str]
    service: Mapped[str]
    alias: Mapped[str]
    old: Mapped[str | None]
    old_digest: Mapped[str | None]
    new: Mapped[str | None]
    new_digest: Mapped[str | None]
    actor: Mapped[str]
    reason: Mapped[str]
    epoch: Mapped[int]
    at: Mapped[datetime]


class QuarantineRow(Rows):
    __tablename__ = "quarantine"

    org: Mapped[str] = mapped_column(ForeignKey("organizations.name"), primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    tensor_digest: Mapped[str | None]
    reason: Mapped[str]
    release_id: Mapped[str]
    at: Mapped[datetime]
    lifted_at: Mapped[datetime | None]
    lifted_by: Mapped[str | None]
    lift_reason: Mapped[str | None]


class HoldRow(Rows):
    """While one is not lifted, nothing is released to the service by itself."""

    __tablename__ = "holds"
    __table_args__ = (_of_service("holds"), Index(None, "org", "service"))

    number: Mapped[int] = mapped_column(primary_key=True)
    org: Mapped[str]
    service: Mapped[str]
    reason: Mapped[str]
    actor: Mapped[str]
    release_id: Mapped[str | None]
    at: Mapped[datetime]
    lifted_at: Mapped[datetime | None]
    lifted_by: Mapped[str | None]
    lift_reason: Mapped[str | None]


class ReleaseRow(Rows):
    """`active_key` is the idempotency key until the release is over, then NULL, so that it is unique meanwhile."""

    __tablename__ = "releases"
    __table_args__ = (_of_service("releases"), UniqueConstraint("active_key"), Index(None, "org", "service"))

    id: Mapped[str] = mapped_column(primary_key=True)
    org: Mapped[str]
    service: Mapped[str]
    key: Mapped[str]
    active_key: Mapped[str | None]
    request: Mapped[dict[str, Any]]
    digest: Mapped[str]
    state: Mapped[str]
    epoch: Mapped[int]
    plan: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    reason: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    owner: Mapped[str]
    owner_seen_at: Mapped[datetime | None]


class RequestTokenRow(Rows):
    """A request token that was used, and for which release: its nonce is spent for every other one."""

    __tablename__ = "request_tokens"
    __table_args__ = (_of_service("request_tokens"), Index(None, "release_id"))

    org: Mapped[str] = mapped_column(primary_key=True)
    nonce: Mapped[str] = mapped_column(primary_key=True)
    service: Mapped[str]
    release_id: Mapped[str] = mapped_column(ForeignKey("releases.id"))
    action: Mapped[str]
    proof: Mapped[dict[str, Any]]
    used_at: Mapped[datetime]


class EntryRow(Rows):
    """One row of the journal; `seq` counts from 1 in each release, without holes."""

    __tablename__ = "journal"

    release_id: Mapped[str] = mapped_column(ForeignKey("releases.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[int]
    kind: Mapped[str]
    name: Mapped[str]
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class EvidenceRow(Rows):
    __tablename__ = "evidence"
    __table_args__ = (Index(None, "release_id"), Index(None, "digest"))

    number: Mapped[int] = mapped_column(primary_key=True)
    release_id: Mapped[str | None] = mapped_column(ForeignKey("releases.id"))
    epoch: Mapped[int | None]
    digest: Mapped[str]
    policy_digest: Mapped[str]
    gate: Mapped[str]
    check_id: Mapped[str]
    verdict: Mapped[str]
    summary: Mapped[str]
    remedy: Mapped[str]
    data: Mapped[dict[str, Any]]
    taken_at: Mapped[datetime | None]
    stored_at: Mapped[datetime]


class SetRow(Rows):
    __tablename__ = "sets"
    __table_args__ = (
        _of_service("sets"),
        UniqueConstraint("name"),
        Index(None, "org", "service"),
        Index("ix_sets_deleted_at", "deleted_at"),
    )

    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    org: Mapped[str]
    service: Mapped[str]
    platform: Mapped[str]
    spec: Mapped[dict[str, Any]]
    state: Mapped[str]
    epoch: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class RouteRow(Rows):
    __tablename__ = "routes"
    __table_args__ = (_of_service("routes"),)

    org: Mapped[str] = mapped_column(primary_key=True)
    service: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int]
    epoch: Mapped[int]
    upstreams: Mapped[list[Any]]
    weights: Mapped[dict[str, Any]]
    newest: Mapped[str | None]
    mirror: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    sticky: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    stand_in: Mapped[str | None]
    updated_at: Mapped[datetime]


class CounterRow(Rows):
    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]


class GatewayRow(Rows):
    __tablename__ = "gateways"

    gateway: Mapped[str] = mapped_column(primary_key=True)
    observed_generation: Mapped[int]
    seen_at: Mapped[datetime]
    healthy_sets: Mapped[list[Any]]
    active_requests: Mapped[dict[str, Any]]
    error: Mapped[str]
    state: Mapped[str | None]
    boot: Mapped[str | None]
    observed: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    routed_sets: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    wanted: Mapped[str | None]


class SampleRow(Rows):
    """Cumulative counts of one set at one gateway at one time."""

    __tablename__ = "traffic_samples"
    __table_args__ = (Index(None, "at"),)

    set_name: Mapped[str] = mapped_column(primary_key=True)
    gateway: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    requests: Mapped[int]
    failed: Mapped[int]
    attempts_failed: Mapped[int]
    latency_ms_sum: Mapped[float]
    latency_count: Mapped[int]


class LiveBatchRow(Rows):
    """What clients got from one set at one gateway within one interval."""

    __tablename__ = "live_batches"
    __table_args__ = (Index(None, "ended_at"),)

    set_name: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(primary_key=True)
    gateway: Mapped[str] = mapped_column(primary_key=True)
    slice: Mapped[str] = mapped_column(primary_key=True)
    is_probe: Mapped[bool] = mapped_column(primary_key=True)
    ended_at: Mapped[datetime]
    data: Mapped[dict[str, Any]]


class CapturedRow(Rows):
    """A client's request, redacted and sealed with the organization's key, until it expires."""

    __tablename__ = "captured_requests"
    __table_args__ = (
        _of_service("captured_requests"),
        Index(None, "org", "service", "at"),
        Index(None, "expires_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    org: Mapped[str]
    service: Mapped[str]
    at: Mapped[datetime]
    expires_at: Mapped[datetime]
    sealed: Mapped[bytes]


class FindingRow(Rows):
    """Something that is not as it should be, from when to when."""

    __tablename__ = "findings"

    kind: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    org: Mapped[str | None]
    service: Mapped[str | None]
    summary: Mapped[str]
    remedy: Mapped[str]
    data: Mapped[dict[str, Any]]
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]
    resolved_at: Mapped[datetime | None]


class BaselineRow(Rows):
    __tablename__ = "baselines"
    __table_args__ = (_of_service("baselines"), Index(None, "org", "service", "kind"))

    number: Mapped[int] = mapped_column(primary_key=True)
    org: Mapped[str]
    service: Mapped[str]
    kind: Mapped[str]
    digest: Mapped[str]
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class ResultRow(Rows):
    __tablename__ = "results"

    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class MeasurementRow(Rows):
    """A measurement of any kind. `record` may be megabytes: lists leave it where it is."""

    __tablename__ = "measurements"
    __table_args__ = (
        _of_service("measurements"),
        Index("ix_measurements_kind_taken_at", "kind", "taken_at"),
        Index(None, "org", "service"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    org: Mapped[str | None] = mapped_column(ForeignKey("organizations.name"))
    service: Mapped[str | None]
    digest: Mapped[str | None]
    label: Mapped[str]
    taken_at: Mapped[datetime]
    summary: Mapped[dict[str, Any]]
    record: Mapped[bytes | None] = mapped_column(deferred=True)
