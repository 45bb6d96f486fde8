"""What one gateway is (where it listens, where its files lie, how long it waits) and its clients' keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

from tidegate.domain import Secret, key_digest
from tidegate.log_files import KEPT_S

PROBE_CLIENT = "tidegate-probe"
"""Our own probes: they may call every service and pin a set. A name of ours, not of an organization."""

BOOTSTRAP = "bootstrap.json"
LISTENERS = "xds/lds.json"
CLUSTERS = "xds/cds.json"
ROUTES = "xds/rds.json"
DOORS = "xds/rds-doors.json"
AUTH = "xds/ecds-auth.json"
CREDENTIALS = "sds"
"""Folder of the secrets that sets elsewhere want; one file each."""


@dataclass(frozen=True)
class ClientKey:
    """One API key of one client of an organization, as its digest. Several keys of a client make rotation possible.

    The internal probe is the client `tidegate-probe` of the organization of that name: a client that an
    organization happens to call so gains nothing.
    """

    org: str
    client: str
    digest: str
    expires_at: datetime | None = None

    @classmethod
    def of(cls, org: str, client: str, key: Secret) -> Self:
        """Raises: InvalidInput when the key cannot stand in a header."""
        return cls(org, client, key_digest(key, f"{org}/{client}"))

    @property
    def identity(self) -> str:
        """How the gateway and its log name the owner of the key."""
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
    keys_s: float = 0.25
    """How often keys and credentials are asked for."""
    ca_file: Path = Path("/etc/ssl/certs/ca-certificates.crt")
    """Whom to trust about sets that are reached by TLS."""
    remote_check_s: float | None = 30.0
    """How often a connection to a remote set's front door is tried; None: never. No request is sent."""
    captures: Mapping[str, float] = field(default_factory=dict[str, float])
    """`org/service` -> percent of its requests that are copied to the sampler."""
    max_access_log_bytes: int = 64 * 1024**2
    kept_access_logs: int = 4
    """How many renamed parts stay."""
    kept_logs_s: float = KEPT_S
    """And for how long."""
    live_poll_s: float = 0.2
    """How often the log of what was measured is read."""
    live_window_s: float = 1.0
    """What ended within one such window is one batch a set and slice."""
    live_grace_s: float = 0.75
    """A window is closed so long after its end: lines reach the log a little late."""
    live_keep_bytes: int = 8 * 1024**2
    """The log is renamed at this size, and never more than this is read at once; what is left out counts as lost."""
    stall_ms: float = 2_000.0
    """A longer silence inside a stream is a stall."""

    def path(self, file: str) -> Path:
        """Where one of the files of this gateway lies."""
        return self.root / file

    @property
    def sampler_socket(self) -> Path:
        """Where the sampler beside this gateway listens."""
        return self.admin_socket.with_name(f"{self.name}-sampler.sock")

    @property
    def access_log(self) -> Path:
        return self.root / "access.log"

    @property
    def envoy_log(self) -> Path:
        return self.root / "envoy.log"
