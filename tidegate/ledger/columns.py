"""Types of columns, and the base of all tables of the ledger.

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
    Integer,
    LargeBinary,
    MetaData,
    Text,
    TypeDecorator,
)
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.orm import DeclarativeBase

from tidegate.domain import InvalidInput

# SQLite gives out row numbers only to a column that is called INTEGER.
Number = BigInteger().with_variant(Integer(), "sqlite")


class NaiveTime(InvalidInput, DontWrapMixin):
    """A time without a zone was about to be stored; the mix-in lets it through SQLAlchemy as it is."""

    code = "TG-2006"


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
        return None if value is None else clean(value)


def clean(text: str) -> str:
    """The text as both databases keep it."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


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
