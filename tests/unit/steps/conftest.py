"""Two organizations on one installation: real ledger, real secrets, real YAML; only the platform is made up."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidegate.access import SecretStore, load_organizations
from tidegate.domain import (
    ModelVersion,
    Plan,
    Refused,
    Release,
    ReleaseRequest,
    ReleaseState,
    Secret,
    ServiceRef,
    SetSpec,
    SetState,
    SetStatus,
    TidegateError,
)
from tidegate.ledger import Ledger
from tidegate.settings import Settings
from tidegate.steps import Ports, request_release
from tidegate.store import ArtifactStore

NOW = datetime(2026, 11, 26, 2, 0, tzinfo=UTC)
ORGANIZATION = """
name: {name}
display_name: {title}
credentials: {{fake: fake-credential-{name}}}
limits: {{max_price_per_hour_usd: 2}}
monthly_budget_usd: 10
people: {{ada: admin, noor: approver, lin: releaser, dora: viewer}}
machines: {{"service:training": releaser, "schedule:nightly": viewer}}
services:
  chat: {{platform: fake, models: [finch, {{name: signed-*, publisher: labs}}]}}
  {name}-only: {{platform: fake}}
"""


@dataclass
class FakePlatform:
    """Accepts each organization's own credential, and remembers what it was asked with."""

    name: str = "fake"
    price: float = 1.0
    trouble: TidegateError | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)

    def verify_credential(self, org: str, credential: Secret | None) -> None:
        value = credential.reveal() if credential else ""
        self.asked.append((org, value))
        if self.trouble is not None:
            raise self.trouble
        if value != f"value-of-{org}-0123456789":
            raise Refused(f"the key {value} is not {org}'s", remedy=f"Check {value}.")

    def status(self, name: str) -> SetStatus:
        return SetStatus(
            name=name,
            state=SetState.READY,
            digest="1" * 64 if name == "green" else "2" * 64,
            host="h",
            port=1,
        )

    def list_owned(self) -> list[SetStatus]:
        return []

    def price_per_hour_usd(self, spec: SetSpec) -> float:
        return self.price


class Checks:
    """No gate is run in these tests."""

    required: dict = {}  # noqa: RUF012

    def spent_usd(self, release: Release) -> float:
        return 0.0


class Office:
    """The installation and what its people do in these tests."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.now = NOW
        self.platform = FakePlatform()
        self.environ: dict[str, str] = {}
        self.settings = Settings(
            home=folder,
            ledger_url=f"sqlite:///{folder / 'ledger.sqlite3'}",
            deployments_dir=folder / "deployments",
            runtime_dir=folder / "run",
        )
        self.settings.organizations_dir.mkdir(parents=True)
        self.settings.policies_dir.mkdir(parents=True)
        self.set_policy("acme", "")
        self.set_policy("bolt", "")
        for org in ("acme", "bolt"):
            text = ORGANIZATION.format(name=org, title=org.title())
            (self.settings.organizations_dir / f"{org}.yaml").write_text(text)
            self.environ[f"TIDEGATE_SECRET_FAKE_CREDENTIAL_{org.upper()}"] = f"value-of-{org}-0123456789"
        self.ledger = Ledger.open(self.settings.ledger_url, clock=lambda: self.now)
        self.ports = self.load()

    def load(self) -> Ports:
        made = Ports(
            settings=self.settings,
            ledger=self.ledger,
            store=ArtifactStore(self.settings.store_dir),
            organizations=load_organizations(self.settings.organizations_dir, self.settings.policies_dir),
            platforms={"fake": self.platform},  # type: ignore[dict-item]  # the part of it that is used
            secrets=SecretStore(self.settings.secrets_dir, self.environ),
            gateway_url=lambda: "http://127.0.0.1:1",
            clock=lambda: self.now,
        )
        made.make_checks = Checks  # type: ignore[assignment]
        return made

    def set_policy(self, org: str, text: str) -> None:
        (self.settings.policies_dir / f"{org}.yaml").write_text(text)

    def change(self, org: str, old: str, new: str) -> None:
        """Edit the organization's file and load it again, as a next process would."""
        path = self.settings.organizations_dir / f"{org}.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        self.ports = self.load()

    def sign_all(self, org: str) -> None:
        self.set_policy(org, "require_signed_requests: true\n")
        self.ports = self.load()

    def register(
        self, org: str, name: str = "finch", version: str = "v1", digest: str = "1", **said: str
    ) -> str:
        known = ModelVersion(
            org=org, name=name, version=version, digest=digest * 64, size_bytes=1, path="/x",
            provenance=said, registered_at=NOW,
        )  # fmt: skip
        return self.ledger.register_version(known).digest

    def request(self, org: str, *, by: str = "root", version: str = "v1", **fields: str) -> ReleaseRequest:
        values = {"model": "finch", "service": "chat", **fields}
        return ReleaseRequest(org=org, version=version, requested_by=by, **values)

    def release(self, org: str, token: Secret | None = None, **fields: str) -> Release:
        return request_release(self.ports, self.request(org, **fields), token)

    def enter(self, release: Release, state: ReleaseState, usd: float = 1.0, **data: object) -> Release:
        """Bring a release into a state, with a plan, as its owner would."""
        if self.ledger.get_release(release.id).plan is None:
            self.ledger.acquire_lock(release.ref, release.id)
            plan = Plan(
                green_set="green", green_digest=release.digest, blue_set="blue", blue_digest="2" * 64,
                blue_version="finch:v0", ladder=(10, 100), gates=(), policy_digest="p", estimated_usd=usd,
            )  # fmt: skip
            epoch = self.ledger.get_release(release.id).epoch
            self.ledger.append(release.id, epoch, "entered", "planned", {}, plan=plan)
        epoch = self.ledger.get_release(release.id).epoch
        self.ledger.append(release.id, epoch, "entered", state.value, {"reason": "as told", **data})
        return self.ledger.get_release(release.id)

    def pass_time(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    made.register("acme")
    made.register("bolt")
    yield made
    made.ledger.close()


ACME, BOLT = ServiceRef("acme", "chat"), ServiceRef("bolt", "chat")
