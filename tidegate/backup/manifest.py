"""What a backup says of itself: what is in it, to the byte, and what must be true of it once it is restored. Pure."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

NAME_PATTERN = r"^\d{8}T\d{6}Z-[0-9a-f]{6}$"
MANIFEST = "manifest.json"
LEDGER, CONFIGURATION, SEALED = "ledger", "configuration.tar", "sealed"
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z.]{0,40}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Part):
    size_bytes: int = Field(ge=0)
    sha256: Sha256


class AuditEnd(_Part):
    """The newest entry of the audit log: a restored log that ends otherwise was written anew."""

    number: int
    hash: str


class Manifest(_Part):
    """`manifest.json`, written last: a folder without it is no backup."""

    format: Literal[1] = 1
    name: str = Field(pattern=NAME_PATTERN)
    made_at: datetime
    tidegate: str = Field(description="Version that made it.")
    database: Literal["sqlite", "postgresql"]
    revision: str = Field(description="Migration of the ledger.")
    rows: dict[str, int] = Field(description="Table -> rows, seen in the same moment as the copy.")
    audit_end: AuditEnd | None = None
    files: dict[FileName, FileEntry]

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.files.values())

    @property
    def has_secrets(self) -> bool:
        return SEALED in self.files


class Verification(_Part):
    """`verified.json` beside it: when it was restored as a test, and that all was there."""

    at: datetime
    rows: int
    took_s: float


def expired(
    found: list[tuple[Manifest, bool]], now: datetime, keep: int, max_age: timedelta
) -> list[Manifest]:
    """Which to remove. `found`: each with whether it was verified. The newest stays, and the newest verified one: there
    is always something to go back to, however old."""
    newest_first = sorted(found, key=lambda pair: pair[0].made_at, reverse=True)
    safe = {newest_first[0][0].name} if newest_first else set[str]()
    verified = next((manifest.name for manifest, is_verified in newest_first if is_verified), None)
    return [
        manifest
        for place, (manifest, _) in enumerate(newest_first)
        if (place >= keep or now - manifest.made_at > max_age)
        and manifest.name not in safe
        and manifest.name != verified
    ]
