"""Sets: one running deployment of one model version for one service on one platform."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from tidegate.domain.names import Digest


class SetState(StrEnum):
    """Ten states over all platforms; a vendor state that we do not know is `unknown`, never `ready`."""

    PENDING = "pending"
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class SetSpec(BaseModel):
    """What to run. `name` is deterministic, so that the same request never makes two sets."""

    model_config = ConfigDict(frozen=True)

    name: str
    org: str
    service: str
    release_id: str
    digest: Digest
    artifact_path: str
    context_tokens: int = Field(default=256, ge=8, description="Context length per sequence, in tokens.")
    parallel: int = Field(default=4, ge=1, description="Sequences that may be generated at once.")
    threads: int = Field(default=1, ge=1)
    max_memory_bytes: int = Field(default=2 * 1024**3, ge=64 * 1024**2)


class SetStatus(BaseModel):
    """What a platform reports about a set right now."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: SetState
    digest: str | None = Field(
        default=None, description="Digest the engine itself reports, not the wanted one."
    )
    host: str | None = None
    port: int | None = None
    tls: bool = Field(default=False, description="The gateway speaks TLS to `host`.")
    path_prefix: str = Field(default="", description="Stands before `/v1/...` at this address.")
    credential: str | None = Field(
        default=None, description="NAME of the secret that the gateway presents there as a bearer."
    )
    restarts: int = Field(default=0, description="Times the platform had to start it again.")
    memory_deaths: int | None = Field(
        default=None,
        description="Times its engine died for want of memory; None where the platform cannot know.",
    )
    message: str = ""
    since: datetime | None = None
    load_seconds: float | None = Field(default=None, description="Start of the process to ready.")
    memory_bytes: int | None = None
    usd_per_hour: float | None = Field(
        default=None, description="What it costs per hour now; None where sets cost nothing."
    )

    @property
    def is_ready(self) -> bool:
        return self.state is SetState.READY and self.port is not None

    @classmethod
    def absent(cls, name: str) -> "SetStatus":
        return cls(name=name, state=SetState.ABSENT)
