"""What may be asked of RunPod's control plane (REST v2), as strict models: RunPod refuses unknown fields.

A field that is `UNSET` is not sent; `None`, `[]` and `""` are sent and have a meaning of their own. Fields
with any other default are always sent, because RunPod's own defaults differ between its documents and reality.
"""

import re
from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Annotated, Literal, Self, TypeVar, Union, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from tidegate.domain import Secret


class Unset(Enum):
    """The type of `UNSET`: a field that is left out of the request."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset.UNSET
T = TypeVar("T")
Maybe = Union[T, Unset]  # noqa: UP007 - the `X | Y` form makes no generic alias in Python 3.11

Text = Annotated[str, StringConstraints(min_length=1)]
CudaVersion = Annotated[str, StringConstraints(pattern=r"^\d+\.\d+$")]
CudaFloor = Annotated[str, StringConstraints(pattern=r"^$|^\d+\.\d+$")]
Port = Annotated[str, StringConstraints(pattern=r"^\d{1,5}/(http|tcp)$")]


class EndpointKind(StrEnum):
    """How requests reach the workers; it can never be changed afterwards."""

    QUEUE = "QUEUE"
    LOAD_BALANCER = "LOAD_BALANCER"


class Flashboot(StrEnum):
    """Whether a worker's state is kept for a faster restart."""

    OFF = "OFF"
    ON = "FLASHBOOT"
    PRIORITY = "PRIORITY_FLASHBOOT"


class Cloud(StrEnum):
    """Whose machines a pod runs on."""

    SECURE = "SECURE"
    COMMUNITY = "COMMUNITY"


class Product(StrEnum):
    """For what availability is asked: the same GPU may be scarce for one and plentiful for another."""

    POD = "POD"
    SERVERLESS = "SERVERLESS"


class PodAction(StrEnum):
    """What can be done to a pod, when its status allows it."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    TERMINATE = "terminate"


class Ask(BaseModel):
    """A request body. Wrong names and types are refused here, before RunPod would."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        arbitrary_types_allowed=True,
    )

    def body(self) -> dict[str, object]:
        """As JSON, with RunPod's names; unset fields are absent."""
        return {
            field.alias or name: _plain(value)
            for name, field in type(self).model_fields.items()
            if (value := getattr(self, name)) is not UNSET
        }


def _plain(value: object) -> object:
    """Secrets become clear text here and nowhere else: the body goes straight to RunPod."""
    if isinstance(value, Ask):
        return value.body()
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in cast("Mapping[str, object]", value).items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in cast("tuple[object, ...]", value)]
    return value


class ContainerAsk(Ask):
    """What every container has. `env` may hold credentials and is never shown."""

    image: Maybe[Text] = UNSET
    args: Maybe[str] = UNSET
    entrypoint: Maybe[tuple[str, ...]] = Field(
        default=UNSET, description="Known to RunPod since September 2026."
    )
    cmd: Maybe[tuple[str, ...]] = Field(default=UNSET, description="Known to RunPod since September 2026.")
    disk: Maybe[Annotated[int, Field(ge=1)]] = Field(default=UNSET, description="Container disk in GB.")
    env: Maybe[dict[str, str]] = Field(
        default=UNSET, repr=False, description="A PATCH replaces the whole map."
    )
    registry: Maybe[str | None] = UNSET

    @model_validator(mode="after")
    def _one_way_to_start(self) -> Self:
        if self.args is not UNSET and (self.entrypoint is not UNSET or self.cmd is not UNSET):
            raise ValueError("give args, or entrypoint and cmd, not both")
        return self


class QueueDelay(Ask):
    """One more worker while the oldest request waits longer than this."""

    type: Literal["QUEUE_DELAY"] = "QUEUE_DELAY"
    queue_delay: float = Field(default=4.0, ge=0.5, description="Seconds.")


class RequestCount(Ask):
    """As many workers as the waiting and running requests need at this many each."""

    type: Literal["REQUEST_COUNT"] = "REQUEST_COUNT"
    request_count: int = Field(default=1, ge=1)


class CudaAsk(Ask):
    """An exact set of CUDA versions or a lowest one, never both."""

    allowed_cuda_versions: Maybe[tuple[CudaVersion, ...]] = UNSET
    min_cuda_version: Maybe[CudaFloor] = UNSET

    @model_validator(mode="after")
    def _set_or_floor(self) -> Self:
        if self.allowed_cuda_versions not in (UNSET, ()) and self.min_cuda_version not in (UNSET, ""):
            raise ValueError("allowed_cuda_versions and min_cuda_version exclude each other")
        return self


class EndpointGpu(CudaAsk):
    """Which GPUs a worker may get. `count` is always sent: without it creates have failed at random."""

    pools: tuple[Text, ...] = Field(min_length=1)
    excluded_types: Maybe[tuple[Annotated[str, StringConstraints(pattern=r"^\s*[^-\s]")], ...]] = UNSET
    count: int = Field(default=1, ge=1)
    min_cuda_version: Maybe[CudaVersion] = UNSET


class EndpointGpuChange(CudaAsk):
    """Changes to the GPUs of an endpoint. `pools` alone clears the exclusions."""

    pools: Maybe[Annotated[tuple[Text, ...], Field(min_length=1)]] = UNSET
    excluded_types: Maybe[tuple[Text, ...]] = UNSET
    count: Maybe[Annotated[int, Field(ge=1)]] = UNSET

    @model_validator(mode="after")
    def _exclusions_need_pools(self) -> Self:
        if self.excluded_types is not UNSET and self.pools is UNSET:
            raise ValueError("excluded_types needs pools: the two are one choice")
        return self


class Cpu(Ask):
    """A CPU flavour with a number of virtual CPUs."""

    id: Text
    vcpu_count: int = Field(ge=2)

    @model_validator(mode="after")
    def _power_of_two(self) -> Self:
        if self.vcpu_count & (self.vcpu_count - 1):
            raise ValueError("vcpu_count must be a power of two")
        return self


class Workers(Ask):
    """How many workers an endpoint may have. `idle_timeout` in seconds."""

    min: Annotated[int, Field(ge=0)]
    max: Annotated[int, Field(ge=0)]
    idle_timeout: Maybe[Annotated[int, Field(ge=1, le=3600)]] = UNSET

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError("min must not exceed max")
        return self


class WorkersChange(Ask):
    """Changes to the number of workers."""

    min: Maybe[Annotated[int, Field(ge=0)]] = UNSET
    max: Maybe[Annotated[int, Field(ge=0)]] = UNSET
    idle_timeout: Maybe[Annotated[int, Field(ge=1, le=3600)]] = UNSET


class CreateEndpoint(ContainerAsk):
    """A new serverless endpoint. `timeout` (ms) and `flashboot` are always sent, and so are the ports."""

    name: Text
    type: EndpointKind
    scaling: QueueDelay | RequestCount
    workers: Workers
    timeout: int = Field(ge=0, description="Milliseconds that one request may run.")
    ports: tuple[Port, ...]
    flashboot: Flashboot = Flashboot.OFF
    gpu: Maybe[EndpointGpu] = UNSET
    cpu: Maybe[Annotated[tuple[Cpu, ...], Field(min_length=1)]] = UNSET
    data_center_ids: Maybe[tuple[Text, ...]] = UNSET
    network_volumes: Maybe[tuple[Text, ...]] = UNSET
    template_id: Maybe[Text] = UNSET

    @model_validator(mode="after")
    def _rules_of_runpod(self) -> Self:
        if (self.gpu is UNSET) == (self.cpu is UNSET):
            raise ValueError("give exactly one of gpu and cpu")
        if self.image is UNSET and self.template_id is UNSET:
            raise ValueError("image is needed without a template")
        counts = isinstance(self.scaling, RequestCount)
        if self.type is EndpointKind.LOAD_BALANCER and not counts:
            raise ValueError("a load balancer scales by REQUEST_COUNT only")
        if self.type is EndpointKind.QUEUE and counts and self.workers.idle_timeout is not UNSET:
            raise ValueError("idle_timeout is refused for a queue that scales by REQUEST_COUNT")
        return self


class UpdateEndpoint(ContainerAsk):
    """A PATCH of an endpoint: only what is given changes."""

    name: Maybe[Text] = UNSET
    scaling: Maybe[QueueDelay | RequestCount] = UNSET
    workers: Maybe[WorkersChange] = UNSET
    timeout: Maybe[int] = UNSET
    ports: Maybe[tuple[Port, ...]] = UNSET
    flashboot: Maybe[Flashboot] = UNSET
    gpu: Maybe[EndpointGpuChange] = UNSET
    cpu: Maybe[Annotated[tuple[Cpu, ...], Field(min_length=1)]] = UNSET
    data_center_ids: Maybe[tuple[Text, ...]] = UNSET
    network_volumes: Maybe[tuple[Text, ...]] = UNSET
    template_id: Maybe[Text] = UNSET


class PersistentMount(Ask):
    """Storage of the pod's own machine; size in GB."""

    size: int = Field(ge=10)
    path: Text


class NetworkMount(Ask):
    """A network volume and where it appears."""

    volume_id: Text
    path: Text


class Mounts(Ask):
    """At most one kind of mount."""

    persistent: Maybe[PersistentMount] = UNSET
    network: Maybe[Annotated[tuple[NetworkMount, ...], Field(min_length=1, max_length=1)]] = UNSET

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.persistent is not UNSET and self.network is not UNSET:
            raise ValueError("persistent and network mounts exclude each other")
        return self


class PodGpu(CudaAsk):
    """One GPU type. `count` is always sent: without it creates were refused as if there were no stock."""

    id: Text
    count: int = Field(default=1, ge=1)
    min_cuda_version: Maybe[CudaVersion] = UNSET


class CreatePod(ContainerAsk):
    """A new pod."""

    name: Text
    ports: tuple[Port, ...]
    cloud: Cloud = Cloud.SECURE
    gpu: Maybe[PodGpu] = UNSET
    cpu: Maybe[Cpu] = UNSET
    data_center_ids: Maybe[tuple[Text, ...]] = UNSET
    global_networking: Maybe[bool] = UNSET
    mounts: Maybe[Mounts] = UNSET
    start_ssh: bool = False
    start_jupyter: bool = False
    template_id: Maybe[Text] = UNSET

    @model_validator(mode="after")
    def _rules_of_runpod(self) -> Self:
        if (self.gpu is UNSET) == (self.cpu is UNSET):
            raise ValueError("give exactly one of gpu and cpu")
        if self.image is UNSET and self.template_id is UNSET:
            raise ValueError("image is needed without a template")
        if self.cpu is not UNSET and self.mounts is not UNSET and self.mounts.persistent is not UNSET:
            raise ValueError("a CPU pod has no persistent mount")
        return self


class UpdatePod(ContainerAsk):
    """A PATCH of a pod."""

    name: Maybe[Text] = UNSET
    ports: Maybe[tuple[Port, ...]] = UNSET
    locked: Maybe[bool] = UNSET
    global_networking: Maybe[bool] = UNSET
    mounts: Maybe[Mounts] = UNSET
    template_id: Maybe[Text] = UNSET


SECRET_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_.\-/]{0,190}$")


def secret_placeholder(name: str) -> str:
    """The value of an environment variable that RunPod replaces by its own secret when a container starts.

    Raises: ValueError for a name that RunPod's secrets cannot have.
    """
    if not SECRET_NAME.match(name):
        raise ValueError(f"'{name}' cannot be the name of a secret at RunPod")
    return "{{ RUNPOD_SECRET_" + name + " }}"
