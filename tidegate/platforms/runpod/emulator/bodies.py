"""Request bodies of the control plane, as strict as the vendor's document: unknown fields and nulls are refused.

Written apart from the client's models on purpose: two readings of one document find each other's mistakes.
"""

import json
from collections.abc import Hashable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from tidegate.platforms.runpod.emulator.problems import Problem

Cuda = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+$")]
CudaOrNone = Annotated[str, Field(pattern=r"^$|^[0-9]+\.[0-9]+$")]
Name = Annotated[str, Field(min_length=1)]
ExcludedType = Annotated[str, Field(pattern=r"^\s*[^-\s]")]
LARGEST_EXACT = 2**53


def _unique(items: list[Any]) -> list[Any]:
    seen: set[Hashable] = set()
    for item in items:
        key = item if isinstance(item, str) else item.model_dump_json()
        if key in seen:
            raise ValueError("items must be unique")
        seen.add(key)
    return items


class Body(BaseModel):
    """Strict: no coercion, no unknown fields; what was not sent stays unset."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PersistentMount(Body):
    size: Annotated[int, Field(ge=10)]
    path: str


class NetworkMount(Body):
    volumeId: str  # noqa: N815  the vendor's name
    path: str


class Mounts(Body):
    persistent: PersistentMount = Field(default=None)  # pyright: ignore[reportAssignmentType]  unset
    network: Annotated[list[NetworkMount], Field(max_length=1)] = Field(default_factory=list[NetworkMount])


class TemplateMounts(Body):
    persistent: PersistentMount = Field(default=None)  # pyright: ignore[reportAssignmentType]  unset


class Container(Body):
    """Container fields; every default is a stand-in for "not sent" and never read."""

    args: str = ""
    disk: Annotated[int, Field(ge=1)] = 1
    env: dict[str, str] = Field(default_factory=dict[str, str])
    image: str = ""
    ports: list[str] = Field(default_factory=list[str])
    registry: str | None = None


class CpuChoice(Body):
    id: Name
    vcpuCount: Annotated[int, Field(ge=2)]  # noqa: N815


class EndpointGpu(Body):
    pools: Annotated[list[str], Field(min_length=1)]
    excludedTypes: Annotated[list[ExcludedType], AfterValidator(_unique)] = Field(default_factory=list[str])  # noqa: N815
    count: Annotated[int, Field(ge=1)] = 1
    allowedCudaVersions: list[Cuda] = Field(default_factory=list[str])  # noqa: N815
    minCudaVersion: Cuda = ""  # noqa: N815


class EndpointGpuPatch(Body):
    pools: Annotated[list[str], Field(min_length=1)] = Field(default_factory=list[str])
    excludedTypes: Annotated[list[ExcludedType], AfterValidator(_unique)] = Field(default_factory=list[str])  # noqa: N815
    count: Annotated[int, Field(ge=1)] = 1
    allowedCudaVersions: list[Cuda] = Field(default_factory=list[str])  # noqa: N815
    minCudaVersion: CudaOrNone = ""  # noqa: N815

    @model_validator(mode="after")
    def _exclusions_need_pools(self) -> "EndpointGpuPatch":
        if "excludedTypes" in self.model_fields_set and "pools" not in self.model_fields_set:
            raise ValueError("property 'pools' is required, if 'excludedTypes' property exists")
        return self


class Workers(Body):
    min: Annotated[int, Field(ge=0)] = 0
    max: Annotated[int, Field(ge=0)] = 3
    idleTimeout: Annotated[int, Field(ge=1, le=3600)] = 10  # noqa: N815


class QueueDelay(Body):
    type: Literal["QUEUE_DELAY"]
    queueDelay: Annotated[float, Field(ge=0.5)]  # noqa: N815


class RequestCount(Body):
    type: Literal["REQUEST_COUNT"]
    requestCount: Annotated[int, Field(ge=1)]  # noqa: N815


Scaling = Annotated[QueueDelay | RequestCount, Field(discriminator="type")]
FlashBoot = Literal["OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT"]
CpuList = Annotated[list[CpuChoice], Field(min_length=1), AfterValidator(_unique)]


class CreateEndpoint(Container):
    name: Name
    type: Literal["QUEUE", "LOAD_BALANCER"]
    scaling: Scaling
    gpu: EndpointGpu = Field(default=None)  # pyright: ignore[reportAssignmentType]  unset
    cpu: CpuList = Field(default_factory=list[CpuChoice])
    dataCenterIds: list[str] = Field(default_factory=list[str])  # noqa: N815
    flashboot: FlashBoot = "OFF"
    networkVolumes: list[str] = Field(default_factory=list[str])  # noqa: N815
    templateId: Name = ""  # noqa: N815
    timeout: int = 300_000
    workers: Workers = Field(default_factory=Workers)

    @model_validator(mode="after")
    def _rules_between_fields(self) -> "CreateEndpoint":
        if not {"image", "templateId"} & self.model_fields_set:
            raise ValueError("missing property 'image'")
        if self.type == "LOAD_BALANCER" and self.scaling.type != "REQUEST_COUNT":
            raise ValueError("scaling of LOAD_BALANCER must be REQUEST_COUNT")
        return self


class PatchEndpoint(Container):
    name: Name = ""
    scaling: Scaling = Field(default=None)  # pyright: ignore[reportAssignmentType]  unset
    gpu: EndpointGpuPatch = Field(default=None)  # pyright: ignore[reportAssignmentType]  unset
    cpu: CpuList = Field(default_factory=list[CpuChoice])
    dataCenterIds: list[str] = Field(default_factory=list[str])  # noqa: N815
    flashboot: FlashBoot = "OFF"
    networkVolumes: list[str] = Field(default_factory=list[str])  # noqa: N815
    templateId: str = ""  # noqa: N815
    timeout: int = 0
    workers: Workers = Field(default_factory=Workers)


class PodGpu(Body):
    id: str
    count: Annotated[int, Field(ge=1)] = 1
    allowedCudaVersions: list[Cuda] = Field(default_factory=list[str])  # noqa: N815
    minCudaVersion: Cuda = ""  # noqa: N815


class CreatePod(Container):
    name: Name
    cloud: Literal["SECURE", "COMMUNITY"] = "SECURE"
    cpu: CpuChoice = Field(default=None)  # pyright: ignore[reportAssignmentType]  unset
    gpu: PodGpu = Field(default=None)  # pyright: ignore[reportAssignmentType]  unset
    dataCenterIds: list[str] = Field(default_factory=list[str])  # noqa: N815
    globalNetworking: bool = False  # noqa: N815
    mounts: Mounts = Mounts()
    startJupyter: bool = False  # noqa: N815
    startSsh: bool = False  # noqa: N815
    templateId: Name = ""  # noqa: N815

    @model_validator(mode="after")
    def _needs_an_image(self) -> "CreatePod":
        if not {"image", "templateId"} & self.model_fields_set:
            raise ValueError("missing property 'image'")
        return self


class PatchPod(Container):
    name: Name = ""
    globalNetworking: bool = False  # noqa: N815
    locked: bool = False
    mounts: Mounts = Mounts()
    templateId: str = ""  # noqa: N815


class PodAction(Body):
    action: Literal["start", "stop", "restart", "terminate"]


class CreateTemplate(Container):
    name: Name
    allowedCudaVersions: list[Cuda] = Field(default_factory=list[str])  # noqa: N815
    category: Literal["CPU", "NVIDIA", "AMD"] = "NVIDIA"
    mounts: TemplateMounts = TemplateMounts()
    public: bool = False
    serverless: bool = False
    startJupyter: bool = True  # noqa: N815
    startSsh: bool = True  # noqa: N815

    @model_validator(mode="after")
    def _needs_an_image(self) -> "CreateTemplate":
        if "image" not in self.model_fields_set:
            raise ValueError("missing property 'image'")
        return self


class PatchTemplate(Container):
    name: Name = ""
    allowedCudaVersions: list[Cuda] = Field(default_factory=list[str])  # noqa: N815
    category: Literal["CPU", "NVIDIA", "AMD"] = "NVIDIA"
    mounts: TemplateMounts = TemplateMounts()
    public: bool = False
    serverless: bool = False
    startJupyter: bool = True  # noqa: N815
    startSsh: bool = True  # noqa: N815


VolumeSize = Annotated[int, Field(ge=10, le=4096)]


class CreateVolume(Body):
    name: Name
    size: VolumeSize
    dataCenter: Name  # noqa: N815
    type: Literal["STANDARD", "HIGH_PERFORMANCE"] = "STANDARD"


class PatchVolume(Body):
    name: Name = ""
    size: VolumeSize = 10

    @model_validator(mode="after")
    def _changes_something(self) -> "PatchVolume":
        if not self.model_fields_set:
            raise ValueError("minimum 1 properties allowed, but found 0 properties")
        return self


class CreateRegistry(Body):
    name: Name
    username: Name
    password: Name


class CreateDelegation(Body):
    resource: str
    name: str | None = None


class SshKeys(Body):
    keys: list[Annotated[str, Field(pattern=r"^(ssh|ecdsa|sk)-[^\s]+ [^\s]+([ \t][^\n\r]*)?$")]]


Parsed = TypeVar("Parsed", bound=Body)


def _number(text: str) -> int | float:
    """JSON Schema calls 2.0 an integer."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < LARGEST_EXACT else value


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def parse(model: type[Parsed], raw: bytes) -> Parsed:
    """The body as a value.

    Raises:
        Problem: 400 when it is no JSON, 422 when it breaks the schema, one text per broken rule.
    """
    try:
        data = json.loads(raw.decode(), parse_float=_number, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "request body is not valid JSON") from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        texts = [_text_of(dict(one)) for one in error.errors(include_url=False)]
        raise Problem(422, "request body does not match the schema", errors=texts) from error


def _text_of(error: dict[str, Any]) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"][:-1])
    last = error["loc"][-1] if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        return f"${place}: additional properties '{last}' not allowed"
    if error["type"] == "missing":
        return f"${place}: missing property '{last}'"
    whole = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
    return f"${whole}: {error['msg']}"
