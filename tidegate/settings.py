"""Where things live. The only readers of the environment are this file and `wiring.py`."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

PACKAGE_ROOT = Path(__file__).resolve().parent
SOURCE_ROOT = PACKAGE_ROOT.parent
LOOPBACK = "127.0.0.1"
MAX_RUNTIME_BASE_BYTES = 40
"""A socket's path may have 107 bytes: there must be room for our folder and the longest name in it."""
MAX_GATEWAYS = 9
RUNPOD_API_URL = "https://api.runpod.io"
RUNPOD_DATA_URL = "https://api.runpod.ai"
SYSTEM_CA_FILES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),  # Debian, Ubuntu, Alpine, Arch
    Path("/etc/pki/tls/certs/ca-bundle.crt"),  # Fedora, RHEL
    Path("/etc/ssl/ca-bundle.pem"),  # openSUSE
    Path("/etc/ssl/cert.pem"),  # macOS, BSD
)


@dataclass(frozen=True)
class Settings:
    """Paths and addresses of one Tidegate installation. Build it with `load_settings()`."""

    home: Path
    ledger_url: str
    deployments_dir: Path
    runtime_dir: Path
    gateways: int = 1
    """How many gateways the embedded stack runs."""
    envoy_bin: str | None = None
    engine_bin_dir: str | None = None
    runpod_api_url: str = RUNPOD_API_URL
    runpod_data_url: str = RUNPOD_DATA_URL
    runpod_pod_url: str | None = None
    """Where pods are reached, with `{pod_id}` and `{port}`; None: it follows from the data URL."""
    ca_file: Path = SYSTEM_CA_FILES[0]
    """Authorities that vouch for sets which the gateway reaches by TLS."""

    backup_dir: Path | None = None
    """Where backups are kept; None: in the home folder, on the same disk as what they are of."""

    @property
    def backups_dir(self) -> Path:
        return self.backup_dir or self.home / "backups"

    @property
    def secrets_dir(self) -> Path:
        return self.home / "secrets"

    @property
    def store_dir(self) -> Path:
        return self.home / "store"

    @property
    def local_platform_dir(self) -> Path:
        return self.home / "platform" / "local"

    @property
    def gateway_dir(self) -> Path:
        return self.home / "gateway"

    @property
    def prefect_home(self) -> Path:
        return self.home / "prefect"

    @property
    def logs_dir(self) -> Path:
        return self.home / "logs"

    @property
    def stack_file(self) -> Path:
        """Written by `tidegate up`: pids, ports and URLs of the embedded stack."""
        return self.home / "stack.json"

    @property
    def organizations_dir(self) -> Path:
        return self.deployments_dir / "organizations"

    @property
    def policies_dir(self) -> Path:
        return self.deployments_dir / "policies"

    @property
    def banks_dir(self) -> Path:
        return self.deployments_dir / "demo" / "banks"


def load_settings(environ: dict[str, str] | None = None, cwd: Path | None = None) -> Settings:
    """Read settings from the environment; every value has a default that works on a laptop."""
    env = dict(os.environ) if environ is None else environ
    home = _home(env, cwd or Path.cwd())
    deployments = Path(env.get("TIDEGATE_DEPLOYMENTS_DIR") or SOURCE_ROOT / "deployments")
    return Settings(
        home=home,
        ledger_url=env.get("TIDEGATE_LEDGER_URL") or f"sqlite:///{home / 'ledger.sqlite3'}",
        deployments_dir=deployments,
        runtime_dir=_runtime_dir(env, home),
        gateways=_gateways(env),
        envoy_bin=env.get("TIDEGATE_ENVOY_BIN") or None,
        engine_bin_dir=env.get("TIDEGATE_ENGINE_BIN_DIR") or None,
        runpod_api_url=env.get("TIDEGATE_RUNPOD_API_URL") or RUNPOD_API_URL,
        runpod_data_url=env.get("TIDEGATE_RUNPOD_DATA_URL") or RUNPOD_DATA_URL,
        runpod_pod_url=env.get("TIDEGATE_RUNPOD_POD_URL") or None,
        ca_file=_ca_file(env),
        backup_dir=Path(env["TIDEGATE_BACKUP_DIR"]).expanduser().resolve()
        if env.get("TIDEGATE_BACKUP_DIR")
        else None,
    )


def _gateways(env: dict[str, str]) -> int:
    """`TIDEGATE_GATEWAYS`. Raises: InvalidInput."""
    text = env.get("TIDEGATE_GATEWAYS") or "1"
    if not text.isdigit() or not 1 <= int(text) <= MAX_GATEWAYS:
        from tidegate.domain import InvalidInput

        raise InvalidInput(
            f"TIDEGATE_GATEWAYS is {text!r}.",
            remedy=f"Give a number from 1 to {MAX_GATEWAYS}.",
            field="TIDEGATE_GATEWAYS",
        )
    return int(text)


def _home(env: dict[str, str], cwd: Path) -> Path:
    """`TIDEGATE_HOME`, else `.tidegate` beside the checkout that we stand in, else the user's data folder."""
    if env.get("TIDEGATE_HOME"):
        return Path(env["TIDEGATE_HOME"]).expanduser().resolve()
    for folder in (cwd, *cwd.parents):
        if (folder / ".tidegate").is_dir() or (folder / "tidegate" / "settings.py").is_file():
            return folder / ".tidegate"
    return Path(platformdirs.user_data_dir("tidegate"))


def _ca_file(env: dict[str, str]) -> Path:
    """`TIDEGATE_CA_FILE`, else `SSL_CERT_FILE`, else the system's bundle, wherever this system keeps it."""
    given = env.get("TIDEGATE_CA_FILE") or env.get("SSL_CERT_FILE")
    if given:
        return Path(given).expanduser().resolve()
    return next((path for path in SYSTEM_CA_FILES if path.is_file()), SYSTEM_CA_FILES[0])


def _runtime_dir(env: dict[str, str], home: Path) -> Path:
    """Folder for Unix sockets: their paths may hold about 100 characters, so never below a deep home."""
    base = Path(env.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    if len(os.fsencode(base)) > MAX_RUNTIME_BASE_BYTES:
        base = Path("/tmp")
    return base / f"tidegate-{hashlib.sha256(str(home).encode()).hexdigest()[:10]}"
