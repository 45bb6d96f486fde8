"""One organization at RunPod: its services there, what it allows, and the keys of its public sets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from tidegate.domain import (
    EngineKeys,
    InvalidInput,
    NeedsOperator,
    Resource,
    RunPodServiceConfig,
    owner_of_set,
)
from tidegate.platforms.runpod.diagnosis import Rules
from tidegate.platforms.runpod.orders import Allowance


def forget_resource(resource: Resource) -> None:
    """For who keeps no books."""


def no_engine_keys(is_made: bool) -> EngineKeys | None:
    return None


@dataclass(frozen=True)
class Tenant:
    """One organization at RunPod. `credential` is the name of the secret that holds its key."""

    org: str
    credential: str
    services: Mapping[str, RunPodServiceConfig]
    allowance: Allowance = field(default_factory=Allowance)
    funded_hours: Decimal = Decimal(1)
    """A set is only created when the balance pays for it for so long."""
    remember: Callable[[Resource], None] = forget_resource
    """Told of every endpoint and pod of this organization that this process makes or finds: bills name ids only."""
    engine_keys: Callable[[bool], EngineKeys | None] = no_engine_keys
    """Read each time, so that a rotated or late secret needs no restart. Asked with True by who makes a set: only
    then is a missing secret made."""

    def config(self, service: str) -> RunPodServiceConfig:
        """Raises: InvalidInput when the service has no settings."""
        config = self.services.get(service)
        if config is None:
            raise InvalidInput(
                f"Service {self.org}/{service} has no settings for RunPod.",
                remedy="Add `runpod:` with `image` and `model_url` to the service.",
                field="runpod",
            )
        return config

    def config_of(self, set_name: str) -> RunPodServiceConfig | None:
        """Settings of the service of a set; None when they are gone."""
        owner = owner_of_set(set_name)
        return self.services.get(owner.service) if owner else None

    def rules(self, set_name: str) -> Rules:
        config = self.config_of(set_name)
        if config is None:
            return Rules()
        return Rules(init_timeout_s=config.init_timeout_s, throttled_timeout_s=config.throttled_timeout_s)

    def keys(self) -> EngineKeys:
        """Raises: NeedsOperator when there are none."""
        found = self.engine_keys(True)
        if found is None:
            raise NeedsOperator(
                f"Organization {self.org} has no engine keys, and a pod is open to everybody.",
                remedy=f"Store the secret engine-keys-{self.org}: one line, `k1 ` and 32 or more random characters.",
            )
        return found
