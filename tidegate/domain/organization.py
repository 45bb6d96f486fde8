"""Organizations and their services, as declared in `deployments/organizations/*.yaml`."""

from pydantic import BaseModel, ConfigDict, Field

from tidegate.domain.errors import NotFound
from tidegate.domain.names import Name, ServiceRef
from tidegate.domain.policy import Policy
from tidegate.domain.provenance import Provenance
from tidegate.domain.runpod import RunPodServiceConfig


class ServiceConfig(BaseModel):
    """How one service is run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    platform: str = Field(default="local", description="Platform on which its sets run.")
    models: tuple[str, ...] = Field(
        default=("*",), description="Model names (shell patterns) that may be released to it."
    )
    context_tokens: int = Field(default=256, ge=8)
    parallel: int = Field(default=4, ge=1)
    threads: int = Field(default=1, ge=1)
    max_memory_bytes: int = Field(default=2 * 1024**3, ge=64 * 1024**2)
    policy: Policy = Field(
        default=Policy(), description="Overrides of the organization's policy, merged over it."
    )
    runpod: RunPodServiceConfig | None = Field(
        default=None, description="How its sets run on RunPod; needed when `platform` is runpod."
    )


class Organization(BaseModel):
    """A tenant: its services, policies, and the names (never values) of its credentials."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    display_name: str
    credentials: dict[str, str] = Field(
        default_factory=dict, description="Platform -> name of the secret that holds its credential."
    )
    provenance: Provenance = Field(default=Provenance(), description="Signatures of model versions.")
    services: dict[Name, ServiceConfig]

    def service(self, ref: ServiceRef) -> ServiceConfig:
        """Raises: NotFound when the organization has no such service."""
        if ref.service not in self.services:
            raise NotFound(
                f"Organization {self.name} has no service '{ref.service}'.",
                remedy=f"Use one of: {', '.join(sorted(self.services))}.",
                field="service",
            )
        return self.services[ref.service]
