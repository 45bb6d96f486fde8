"""What a run on RunPod may be given: the form in Prefect's UI, and the checked values that a pod is made from."""

import re
from typing import Annotated, Any, Literal, Self

from prefect.workers.base import BaseJobConfiguration, BaseVariables
from pydantic import Field, StringConstraints, model_validator

COMMAND = "python -m deployments.pod"
# These decide whom the pod trusts and what it may spend; they come from the worker, never from a form.
RESERVED_ENV = re.compile(
    r"PREFECT_|RUNPOD_|TIDEGATE_RUNPOD_|TIDEGATE_SECRET_|TIDEGATE_POD_|TIDEGATE_EMULATED_|LD_|PYTHON"
)
SECRET_NAME = r"^[a-z][a-z0-9-]{1,99}$"
RUNPOD_SECRET_NAME = r"^[A-Za-z_][A-Za-z0-9_./-]{0,190}$"

RunPodSecret = Annotated[str, StringConstraints(pattern=RUNPOD_SECRET_NAME)]


class RunPodVariables(BaseVariables):
    """The form. A locked pool offers a part of it and fixes the rest."""

    image: str = Field(title="Image", description="Container image with the flows in it, by tag or digest.")
    gpu_types: list[str] = Field(
        title="GPU types",
        description="RunPod's ids of acceptable GPUs, best first; the first that is affordable and in stock is taken.",
        min_length=1,
        examples=[["NVIDIA RTX A4000", "NVIDIA L4"]],
    )
    gpu_count: int = Field(default=1, ge=1, le=8, title="GPUs", description="GPUs of one pod.")
    disk_gb: int = Field(default=20, ge=1, le=2000, title="Disk", description="Container disk in GB.")
    volume_gb: int | None = Field(
        default=None,
        ge=10,
        le=4096,
        title="Volume",
        description="Further storage of the pod's machine in GB.",
    )
    network_volume_id: str | None = Field(
        default=None, title="Network volume", description="Id of a network volume; it pins the data centre."
    )
    volume_path: str = Field(
        default="/workspace", title="Volume path", description="Where the volume appears."
    )
    max_usd_per_hour: float = Field(
        default=1.0,
        gt=0,
        title="Price cap",
        description="Most that the whole pod may cost in an hour, in USD.",
    )
    cloud: Literal["SECURE", "COMMUNITY"] = Field(
        default="SECURE", title="Cloud", description="Whose machines: data centres' or anybody's."
    )
    data_center_ids: list[str] = Field(
        default_factory=list, title="Data centres", description="Where it may run; empty for anywhere."
    )
    timeout_s: int = Field(
        default=3600, ge=60, le=86400, title="Timeout", description="Seconds after which the pod ends itself."
    )
    start_timeout_s: int = Field(
        default=900,
        ge=30,
        le=7200,
        title="Start timeout",
        description="Seconds until the container must run.",
    )
    capacity_wait_s: int = Field(
        default=3600,
        ge=0,
        le=86400,
        title="Wait for GPUs",
        description="Seconds that the run waits while no wanted GPU is to be had; 0 to fail at once.",
    )
    secret_env: dict[str, RunPodSecret] = Field(
        default_factory=dict,
        title="Secrets",
        description="Variables of the pod and the names of RunPod secrets that fill them.",
    )
    prefect_auth_secret: RunPodSecret | None = Field(
        default=None,
        title="Prefect's credential",
        description="Name of the RunPod secret that holds PREFECT_API_AUTH_STRING, where the server wants one.",
    )
    prefect_api_url: str | None = Field(
        default=None,
        title="Prefect's API",
        description="URL that pods reach the server by, if not the worker's own.",
    )
    credential: str = Field(
        title="Credential",
        description="Name of the secret of Tidegate that holds the RunPod key; never the key.",
        pattern=SECRET_NAME,
        examples=["runpod-credential-swaggystacks"],
    )


class RunPodJobConfiguration(BaseJobConfiguration):
    """Checked values of one run. `env` and `labels` are Prefect's; `command` is ours."""

    image: str
    gpu_types: list[str] = Field(min_length=1)
    gpu_count: int = Field(default=1, ge=1, le=8)
    disk_gb: int = Field(default=20, ge=1, le=2000)
    volume_gb: int | None = Field(default=None, ge=10, le=4096)
    network_volume_id: str | None = None
    volume_path: str = "/workspace"
    max_usd_per_hour: float = Field(default=1.0, gt=0)
    cloud: Literal["SECURE", "COMMUNITY"] = "SECURE"
    data_center_ids: list[str] = Field(default_factory=list)
    timeout_s: int = Field(default=3600, ge=60, le=86400)
    start_timeout_s: int = Field(default=900, ge=30, le=7200)
    capacity_wait_s: int = Field(default=3600, ge=0, le=86400)
    secret_env: dict[str, RunPodSecret] = Field(default_factory=dict)
    prefect_auth_secret: RunPodSecret | None = None
    prefect_api_url: str | None = None
    credential: str = Field(pattern=SECRET_NAME)

    @model_validator(mode="after")
    def _sane(self) -> Self:
        if self.volume_gb is not None and self.network_volume_id is not None:
            raise ValueError("give volume_gb or network_volume_id, not both")
        reserved = sorted(name for name in [*self.env, *self.secret_env] if RESERVED_ENV.match(name))
        if reserved:
            raise ValueError(f"the worker sets these variables itself: {', '.join(reserved)}")
        return self

    @staticmethod
    def _base_flow_run_command() -> str:
        return COMMAND

    def prepare_for_flow_run(self, *args: Any, **kwargs: Any) -> None:
        """Prefect's own, and then the credentials of this worker are taken out again: Prefect copies them all."""
        from deployments.runpod_worker.environment import pod_environment

        super().prepare_for_flow_run(*args, **kwargs)
        self.env = dict(pod_environment(self))
