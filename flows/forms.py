"""Parameters of the flows: forms in the Prefect UI. Choices come from the configured organizations."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationInfo, model_validator

from tidegate.access import load_organizations
from tidegate.domain import TRAINING, InvalidInput, Organization, ReleaseRequest, Secret
from tidegate.settings import load_settings
from tidegate.steps.load_test import LoadTest

_SETTINGS = load_settings()
_ORGANIZATIONS: dict[str, Organization] = load_organizations(
    _SETTINGS.organizations_dir, _SETTINGS.policies_dir
)
_SERVICES: list[str] = sorted({service for org in _ORGANIZATIONS.values() for service in org.services})


def _of_its_organization(service: str, info: ValidationInfo) -> str:
    """A service of another organization is refused here already, before any task runs."""
    organization = _ORGANIZATIONS.get(info.data.get("org", ""))
    if organization is not None and service not in organization.services:
        known = ", ".join(sorted(organization.services))
        raise ValueError(f"{organization.name} has no service '{service}'; use one of: {known}")
    return service


def reveal(token: SecretStr) -> Secret | None:
    """The token of a form, or None where it was left empty."""
    text = token.get_secret_value().strip()
    return Secret(text) if text else None


# In the schema as `enum`, which the UI shows as choices and the server enforces: whatever is configured at deploy time.
OrgChoice = Annotated[str, Field(title="Organization", json_schema_extra={"enum": [*sorted(_ORGANIZATIONS)]})]
ServiceChoice = Annotated[
    str,
    Field(title="Service", json_schema_extra={"enum": [*_SERVICES]}),
    AfterValidator(_of_its_organization),
]
# Never shown: a password field in the UI, asterisks in every text form. It is short-lived, and used once.
Token = Annotated[
    SecretStr,
    Field(
        title="Request token",
        description="Proof of who asks, from: tidegate token issue. Needed where the organization wants signed requests.",
    ),
]


class ReleaseForm(BaseModel):
    """Release a registered model version to a service."""

    org: OrgChoice = Field(description="Who owns the service and the model.")
    service: ServiceChoice = Field(description="The name that clients call.")
    model: str = Field(title="Model", description="Registered model name.", examples=["pipit"], min_length=1)
    version: str = Field(
        default="latest",
        title="Version",
        description="Registered version; 'latest' is the newest.",
        min_length=1,
    )
    requested_by: str = Field(
        default="prefect-ui", title="Requested by", description="Your name, for the audit trail."
    )
    trigger: Literal["manual", "training", "nightly"] = Field(
        default="manual",
        title="Trigger",
        description="What asks; the same version and trigger is one release.",
    )
    reason: str = Field(default="", title="Reason", description="Kept with the release.")
    override_quarantine: str = Field(
        default="",
        title="Quarantine override",
        description="Why a version that failed before may be released again.",
    )
    override_until: datetime | None = Field(
        default=None,
        title="Override until",
        description="The override counts until then; empty: 24 hours from the request.",
    )
    plan_only: bool = Field(
        default=False,
        title="Only the plan",
        description="Report what would happen, with prices and time, and do nothing.",
    )
    plan_digest: str = Field(
        default="",
        title="Digest of the plan",
        description="From an earlier run with 'Only the plan': exactly that plan is carried out, or the release is "
        "refused.",
    )
    token: Token = SecretStr("")

    def to_request(self) -> ReleaseRequest:
        return ReleaseRequest.model_validate(self.model_dump(exclude={"token", "plan_only"}))


class ApproveForm(BaseModel):
    """Look at what a waiting release asks of a person, then say yes to exactly that."""

    org: OrgChoice = Field(description="Who owns the service.")
    service: ServiceChoice = Field(description="The service whose release waits.")
    release: str = Field(
        default="",
        title="Release",
        description="Its id; empty: the one that is under way.",
        examples=["r-0m3x1"],
    )
    decision: Literal["look", "approve"] = Field(
        default="look",
        title="Decision",
        description="look: only report plan, evidence and what changed. approve: let it take its next step.",
    )
    of: str = Field(
        default="",
        title="Digest",
        description="From the report that was looked at; refused when plan, evidence or question is another by now.",
    )
    reason: str = Field(default="", title="Reason", description="Why it may go on; kept for ever.")
    approved_by: str = Field(
        default="", title="Approved by", description="Your name. With a token, the token says it."
    )
    token: Token = SecretStr("")

    @model_validator(mode="after")
    def _yes_is_whole(self) -> Self:
        if self.decision == "approve":
            missing = [
                title for title, value in (("Digest", self.of), ("Reason", self.reason)) if not value.strip()
            ]
            if not self.approved_by.strip() and reveal(self.token) is None:
                missing.append("Approved by, or Request token")
            if missing:
                raise ValueError(f"to approve, fill in: {', '.join(missing)}")
        return self


class RollbackForm(BaseModel):
    """Bring a service back: stop the release under way, or return to the previous version."""

    org: OrgChoice = Field(description="Who owns the service.")
    service: ServiceChoice = Field(description="The service to bring back.")
    reason: str = Field(
        title="Reason",
        description="Why; the version that is left is quarantined with it.",
        examples=["wrong prices in answers"],
        min_length=3,
    )
    to: str = Field(
        default="",
        title="To",
        description="MODEL:VERSION to go back to; empty: what served before.",
        examples=["pipit:v1"],
    )
    plan: bool = Field(
        default=False, title="Plan only", description="Say what would be done, and do nothing."
    )
    requested_by: str = Field(
        default="prefect-ui", title="Requested by", description="Your name, for the audit trail."
    )
    token: Token = SecretStr("")


class ValidateForm(BaseModel):
    """Check artifacts; nothing is deployed."""

    org: OrgChoice = Field(description="Whose policy is applied.")
    service: ServiceChoice = Field(description="Whose limits are applied.")
    paths: list[str] = Field(
        title="Files",
        description="GGUF files on the worker's disk.",
        examples=[["/models/pipit-v2.gguf"]],
        min_length=1,
    )


class BatchForm(BaseModel):
    """Check many artifacts; nothing is deployed."""

    org: OrgChoice = Field(description="Whose policy is applied.")
    service: ServiceChoice = Field(description="Whose limits are applied.")
    paths: list[str] = Field(
        default_factory=list,
        title="Files and folders",
        description="Files, folders or patterns on the worker's disk.",
        examples=[["/models/candidates", "/models/pipit-*.gguf"]],
    )
    versions: list[str] = Field(
        default_factory=list,
        title="Registered versions",
        description="Patterns of MODEL:VERSION of the organization.",
        examples=[["pipit:*"]],
    )
    at_once: int = Field(
        default=2, ge=1, le=16, title="At once", description="Files that are read at the same time."
    )


class CompareForm(BaseModel):
    """Any two versions of a service's model beside each other; nothing is deployed."""

    org: OrgChoice = Field(description="Who owns the service and both versions.")
    service: ServiceChoice = Field(description="Whose policy and question bank are used.")
    base: str = Field(
        default="champion",
        title="Base",
        description="MODEL:VERSION, or champion, candidate, previous.",
        examples=["pipit:v1"],
        min_length=1,
    )
    candidate: str = Field(title="Candidate", description="Likewise.", examples=["pipit:v2"], min_length=1)


class TrainedForm(BaseModel):
    """A training run finished: register its artifact and release it."""

    org: OrgChoice = Field(description="Who owns the service and the model.")
    service: ServiceChoice = Field(description="The service that should get the model.")
    model: str = Field(title="Model", description="Model name.", examples=["pipit"], min_length=1)
    version: str = Field(
        title="Version", description="New version; never reused.", examples=["v2"], min_length=1
    )
    path: str = Field(
        title="File", description="The GGUF file, on the worker's disk.", examples=["/models/pipit-v2.gguf"]
    )
    requested_by: str = Field(
        default=TRAINING, title="Requested by", description="The job or person behind it."
    )
    provenance: dict[str, str] = Field(
        default_factory=dict,
        title="Provenance",
        description="Training run, data, commit: kept with the version.",
    )
    signature: str = Field(
        default="",
        title="Signature",
        description="Detached signature of the file (model_signing), on the worker's disk; empty: unsigned.",
        examples=["/models/pipit-v2.gguf.sig"],
    )
    token: Token = SecretStr("")


class NightlyForm(BaseModel):
    """Which services to look at."""

    services: list[str] = Field(
        default_factory=list,
        title="Services",
        description="ORGANIZATION/SERVICE; empty means every service that is live.",
        examples=[["swaggystacks/support-chat"]],
    )


def _is_slo(text: str) -> str:
    """A mistyped limit is refused in the form, not after a worker was started."""
    from tidegate.benchmark import Slo

    if text.strip():
        try:
            Slo.parse(text)
        except InvalidInput as error:
            raise ValueError(f"{error.message} {error.remedy}") from error
    return text.strip()


class LoadTestForm(BaseModel):
    """Load on a live service beside its clients, within the share of its capacity that the policy allows."""

    org: OrgChoice = Field(description="Who owns the service.")
    service: ServiceChoice = Field(description="The service that is loaded, through its gateway.")
    set_name: str = Field(
        default="", title="Set", description="One set of the service; empty: the one with most traffic."
    )
    mode: Literal["closed", "constant", "poisson", "gamma"] = Field(
        default="closed",
        title="Load",
        description="closed: so many requests at once. The others send at a rate, whatever the server does: "
        "at even times, at random ones, or in bursts.",
    )
    concurrency: int = Field(
        default=1,
        title="Requests at once",
        description="For closed load; never more than the policy's share of the slots.",
        ge=1,
        le=1024,
    )
    rate: float = Field(
        default=1.0, title="Requests per second", description="For the other loads.", gt=0, le=10_000
    )
    burstiness: float = Field(
        default=1.0,
        title="Shape of bursts",
        description="For gamma: below 1 bursts, 1 random, above 1 more even.",
        ge=0.01,
        le=100,
    )
    duration_s: float = Field(
        default=30.0, title="Seconds", description="Length of the measured window.", ge=1, le=3600
    )
    max_tokens: int = Field(
        default=24, title="Tokens per answer", description="Every answer is made this long.", ge=1, le=100_000
    )
    slo: Annotated[str, AfterValidator(_is_slo)] = Field(
        default="",
        title="Limits (SLO)",
        description="In milliseconds, for example ttft=500,itl=50; empty: measured and not judged.",
        examples=["ttft=500,itl=50"],
    )
    wanted_share: float = Field(
        default=0.95,
        title="Wanted share",
        description="Share of the requests that must keep all limits.",
        gt=0,
        lt=1,
    )
    seed: int = Field(
        default=0, title="Seed", description="The same seed sends the same requests at the same times.", ge=0
    )

    def to_load(self) -> LoadTest:
        return LoadTest.model_validate(self.model_dump(exclude={"org", "service"}))


class DrillForm(BaseModel):
    """Break one thing at a time on a stack of the drill's own, and compare with what must come of it."""

    drills: list[str] = Field(
        default_factory=list,
        title="Drills",
        description="Names; empty means all. See them with: tidegate drill --list",
        examples=[["kill-flow", "kill-envoy"]],
    )
    service: str = Field(
        default="",
        title="Service",
        description="ORGANIZATION/SERVICE whose policy the drills take; empty means every one with stage: staging.",
        examples=["swaggystacks/support-chat"],
    )
    allow: str = Field(
        default="",
        title="Allow",
        description="Name the service here once more when it is marked neither as demo nor as staging.",
    )


class BackupForm(BaseModel):
    """Copy the ledger and the configuration. Secrets are not in it; `tidegate backup create` seals them."""

    verify: bool = Field(
        default=True,
        title="Verify",
        description="Restore the copy into a place of its own and compare all of it.",
    )
    keep: int = Field(default=14, title="Keep", description="Most backups that stay.", ge=1, le=1000)
    keep_days: int = Field(
        default=30,
        title="Days",
        description="Days until one is removed; the newest stays always.",
        ge=1,
        le=3650,
    )
