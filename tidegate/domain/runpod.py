"""How a service runs its sets on RunPod. Names of secrets only, never values."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
DATA_CENTER_OF_VOLUME = "A network volume lives in one data centre, and pins the set to it."
NOT_OF_A_POD = frozenset(
    {
        "pools",
        "min_workers",
        "max_workers",
        "requests_per_worker",
        "idle_timeout_s",
        "request_timeout_s",
        "flashboot",
    }
)
"""A pod is one machine of one type, without a scaler, and its proxy has a limit of its own."""
ONLY_OF_A_POD = frozenset({"clouds"})


class RunPodServiceConfig(BaseModel):
    """Settings of one service on RunPod. Every limit here narrows what the organization allows."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: Literal["load_balancer", "queue", "pod"] = Field(
        default="load_balancer",
        description="load_balancer streams natively; queue keeps requests and gives them to workers as jobs; pod is "
        "one machine that runs, and is paid, until the set is removed.",
    )
    image: str = Field(min_length=1, description="Worker image, by digest or by a tag that is never reused.")
    model_url: str = Field(
        description="Where workers find the file: s3://..., https://..., or a path on the network volume. "
        "{digest} stands for the artifact's digest, {path} for its path in our own store."
    )
    gpu_types: tuple[str, ...] = Field(
        default=("*",), min_length=1, description="Shell patterns of GPU types."
    )
    pools: tuple[str, ...] = Field(default=("*",), min_length=1, description="Shell patterns of GPU pools.")
    gpus_per_worker: int = Field(default=1, ge=1)
    clouds: tuple[Literal["secure", "community"], ...] = Field(
        default=("secure", "community"),
        min_length=1,
        description="Whose machines a pod may run on, of those that the organization's limits allow.",
    )
    data_centers: tuple[str, ...] = Field(
        default=(), description="Where sets may run; empty leaves it to RunPod, which finds room most often."
    )
    max_price_per_hour_usd: Decimal | None = Field(
        default=None, ge=0, description="Highest price of one worker per hour."
    )
    min_workers: int = Field(
        default=1, ge=1, description="Warm workers. At least one: a set without workers is not ready."
    )
    max_workers: int = Field(default=2, ge=1)
    requests_per_worker: int | None = Field(
        default=None,
        ge=1,
        description="Requests at once before another worker is started; default: `parallel`.",
    )
    idle_timeout_s: int = Field(default=60, ge=1, le=3600)
    request_timeout_s: int = Field(default=300, ge=5, le=7 * 86400)
    init_timeout_s: int = Field(
        default=900, ge=60, description="A worker that is not ready by then is given up, with the set."
    )
    throttled_timeout_s: int = Field(
        default=600, ge=30, description="Without a machine for so long the set is taken back: no capacity."
    )
    disk_gb: int = Field(default=20, ge=1)
    network_volume: str | None = Field(default=None, description="Id of a network volume that holds models.")
    registry: str | None = Field(default=None, description="Id of RunPod's credentials for the image.")
    flashboot: bool = False
    env: dict[EnvName, str] = Field(default_factory=dict, description="Further variables of the worker.")
    secret_env: dict[EnvName, str] = Field(
        default_factory=dict,
        description="Variable -> name of a secret kept at RunPod, for example credentials of the bucket.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        foreign = sorted(self.model_fields_set & (NOT_OF_A_POD if self.kind == "pod" else ONLY_OF_A_POD))
        if foreign:
            raise ValueError(f"{', '.join(foreign)} mean nothing for kind {self.kind}: leave them out")
        if self.min_workers > self.max_workers:
            raise ValueError("min_workers must not exceed max_workers")
        if "{digest}" not in self.model_url and "{path}" not in self.model_url:
            raise ValueError("model_url must contain {digest} or {path}: otherwise every version is one file")
        if self.network_volume is not None and len(self.data_centers) != 1:
            raise ValueError(f"network_volume needs exactly one data centre. {DATA_CENTER_OF_VOLUME}")
        twice = sorted(set(self.env) & set(self.secret_env))
        if twice:
            raise ValueError(f"{', '.join(twice)} stand in env and in secret_env")
        return self

    @property
    def worker_bounds(self) -> tuple[int, int]:
        """Fewest and most workers of a set; a pod is one."""
        return (1, 1) if self.kind == "pod" else (self.min_workers, self.max_workers)

    def model_location(self, digest: str, path: str) -> str:
        """Where the workers of one set find the file."""
        return self.model_url.replace("{digest}", digest).replace("{path}", path)
