"""What may be asked of RunPod about templates, network volumes and registries. Strict, as in `wire`."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tidegate.domain import Secret
from tidegate.platforms.runpod.wire import (
    UNSET,
    Ask,
    ContainerAsk,
    CudaVersion,
    Maybe,
    PersistentMount,
    Port,
    Text,
)


class VolumeType(StrEnum):
    """Which storage a network volume is made of."""

    STANDARD = "STANDARD"
    HIGH_PERFORMANCE = "HIGH_PERFORMANCE"


class TemplateMounts(Ask):
    """Templates know storage of the pod's machine only."""

    persistent: PersistentMount


class TemplateAsk(ContainerAsk):
    """What a template can hold beside its container."""

    ports: Maybe[tuple[Port, ...]] = UNSET
    mounts: Maybe[TemplateMounts] = UNSET
    category: Maybe[Literal["CPU", "NVIDIA", "AMD"]] = UNSET
    allowed_cuda_versions: Maybe[tuple[CudaVersion, ...]] = UNSET


class CreateTemplate(TemplateAsk):
    """A new template. RunPod starts SSH and Jupyter by default; here both are off unless asked for."""

    name: Text
    serverless: bool = False
    public: bool = False
    start_ssh: bool = False
    start_jupyter: bool = False

    @model_validator(mode="after")
    def _has_image(self) -> Self:
        if self.image is UNSET:
            raise ValueError("image is needed")
        return self


class UpdateTemplate(TemplateAsk):
    """A PATCH of a template. What was made from it does not change."""

    name: Maybe[Text] = UNSET
    serverless: Maybe[bool] = UNSET
    public: Maybe[bool] = UNSET
    start_ssh: Maybe[bool] = UNSET
    start_jupyter: Maybe[bool] = UNSET


class CreateVolume(Ask):
    """A new network volume; size in GB, can only grow."""

    name: Text
    size: int = Field(ge=10, le=4096)
    data_center: Text
    type: Maybe[VolumeType] = UNSET


class UpdateVolume(Ask):
    """A PATCH of a network volume."""

    name: Maybe[Text] = UNSET
    size: Maybe[Annotated[int, Field(ge=10, le=4096)]] = UNSET

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.name is UNSET and self.size is UNSET:
            raise ValueError("give a name or a size")
        return self


class CreateRegistry(Ask):
    """Credentials of a container registry; RunPod never gives the password back."""

    name: Text
    username: Text
    password: Secret
