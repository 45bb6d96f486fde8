"""What a signed request says, and what is remembered of it once it was used. Pure."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from tidegate.domain.names import Digest, Name, ServiceRef
from tidegate.domain.roles import Permission, Role, role_for


class Action(StrEnum):
    """What a request asks for."""

    RELEASE = "release"
    ROLLBACK = "rollback"
    APPROVE = "approve"

    @property
    def permission(self) -> Permission:
        return _PERMISSIONS[self]

    @property
    def role(self) -> Role:
        """The least role that may ask for it."""
        return role_for(self.permission)


_PERMISSIONS = {
    Action.RELEASE: Permission.RELEASE,
    Action.ROLLBACK: Permission.ROLL_BACK,
    Action.APPROVE: Permission.APPROVE,
}


class RequestProof(BaseModel):
    """Who asks for what, until when. Everything in it is signed; the nonce is spent once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    org: Name
    service: Name
    action: Action
    digest: Digest = Field(
        description="The artifact: to be released, to be approved, or, for a rollback, to be left."
    )
    parameters: Digest = Field(description="Digest of what else changes the outcome: `parameters_digest`.")
    identity: str = Field(min_length=1)
    role: Role = Field(description="The role that the action needs.")
    issued_at: datetime
    expires_at: datetime
    nonce: str = Field(pattern=r"^[0-9a-f]{32}$")
    key_id: str = Field(pattern=r"^[a-z0-9]{1,16}$")

    @property
    def ref(self) -> ServiceRef:
        return ServiceRef(self.org, self.service)


def parameters_digest(parameters: Mapping[str, str]) -> str:
    """SHA-256 over the canonical JSON of the parameters. An empty value is the same as none."""
    said = {name: value for name, value in parameters.items() if value}
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
