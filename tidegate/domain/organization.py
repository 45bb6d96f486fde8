"""Organizations and their services, as declared in `deployments/organizations/*.yaml`."""

from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from tidegate.domain.channel import Channel
from tidegate.domain.errors import NotFound, Refused
from tidegate.domain.names import Name, ServiceRef
from tidegate.domain.policy import Policy
from tidegate.domain.provenance import Provenance
from tidegate.domain.roles import Permission, Role, role_for
from tidegate.domain.runpod import RunPodServiceConfig
from tidegate.domain.secret_reference import SecretRef

NIGHTLY = "schedule:nightly"
TRAINING = "service:training"

Person = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9._-]{0,62}$")]
"""A person's short name, for example `ada`."""
Machine = Annotated[str, StringConstraints(pattern=r"^(service|schedule):[a-z][a-z0-9-]{0,62}$")]
"""Something that asks by itself: `service:training`, `schedule:nightly`."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ModelRule(_Part):
    """Which models may be released: by name, and by who published them where that is said."""

    name: str = Field(min_length=1, description="Shell pattern of the model's name.")
    publisher: str | None = Field(
        default=None,
        description="Name under `provenance.trusted_keys` or `trusted_certificates` whose signature is needed.",
    )

    def allows(self, model: str, publishers: Collection[str]) -> bool:
        """`publishers` are those whose signatures of this very file are valid: a claim alone proves nothing."""
        has_publisher = self.publisher is None or self.publisher in publishers
        return has_publisher and fnmatchcase(model, self.name)

    def __str__(self) -> str:
        return f"{self.name} published by {self.publisher}" if self.publisher else self.name


class Limits(_Part):
    """What a set of this organization may be and cost. A platform without GPUs or prices meets them all."""

    gpu_types: tuple[str, ...] = Field(
        default=("*",), min_length=1, description="Shell patterns of GPU types that may be rented."
    )
    gpus_per_set: int = Field(default=1, ge=1, description="Most GPUs of one set.")
    clouds: tuple[Literal["secure", "community"], ...] = Field(
        default=("secure",), min_length=1, description="Kinds of hosts that sets may run on."
    )
    data_centers: tuple[str, ...] = Field(
        default=("*",), min_length=1, description="Shell patterns of data centres that sets may run in."
    )
    max_price_per_hour_usd: float | None = Field(
        default=None, ge=0, description="Highest price of one set per hour; none means no limit."
    )

    def allows_gpu(self, gpu_type: str) -> bool:
        return any(fnmatchcase(gpu_type, pattern) for pattern in self.gpu_types)

    def allows_data_center(self, data_center: str) -> bool:
        return any(fnmatchcase(data_center, pattern) for pattern in self.data_centers)


class ServiceConfig(BaseModel):
    """How one service is run."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    platform: str = Field(default="local", description="Platform on which its sets run.")
    stage: Literal["demo", "staging", "production"] = Field(
        default="production",
        description="Who depends on it. Chaos drills are made of demo and staging services only, unless one is named.",
    )
    models: tuple[ModelRule, ...] = Field(
        default=(ModelRule(name="*"),),
        description="What may be released to it: a name (shell pattern), or `{name: ..., publisher: ...}`.",
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

    @field_validator("models", mode="before")
    @classmethod
    def _names_are_rules(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        rules = cast("list[Any]", value)
        return tuple({"name": rule} if isinstance(rule, str) else rule for rule in rules)

    def allows_model(self, model: str, publishers: Collection[str] = ()) -> bool:
        return any(rule.allows(model, publishers) for rule in self.models)


class Organization(BaseModel):
    """A tenant: its services, people, limits, policies, and references to (never values of) its credentials."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Name
    display_name: str
    credentials: dict[str, SecretRef] = Field(
        default_factory=dict, description="Platform -> where its credential is kept."
    )
    provenance: Provenance = Field(default=Provenance(), description="Signatures of model versions.")
    platforms: tuple[str, ...] = Field(
        default=("*",), min_length=1, description="Shell patterns of platforms that its services may use."
    )
    limits: Limits = Limits()
    monthly_budget_usd: float | None = Field(
        default=None,
        ge=0,
        description="Most that its sets may cost in a calendar month (UTC): no release is begun beyond it.",
    )
    people: dict[Person, Role] = Field(default_factory=dict, description="Person -> role.")
    machines: dict[Machine, Role] = Field(
        default_factory=dict, description="Service or schedule that asks by itself -> role."
    )
    notifications: dict[Name, Channel] = Field(default_factory=dict)
    services: dict[Name, ServiceConfig]

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, service in self.services.items():
            if not self.allows_platform(service.platform):
                raise ValueError(
                    f"services.{name}.platform is '{service.platform}', which `platforms` does not allow"
                )
            for person in service.policy.approval.approvers:
                if not self.may(person, Permission.APPROVE):
                    raise ValueError(
                        f"approval.approvers of services.{name} names '{person}', who has no role that may approve"
                    )
        return self

    def service(self, ref: ServiceRef) -> ServiceConfig:
        """Raises: NotFound when the organization has no such service."""
        if ref.org != self.name or ref.service not in self.services:
            raise NotFound(
                f"Organization {self.name} has no service '{ref.service}'.",
                remedy=f"Use one of: {', '.join(sorted(self.services))}.",
                field="service",
            )
        return self.services[ref.service]

    def allows_platform(self, platform: str) -> bool:
        return any(fnmatchcase(platform, pattern) for pattern in self.platforms)

    @property
    def has_identities(self) -> bool:
        """It says who may do what. One that says nothing leaves that to whoever runs the installation."""
        return bool(self.people or self.machines)

    def role_of(self, identity: str) -> Role | None:
        return self.people.get(identity) or self.machines.get(identity)

    def may(self, identity: str, permission: Permission) -> bool:
        role = self.role_of(identity)
        return role is not None and role.may(permission)

    def require(self, identity: str, permission: Permission) -> Role:
        """The identity's role here. Raises: Refused when it has none, or one without the permission."""
        role = self.role_of(identity)
        if role is None:
            raise Refused(
                f"'{identity}' is nobody in organization {self.name}.",
                remedy=f"Add it under `people` or `machines` of {self.name}, with role {role_for(permission)} or higher.",
                org=self.name,
                identity=identity,
            )
        if not role.may(permission):
            raise Refused(
                f"'{identity}' is {role} of {self.name}, which may not {permission.value.replace('_', ' ')}.",
                remedy=f"Ask somebody with the role {role_for(permission)} or higher.",
                org=self.name,
                identity=identity,
            )
        return role
