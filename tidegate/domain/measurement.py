"""A measurement that stays: what was measured of what, its summary, and its whole record where there is one.

Load runs, quality runs, drift and nightly reports are all kept in this one shape, so that any two of one kind can
be compared later. It never holds a secret: targets are stored without user info and query.
"""

import gzip
import zlib
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from tidegate.domain.errors import InvalidInput
from tidegate.domain.names import Digest, Name

MAX_RECORD_BYTES = 32 * 1024**2
"""Compressed. An hour of 60 requests a second with 64 chunks each takes about half of it."""
MAX_UNPACKED_BYTES = 512 * 1024**2
MAX_SUMMARY_BYTES = 1024**2

MEASUREMENT_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{3,79}$"

MeasurementId = Annotated[str, StringConstraints(pattern=MEASUREMENT_ID_PATTERN)]


class MeasurementKind(StrEnum):
    LOAD = "load"
    QUALITY = "quality"
    DRIFT = "drift"
    NIGHTLY = "nightly"


class Measurement(BaseModel):
    """One measurement as the ledger keeps it; `record` is the whole run as JSON, packed by `pack_record`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: MeasurementId
    kind: MeasurementKind
    org: Name | None = None
    service: Name | None = None
    digest: Digest | None = Field(default=None, description="Of the artifact that was measured.")
    label: str = Field(default="", max_length=200)
    taken_at: AwareDatetime
    summary: dict[str, Any]
    record: bytes | None = Field(default=None, repr=False)

    @model_validator(mode="after")
    def _service_has_its_organization(self) -> Self:
        if self.service is not None and self.org is None:
            raise ValueError("a measurement of a service needs the service's organization")
        return self


def pack_record(text: str) -> bytes:
    """The JSON text of a record as it is stored: the same text always gives the same bytes.

    Raises: InvalidInput when it is larger than a ledger should hold.
    """
    packed = gzip.compress(text.encode(), compresslevel=6, mtime=0)
    if len(packed) > MAX_RECORD_BYTES or len(text) > MAX_UNPACKED_BYTES:
        raise InvalidInput(
            f"The record takes {len(packed) / 1024**2:.0f} MiB compressed; the ledger keeps at most "
            f"{MAX_RECORD_BYTES // 1024**2} MiB of one measurement.",
            remedy="Keep the record as a file and store the summary alone, or measure for a shorter time.",
            field="record",
        )
    return packed


def unpack_record(packed: bytes) -> str:
    """The JSON text again. Raises: InvalidInput for bytes that are no record, or that unpack without end."""
    reader = zlib.decompressobj(wbits=31)
    try:
        plain = reader.decompress(packed, MAX_UNPACKED_BYTES)
        is_whole = reader.eof
        text = plain.decode()
    except (zlib.error, UnicodeDecodeError) as error:
        raise _damaged("it is not compressed JSON") from error
    if not is_whole:
        raise _damaged("it is cut off or too large")
    return text


def _damaged(why: str) -> InvalidInput:
    return InvalidInput(
        f"The record of the measurement cannot be read: {why}.",
        remedy="Measure again, or restore the ledger from a backup.",
        field="record",
    )
