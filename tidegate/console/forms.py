"""Bodies of requests. Secrets in them are never shown, logged or kept."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from tidegate.domain import Secret

MINIMUM_REASON = 3
MAX_NAME = 401


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    requested_by: str = Field(default="api", min_length=1, max_length=100, description="For the audit trail.")
    request_token: SecretStr = Field(
        default=SecretStr(""),
        description="From `tidegate token issue`: needed where the organization wants signed requests.",
    )

    @property
    def proof(self) -> Secret | None:
        text = self.request_token.get_secret_value().strip()
        return Secret(text) if text else None


class RollbackBody(_Form):
    """Bring a service back: stop the release under way, or return to an earlier version."""

    reason: str = Field(
        min_length=MINIMUM_REASON,
        max_length=1000,
        description="Why; kept for ever.",
        examples=["wrong prices"],
    )
    to: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_NAME,
        description="MODEL:VERSION or digest to go back to; by default what served before.",
        examples=["pipit:v1"],
    )
    leaving: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_NAME,
        description="MODEL:VERSION or digest of the bad version: when nothing of it serves, nothing is done.",
    )
    plan: bool = Field(default=False, description="Only say what would be done.")


class ReleaseBody(_Form):
    """Release a registered version to a service."""

    model: str = Field(min_length=1, max_length=200, examples=["pipit"])
    version: str = Field(default="latest", min_length=1, max_length=200, examples=["v2"])
    trigger: Literal["manual", "training", "nightly"] = Field(
        default="training", description="What asks; the same version and trigger is one release."
    )
    reason: str = Field(default="", max_length=1000, description="Kept with the release.")
    override_quarantine: str = Field(
        default="", max_length=1000, description="Why a version that failed before may be released again."
    )


class DecisionBody(_Form):
    """A person's word on a release under way."""

    reason: str = Field(min_length=MINIMUM_REASON, max_length=1000, description="Why; kept for ever.")


class ApprovalBody(DecisionBody):
    """A yes to exactly what was looked at."""

    of: str = Field(
        min_length=1,
        max_length=2000,
        description="`digest` of GET /v1/releases/{release}/question: a yes to another plan, evidence or question is "
        "refused.",
    )
