"""What stands until a person or reality changes it: holds on services, quarantined files, findings."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tidegate.domain.errors import Refused
from tidegate.domain.names import Digest, ServiceRef


class Hold(BaseModel):
    """While it stands, nothing is released to the service by itself: schedules and training runs are refused."""

    model_config = ConfigDict(frozen=True)

    number: int
    org: str
    service: str
    reason: str
    actor: str
    release_id: str | None = Field(default=None, description="Release that set it, where one did.")
    at: datetime
    lifted_at: datetime | None = None
    lifted_by: str | None = None
    lift_reason: str | None = None

    @property
    def stands(self) -> bool:
        return self.lifted_at is None


def held(ref: ServiceRef, actor: str, reason: str) -> Refused:
    """Why nothing is released to a held service by itself."""
    return Refused(
        f"{ref} is held by {actor}: {reason}. Nothing is released to it by itself.",
        remedy=f"Release by hand, or lift the hold: tidegate hold lift {ref} --reason ...",
        service=str(ref),
        problem="held",
    )


class Quarantined(BaseModel):
    """A file that failed. `tensor_digest` finds its near copies: the same tensors under other metadata."""

    model_config = ConfigDict(frozen=True)

    org: str
    digest: Digest
    tensor_digest: str | None = None
    reason: str
    release_id: str
    at: datetime
    lifted_at: datetime | None = None
    lifted_by: str | None = None
    lift_reason: str | None = None


class Finding(BaseModel):
    """Something that is not as it should be, seen from `first_seen` until it is resolved."""

    model_config = ConfigDict(frozen=True)

    kind: str = Field(description="Stable id, for example `weights.drift` or `set.orphan`.")
    subject: str = Field(description="What it is about, for example a service, a set or a gateway.")
    org: str | None = None
    service: str | None = None
    summary: str
    remedy: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    first_seen: datetime
    last_seen: datetime
    resolved_at: datetime | None = None
