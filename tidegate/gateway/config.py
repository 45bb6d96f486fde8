"""What one gateway is (where it listens, where its files lie, how long it waits) and its clients' keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tidegate.domain import Secret

PROBE_CLIENT = "tidegate-probe"
"""Our own probes: they may call every service and pin a set. A name of ours, not of an organization."""

BOOTSTRAP = "bootstrap.json"
LISTENERS = "xds/lds.json"
CLUSTERS = "xds/cds.json"
ROUTES = "xds/rds.json"
AUTH = "xds/ecds-auth.json"


@dataclass(frozen=True)
class ClientKey:
    """One API key of one client of an organization. Several keys of a client make rotation possible.

    The internal probe is the client `tidegate-probe` of the organization of that name: a client that an
    organization happens to call so gains nothing.
    """

    org: str
    client: str
    key: Secret

    @property
    def identity(self) -> str:
        """How Envoy's routes and logs name the owner of the key."""
        is_probe = self.org == self.client == PROBE_CLIENT
        return PROBE_CLIENT if is_probe else f"{self.org}/{self.client}"


@dataclass(frozen=True)
class GatewayConfig:
    """One Envoy and its agent. `root` belongs to them alone; `admin_socket` must be a short path."""

    name: str
    root: Path
    port: int
    admin_socket: Path
    host: str = "127.0.0.1"
    envoy_bin: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Envoy's whole environment. Nothing of the agent's own reaches it."""
    concurrency: int = 2
    drain_s: float = 600.0
    """How long a set that left the routes may finish its streams."""
    shutdown_s: float = 30.0
    """How long a stop waits for requests in flight."""
    stream_idle_s: float = 300.0
    start_timeout_s: float = 20.0
    acknowledge_s: float = 5.0
    poll_s: float = 0.05
    report_s: float = 0.5
    sample_s: float = 0.5
    keys_s: float = 0.5
    max_access_log_bytes: int = 64 * 1024**2

    def path(self, file: str) -> Path:
        """Where one of the files of this gateway lies."""
        return self.root / file

    @property
    def access_log(self) -> Path:
        return self.root / "access.log"

    @property
    def envoy_log(self) -> Path:
        return self.root / "envoy.log"
