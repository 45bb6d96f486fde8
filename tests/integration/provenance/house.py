"""An installation without gateway and engines: enough for a release up to its authorization gate."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from signing import NOW
from typer.testing import CliRunner

from tidegate import steps, wiring
from tidegate.cli.app import app
from tidegate.domain import Evidence, ModelVersion, Release, ReleaseRequest, ServiceRef
from tidegate.settings import SOURCE_ROOT, Settings
from tidegate.steps import Ports
from tidegate.validation import PROVENANCE_CHECK

CHAT = ServiceRef("acme", "chat")


class House:
    """The organization `acme` with one service and a provenance block."""

    def __init__(self, folder: Path, provenance: dict[str, Any]):
        self.home = folder / "home"
        self.deployments = folder / "deployments"
        (self.deployments / "organizations").mkdir(parents=True)
        (self.deployments / "policies").mkdir()
        shutil.copy(
            SOURCE_ROOT / "deployments/policies/swaggystacks.yaml",
            self.deployments / "policies/acme.yaml",
        )
        self.provenance = provenance
        self.declare(provenance)
        self.ports = self.load()

    def declare(self, provenance: dict[str, Any], models: Sequence[Any] = ("pipit",)) -> None:
        acme = {
            "name": "acme",
            "display_name": "Acme",
            "services": {"chat": {"models": list(models)}},
            "provenance": provenance,
        }
        (self.deployments / "organizations/acme.yaml").write_text(yaml.safe_dump(acme))

    def load(self) -> Ports:
        """Fresh ports, as another process would build them. Certificates of the tests are valid at their hour."""
        settings = Settings(
            home=self.home,
            ledger_url=f"sqlite:///{self.home / 'ledger.sqlite3'}",
            deployments_dir=self.deployments,
            runtime_dir=self.home / "run",
        )
        ports = wiring.load(settings)
        ports.clock = lambda: NOW
        ports.gateway_url = lambda: "http://127.0.0.1:1"
        wiring.provision_secrets(ports)
        return ports

    def register(self, model: Path, version: str, *signatures: Path) -> ModelVersion:
        return steps.register_model(self.ports, "acme", "pipit", version, model, {}, signatures)

    def ask(self, version: str) -> tuple[Release, Evidence]:
        """Request a release, ask its authorization gate, and say what the row about signatures is."""
        request = ReleaseRequest(org="acme", service="chat", model="pipit", version=version)
        before = steps.select_model(self.ports, request)
        after = steps.verify_org_auth(self.ports, before)
        rows = self.ports.ledger.evidence(after.release_id)
        (row,) = [row for row in rows if row.check == PROVENANCE_CHECK]
        return self.ports.ledger.get_release(after.release_id), row

    def run(self, *arguments: object) -> Any:
        """Run `tidegate ...` in this installation."""
        env = {
            "TIDEGATE_HOME": str(self.home),
            "TIDEGATE_DEPLOYMENTS_DIR": str(self.deployments),
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }
        words: Sequence[str] = [str(word) for word in arguments]
        return CliRunner().invoke(app, words, env=env)
