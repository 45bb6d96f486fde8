"""A release: request, plan, states, journal entries. Plain frozen values."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from tidegate.domain.names import Digest, ServiceRef
from tidegate.domain.told import differing, told_digest


class ReleaseState(StrEnum):
    REQUESTED = "requested"
    PLANNED = "planned"
    AWAIT_APPROVAL = "await_approval"
    VALIDATING = "validating"
    PROVISIONING = "provisioning"
    PARKED = "parked"
    WARMING = "warming"
    JUDGING = "judging"
    SHIFTING = "shifting"
    BAKING = "baking"
    COMMITTING = "committing"
    RETIRING = "retiring"
    ROLLING_BACK = "rolling_back"
    HOLD = "hold"
    DONE = "done"
    ROLLED_BACK = "rolled_back"
    REJECTED = "rejected"
    EVALUATED = "evaluated"
    """Shadow only: judged beside live traffic, and removed again as planned."""


TERMINAL = frozenset(
    {ReleaseState.DONE, ReleaseState.ROLLED_BACK, ReleaseState.REJECTED, ReleaseState.EVALUATED}
)


MANUAL, ROLLBACK = "manual", "rollback"
MACHINES = ("service:", "schedule:")
"""How the names of what asks by itself begin."""


class ReleaseRequest(BaseModel):
    """Who wants which model version on which service, and why."""

    model_config = ConfigDict(frozen=True)

    org: str
    service: str
    model: str
    version: str
    requested_by: str = "unknown"
    trigger: str = Field(
        default="manual", description="manual, training, nightly, rollback: part of the idempotency key."
    )
    reason: str = Field(
        default="", description="Why; kept with the release, and with the quarantine of a rollback."
    )
    override_quarantine: str = Field(
        default="", description="Reason for releasing a quarantined digest, with a name."
    )

    override_until: datetime | None = Field(
        default=None, description="The override counts until then; later the gate refuses the file again."
    )
    plan_digest: str = Field(
        default="",
        description="The plan that was told before: exactly this one is carried out, or the release is refused.",
    )

    @property
    def ref(self) -> ServiceRef:
        return ServiceRef(self.org, self.service)

    @property
    def is_automatic(self) -> bool:
        """Nobody asked for it by hand. The way back is no release: a hold never stops it."""
        if self.trigger == ROLLBACK:
            return False
        return self.trigger != MANUAL or self.requested_by.startswith(MACHINES)


def idempotency_key(ref: ServiceRef, digest: str, trigger: str) -> str:
    """`org/service/digest/trigger`: while a release with this key is not over, asking again returns it."""
    return f"{ref}/{digest}/{trigger}"


class Plan(BaseModel):
    """What will happen, computed before anything does; immutable, hashed."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["release", "rollback"] = Field(
        default="release",
        description="A rollback goes to a set that was proven before: no judging, no ladder.",
    )
    green_set: str
    green_digest: Digest
    blue_set: str | None = Field(
        description="Set that serves now and is the rollback target; None for a first release."
    )
    blue_digest: Digest | None
    blue_version: str | None = Field(description="`name:version` behind the champion alias now.")
    previous_version: str | None = Field(
        default=None, description="`name:version` behind the previous alias now."
    )
    strategy: str = "canary"
    ladder: tuple[int, ...] = Field(
        description="Percent of live traffic at each step; empty for a shadow only."
    )
    approvals: tuple[str, ...] = Field(
        default=(), description="Where a person must say yes: `start`, `increase:STEP`, `commit`."
    )
    gates: tuple[str, ...]
    policy_digest: str
    estimated_usd: float = 0.0
    max_usd: float | None = Field(default=None, description="What its sets may cost before it goes back.")
    expected: dict[str, float] = Field(
        default_factory=dict,
        description="Expected samples and seconds of each part, as told before the start.",
    )

    @property
    def digest(self) -> str:
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def promise(self) -> dict[str, Any]:
        """What can be told, and kept, before there is a release: all but the name of its set, and forecasts."""
        return self.model_dump(mode="json", exclude={"green_set", "expected"})

    @property
    def told_digest(self) -> str:
        """What `--plan` prints: a release that is given it carries out this plan, or nothing."""
        return told_digest(self.promise)

    def differs_from(self, told: str) -> tuple[str, ...]:
        """Fields that are other than in the plan of which this digest was told; empty when it is the same."""
        return differing(told, self.promise)

    def tell(self, fields: Sequence[str]) -> str:
        """The named fields as they are now, for a person."""
        now = self.promise
        return "; ".join(f"{name} is now {_told(now[name])}" for name in fields)


def _told(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in cast("list[Any]", value)) or "empty"
    return "none" if value is None else str(value)


EntryKind = Literal["entered", "intent", "observed", "abort", "note"]


class JournalEntry(BaseModel):
    """One append-only row. `entered` carries the new state; `intent` an effect about to be made;
    `observed` what was read back; `abort` a person's wish to stop; `note` anything worth telling."""

    model_config = ConfigDict(frozen=True)

    seq: int
    release_id: str
    epoch: int
    kind: EntryKind
    name: str
    data: dict[str, Any] = Field(default_factory=dict)
    at: datetime


class Release(BaseModel):
    """A release as the ledger tells it."""

    model_config = ConfigDict(frozen=True)

    id: str
    request: ReleaseRequest
    digest: Digest
    state: ReleaseState
    epoch: int
    plan: Plan | None = None
    reason: str = Field(default="", description="Why it is in its present state.")
    created_at: datetime
    updated_at: datetime
    owner: str = Field(default="", description="Process that drives it: host:pid.")
    owner_seen_at: datetime | None = None

    @property
    def ref(self) -> ServiceRef:
        return self.request.ref

    @property
    def is_over(self) -> bool:
        return self.state in TERMINAL
