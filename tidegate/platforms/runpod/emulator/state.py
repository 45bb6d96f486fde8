"""What the emulator keeps: endpoints, jobs, workers, pods and the small resources, as plain records.

Records are mutable and owned by one event loop; whoever changes one saves it in the same step.
"""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

Json = dict[str, Any]

ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def new_id(length: int = 14) -> str:
    """An opaque identifier in the vendor's style."""
    return "".join(secrets.choice(ID_ALPHABET) for _ in range(length))


class EndpointType(StrEnum):
    QUEUE = "QUEUE"
    LOAD_BALANCER = "LOAD_BALANCER"


class WorkerStatus(StrEnum):
    RUNNING = "RUNNING"
    IDLE = "IDLE"
    INITIALIZING = "INITIALIZING"
    THROTTLED = "THROTTLED"
    UNHEALTHY = "UNHEALTHY"


class PodStatus(StrEnum):
    PROVISIONING = "PROVISIONING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    EXITED = "EXITED"
    ERROR = "ERROR"
    TERMINATED = "TERMINATED"


@dataclass
class Endpoint:
    """A serverless endpoint; `config` is its reply without ids, URLs and times."""

    id: str
    organization: str
    config: Json
    created_at: float
    version: int = 1
    releases: list[Json] = field(default_factory=list[Json])
    last_request_at: float = 0.0
    completed: int = 0
    failed: int = 0
    retried: int = 0

    @property
    def type(self) -> EndpointType:
        return EndpointType(self.config["type"])

    @property
    def env(self) -> Mapping[str, str]:
        return self.config["env"]


@dataclass
class Job:
    """One request of a queue endpoint. `input` is None when the platform has stripped an empty one."""

    id: str
    endpoint_id: str
    organization: str
    input: Any
    created_at: float
    queued_at: float
    status: str
    is_sync: bool
    ttl_s: float
    execution_timeout_s: float
    is_low_priority: bool = False
    webhook: str | None = None
    worker_id: str | None = None
    taken_at: float | None = None
    seen_at: float | None = None
    is_acknowledged: bool = False
    finished_at: float | None = None
    output: Any = None
    has_output: bool = False
    error: str | None = None
    losses: int = 0
    retries: int = 0
    delay_ms: int | None = None
    execution_ms: int | None = None


@dataclass
class Resource:
    """A template, volume, registry or delegation: its reply as a document, and who owns it."""

    id: str
    organization: str
    body: Json
    created_at: float


@dataclass
class Pod:
    """A pod; `config` holds what was asked for, `placement` where it landed."""

    id: str
    organization: str
    config: Json
    created_at: float
    status: PodStatus = PodStatus.PROVISIONING
    data_center: str | None = None
    price_per_hour: float = 0.0
    started_at: float | None = None
    wants_to_run: bool = True
    is_host_lost: bool = False


@dataclass
class Usage:
    """A span of time that is billed; open while `ended_at` is None."""

    id: str
    organization: str
    product: str
    resource_id: str
    unit: str
    usd_per_s: float
    started_at: float
    ended_at: float | None = None


def as_json(record: Any) -> Json:
    """A record as a document."""
    return asdict(record)
