"""What RunPod's control plane answers, as permissive models.

Unknown fields are dropped, unknown words are kept as text, a null where we have a default is that default: a
field that RunPod adds or leaves out must never stop a release or hide a resource that costs money.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel


class WorkerStatus(StrEnum):
    """The words that RunPod documents for a worker."""

    RUNNING = "RUNNING"
    IDLE = "IDLE"
    INITIALIZING = "INITIALIZING"
    THROTTLED = "THROTTLED"
    UNHEALTHY = "UNHEALTHY"


class PodStatus(StrEnum):
    """The words that RunPod documents for a pod."""

    PROVISIONING = "PROVISIONING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    EXITED = "EXITED"
    ERROR = "ERROR"
    TERMINATED = "TERMINATED"


class Availability(StrEnum):
    """How much of a GPU there is. The order is the order of preference."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"
    NONE = "NONE"


class Reply(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        # A key that comes back in a reply must not be shown by an error about that reply.
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        return {key: value for key, value in cast("Mapping[str, Any]", data).items() if value is not None}


class Container(Reply):
    """What every container has. `env` may hold credentials and is never shown."""

    image: str | None = None
    args: str | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    disk: int | None = None
    env: dict[str, str] = Field(default_factory=dict, repr=False)
    ports: tuple[str, ...] = ()
    registry: str | None = None


class RequestUrls(Reply):
    """Absolute URLs of an endpoint: the first eight for a queue, `base` for a load balancer, `health` for both."""

    run: str | None = None
    run_sync: str | None = None
    status: str | None = None
    stream: str | None = None
    cancel: str | None = None
    retry: str | None = None
    purge_queue: str | None = None
    health: str | None = None
    base: str | None = None


class EndpointGpus(Reply):
    """Which GPUs the workers of an endpoint may get."""

    pools: tuple[str, ...] = ()
    excluded_types: tuple[str, ...] = ()
    count: int = 1
    allowed_cuda_versions: tuple[str, ...] = ()
    min_cuda_version: str | None = None


class WorkerBounds(Reply):
    """How many workers an endpoint may have."""

    min: int = 0
    max: int = 0
    idle_timeout: int | None = None


class Endpoint(Container):
    """A serverless endpoint."""

    id: str
    name: str
    type: str | None = None
    request_urls: RequestUrls = RequestUrls()
    gpu: EndpointGpus | None = None
    workers: WorkerBounds = WorkerBounds()
    data_center_ids: tuple[str, ...] = ()
    network_volumes: tuple[str, ...] = ()
    timeout: int | None = None
    flashboot: str | None = None
    created_at: datetime | None = None


class Worker(Reply):
    """One worker of an endpoint. `is_stale` is the sign of an old version."""

    id: str
    status: str = "UNKNOWN"
    is_stale: bool = False
    version: int | None = None
    gpu_count: int = 0
    image: str | None = None
    uptime_seconds: int | None = None
    gpu_type_id: str | None = None
    data_center_id: str | None = None
    started_at: datetime | None = None


class WorkerSummary(Reply):
    """Counts of workers by status."""

    running: int = 0
    idle: int = 0
    initializing: int = 0
    throttled: int = 0
    unhealthy: int = 0
    total: int = 0


class WorkerList(Reply):
    """The workers of an endpoint; scaled-down ones are absent."""

    workers: tuple[Worker, ...] = ()
    summary: WorkerSummary = WorkerSummary()
    endpoint_version: int | None = None


class ReleaseChange(Reply):
    """One field that a version changed. The values may hold credentials and are never shown."""

    field: str
    old: Any = Field(default=None, repr=False)
    new: Any = Field(default=None, repr=False)


class EndpointRelease(Reply):
    """One version of an endpoint."""

    id: str
    version: int | None = None
    source: str = ""
    worker_count: int = 0
    created_at: datetime | None = None
    diff: tuple[ReleaseChange, ...] = ()


class Rollout(Reply):
    """How far the newest version has come. With no workers it proves nothing."""

    in_progress: bool = False
    workers_on_latest: int = 0
    workers_total: int = 0
    percent_on_latest: int = 0


class ReleaseList(Reply):
    """Versions of an endpoint, newest first."""

    releases: tuple[EndpointRelease, ...] = ()
    rollout: Rollout = Rollout()
    endpoint_version: int | None = None


class PodGpus(Reply):
    """The GPUs of a pod. Memory and virtual CPUs are told since September 2026."""

    id: str = ""
    count: int = 1
    memory: int | None = None
    vcpu_count: int | None = None


class GpuUse(Reply):
    """Load of one GPU in percent."""

    util: int = 0
    memory_util: int = 0


class PortMapping(Reply):
    """A port of a pod and where it can be reached."""

    private: int
    public: int | None = None
    type: str = ""
    ip: str | None = None


class PodRuntime(Reply):
    """Live figures of a running pod."""

    uptime: int = 0
    gpus: tuple[GpuUse, ...] = ()
    ports: tuple[PortMapping, ...] = ()


class Pod(Container):
    """A pod. `cost` is USD per hour, 0 when it does not run."""

    id: str
    name: str
    status: str = "UNKNOWN"
    actions: tuple[str, ...] = ()
    gpu: PodGpus | None = None
    cloud: str | None = None
    data_center_id: str | None = None
    cost: Decimal = Decimal(0)
    locked: bool = False
    runtime: PodRuntime | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None


class Template(Container):
    """A template; endpoints and pods copy it once."""

    id: str
    name: str
    serverless: bool = False
    public: bool = False


class NetworkVolume(Reply):
    """A network volume; size in GB. It pins whatever mounts it to its data centre."""

    id: str
    name: str
    size: int = 0
    data_center: str = ""
    type: str = ""


class Registry(Reply):
    """Credentials of a container registry, by name only."""

    id: str
    name: str


class Stock(Reply):
    """Availability of something in one place; an unknown level counts as none."""

    id: str
    name: str = ""
    availability: str = Availability.NONE


class GpuPrice(Reply):
    """USD per hour of a single GPU."""

    secure: Decimal | None = None
    community: Decimal | None = None
    serverless: Decimal | None = None


class GpuLimit(Reply):
    """Most GPUs of one type in a single machine."""

    secure: int = 0
    community: int = 0


class GpuType(Reply):
    """A GPU type of the catalog; memory in GB. `availability` is told only when it was asked for."""

    id: str
    name: str = ""
    pool: str | None = None
    manufacturer: str = "UNKNOWN"
    memory: int = 0
    secure: bool = False
    community: bool = False
    price: GpuPrice = GpuPrice()
    max_count: GpuLimit = GpuLimit()
    availability: str | None = None
    data_centers: tuple[Stock, ...] = ()


class CpuPrice(Reply):
    """USD per hour of one virtual CPU."""

    secure_per_vcpu: Decimal | None = None
    serverless_per_vcpu: Decimal | None = None


class CpuType(Reply):
    """A CPU flavour of the catalog."""

    id: str
    name: str = ""
    group: str = ""
    ram_gb_per_vcpu: float = 0.0
    price: CpuPrice = CpuPrice()
    availability: str | None = None
    data_centers: tuple[Stock, ...] = ()


class DataCenter(Reply):
    """A place where RunPod has machines."""

    id: str
    name: str = ""
    region: str = ""
    network_volume_types: tuple[str, ...] = ()
    compliance: tuple[str, ...] = ()
    gpu_availability: tuple[Stock, ...] = ()
    cpu_availability: tuple[Stock, ...] = ()


class BillingRecord(Reply):
    """What one resource cost in one span of time, in USD. Amounts that a route does not tell are zero."""

    start_time: datetime
    end_time: datetime
    pod_id: str | None = None
    serverless_id: str | None = None
    network_volume_id: str | None = None
    total_amount: Decimal = Decimal(0)
    gpu_amount: Decimal = Decimal(0)
    cpu_amount: Decimal = Decimal(0)
    disk_amount: Decimal = Decimal(0)
    fee_amount: Decimal = Decimal(0)


class Pagination(Reply):
    """Where the next page begins. Absent in the August generation of the API: then there is one page."""

    next_cursor: str | None = None
    has_next_page: bool = False


class LogLine(Reply):
    """One line of a log. `event_id` is opaque: RunPod changed its form once already."""

    source: str = ""
    line: str = ""
    ts: str = ""
    event_id: str | None = None
