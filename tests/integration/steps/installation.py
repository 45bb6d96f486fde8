"""The embedded stack without Prefect: real ledger, real llama-server sets, real Envoy, GPU work in this process."""

import threading
from pathlib import Path
from typing import Any

import yaml

from tidegate import steps, wiring
from tidegate.domain import Release, ReleaseRequest, ServiceRef
from tidegate.settings import SOURCE_ROOT, Settings
from tidegate.stack.port_choice import choose_ports
from tidegate.steps import Ports

MODELS = SOURCE_ROOT / "deployments" / "demo" / "models"
SUPPORT = ServiceRef("swaggystacks", "support-chat")


BUSY: dict[str, Any] = {"performance": {"when_not_judged": "pass"}, "shift": {"step_deadline_s": 600}}
"""On a busy machine the client of a measurement may call itself the limit, and then a release would wait for a person:
here nobody sits there, and other tests ask how performance is judged."""


def deployments_of(folder: Path, ref: ServiceRef) -> Path:
    """The demo's deployments for a busy machine, of which one service samples requests of its clients."""
    folder.mkdir(parents=True)
    for place in (SOURCE_ROOT / "deployments").iterdir():
        if place.name != "organizations":
            (folder / place.name).symlink_to(place)
    (folder / "organizations").mkdir()
    for file in (SOURCE_ROOT / "deployments" / "organizations").glob("*.yaml"):
        content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        for name, service in content["services"].items():
            changes = dict(BUSY)
            if (content["name"], name) == ref:
                changes["replay"] = {"capture": {"percent": 20}}
            service["policy"] = _merged(service.get("policy", {}), changes)
        (folder / "organizations" / file.name).write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


class Installation:
    """One home with a gateway and the local platform's agent, both in threads of this process."""

    def __init__(self, home: Path):
        self.settings = Settings(
            home=home,
            ledger_url=f"sqlite:///{home / 'ledger.sqlite3'}",
            deployments_dir=deployments_of(home / "deployments", SUPPORT),
            runtime_dir=home / "run",
        )
        port = choose_ports(home, {"gateway": 18080}, "127.0.0.1")["gateway"]
        self.url = f"http://127.0.0.1:{port}"
        self.stop = threading.Event()
        agents = (
            lambda: wiring.run_gateway_agent(self.settings, self.stop, port=port),
            lambda: wiring.run_platform_agent(self.settings, self.stop),
        )
        self.threads = [threading.Thread(target=agent, daemon=True) for agent in agents]
        for thread in self.threads:
            thread.start()
        self.ports = self.load()

    def load(self) -> Ports:
        """Fresh ports, as another process would build them."""
        ports = wiring.load(self.settings)
        ports.gateway_url = lambda: self.url
        wiring.provision_secrets(ports)
        return ports

    def register(self, ref: ServiceRef, file: str, version: str) -> None:
        steps.register_model(self.ports, ref.org, file.split("-")[0], version, MODELS / f"{file}.gguf")

    def release(self, ref: ServiceRef, model: str, version: str) -> Release:
        """Through every step, as the flow does it."""
        request = ReleaseRequest(org=ref.org, service=ref.service, model=model, version=version)
        wish = steps.request_release(self.ports, request)
        steps.resume(self.ports, wish.id)
        return self.ports.ledger.get_release(wish.id)

    def want(self, ref: ServiceRef, policy: dict[str, Any]) -> None:
        """Releases of this process follow a changed policy of one service from now on."""
        org = self.ports.organization(ref.org)
        service = org.services[ref.service]
        wanted = type(service.policy).model_validate(_merged(service.policy.model_dump(mode="json"), policy))
        services = {**org.services, ref.service: service.model_copy(update={"policy": wanted})}
        self.ports.organizations = {
            **self.ports.organizations, ref.org: org.model_copy(update={"services": services}),
        }  # fmt: skip

    def close(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(40)
        for status in self.ports.platforms["local"].list_owned():
            self.ports.platforms["local"].delete(status.name)


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return base | {
        name: _merged(base.get(name, {}), value) if isinstance(value, dict) else value
        for name, value in changes.items()
    }
