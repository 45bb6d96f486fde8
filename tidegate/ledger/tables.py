"""Tables of the ledger. A change here needs a migration; a test compares the two.

Times are UTC and aware on both databases. Texts lose NUL characters and lone surrogates, which a model's
output may hold and PostgreSQL refuses.
"""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tidegate.domain import InvalidInput

# SQLite gives out row numbers only to a column that is called INTEGER.
Number = BigInteger().with_variant(Integer(), "sqlite")


class NaiveTime(InvalidInput, DontWrapMixin):
    """A time without a zone was about to be stored; the mix-in lets it through SQLAlchemy as it is."""


class UtcTime(TypeDecorator[datetime]):
    """An aware time. SQLite keeps no zone: it gets UTC and gives UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise NaiveTime(
                f"The time {value} has no time zone.", remedy="Pass an aware datetime.", field="at"
            )
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class CleanText(TypeDecorator[str]):
    """Text that both databases take."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return value.replace("\0", "\ufffd").encode(errors="replace").decode()


class Rows(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcTime(),
        str: CleanText(),
        int: Number,
        float: Double(),
        bytes: LargeBinary(),
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
    }


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
    reason: Mapped[str]
    release_id: Mapped[str]
    at: Mapped[datetime]


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
    __table_args__ = (_of_service("sets"), UniqueConstraint("name"), Index(None, "org", "service"))

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
