"""The embedded stack without Prefect: real ledger, real llama-server sets, real Envoy, GPU work in this process."""

import threading
from pathlib import Path

from tidegate import steps, wiring
from tidegate.domain import Release, ReleaseRequest, ServiceRef
from tidegate.settings import SOURCE_ROOT, Settings
from tidegate.stack.port_choice import choose_ports
from tidegate.steps import Ports

MODELS = SOURCE_ROOT / "deployments" / "demo" / "models"
SUPPORT = ServiceRef("swaggystacks", "support-chat")


class Installation:
    """One home with a gateway and the local platform's agent, both in threads of this process."""

    def __init__(self, home: Path):
        self.settings = Settings(
            home=home,
            ledger_url=f"sqlite:///{home / 'ledger.sqlite3'}",
            deployments_dir=SOURCE_ROOT / "deployments",
            runtime_dir=home / "run",
        )
        home.mkdir(parents=True, exist_ok=True)
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

    def close(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(40)
        for status in self.ports.platforms["local"].list_owned():
            self.ports.platforms["local"].delete(status.name)
