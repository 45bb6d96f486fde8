"""The composition root: builds adapters from settings and hands them to steps. Reads the environment."""

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tidegate.access import PROBE_KEY, SecretStore, api_key_name, credential_name, load_organizations
from tidegate.domain import NeedsOperator, Organization, Place, Secret, SecretReference, TidegateError
from tidegate.release.ports import Checks
from tidegate.settings import Settings, load_settings
from tidegate.steps.ports import GpuJob, GpuRunner, GpuWork, Ports

GPU_SLOT_VARIABLE = "TIDEGATE_GPU_SLOT"
STACK_MARK_VARIABLE = "TIDEGATE_STACK"
GATEWAY_URL_VARIABLE = "TIDEGATE_GATEWAY_URL"
ADDRESS_INTERVAL_S = 0.5


def load(
    settings: Settings | None = None,
    gpu: Callable[[Ports], GpuRunner] | None = None,
    prefect_secret: Callable[[str], Secret | None] | None = None,
) -> Ports:
    """Build every adapter. `gpu` says where GPU work is done, by default in this process; `prefect_secret` reads
    secrets that are kept in Prefect, which only flows can."""
    from tidegate.ledger import Ledger
    from tidegate.store import ArtifactStore

    settings = settings or load_settings()
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    ports = Ports(
        settings=settings,
        ledger=Ledger.open(settings.ledger_url),
        store=ArtifactStore(settings.store_dir),
        organizations=load_organizations(settings.organizations_dir, settings.policies_dir),
        platforms={"local": _local_platform(settings)},
        secrets=SecretStore(settings.secrets_dir, os.environ, prefect_secret=prefect_secret),
        gateway_url=lambda: gateway_url(settings),
    )
    ports.gpu = gpu(ports) if gpu else InlineGpu(ports)
    ports.make_checks = lambda: _checks(ports)
    return ports


def _checks(ports: Ports) -> Checks:
    """Loaded when a release is driven: the measuring rooms cost a short command more than all of its own work."""
    from tidegate.steps.checks import ReleaseChecks

    assert ports.gpu is not None, "load() sets it"
    return ReleaseChecks(ports, ports.gpu)


def _local_platform(settings: Settings) -> Any:
    from tidegate.engines.llama_server import LlamaServer
    from tidegate.platforms.local import LocalPlatform

    return LocalPlatform(settings.local_platform_dir, engine=LlamaServer(settings.engine_bin_dir))


def gateway_url(settings: Settings) -> str:
    """Where clients reach the gateway: `TIDEGATE_GATEWAY_URL`, else what the running stack recorded.

    Raises: NeedsOperator when neither exists.
    """
    given = os.environ.get(GATEWAY_URL_VARIABLE)
    if given:
        return given.rstrip("/")
    try:
        record: dict[str, Any] = json.loads(settings.stack_file.read_text(encoding="utf-8"))
        return str(record["urls"]["gateway"]).rstrip("/")
    except (OSError, KeyError, ValueError) as error:
        raise NeedsOperator(
            "No gateway is known to this installation.",
            remedy=f"Start the stack with: tidegate up, or set {GATEWAY_URL_VARIABLE}.",
        ) from error


def gpu_slot() -> str:
    """The accelerator slot that this worker declares. Raises: NeedsOperator without one."""
    slot = os.environ.get(GPU_SLOT_VARIABLE)
    if slot is None:
        raise NeedsOperator(
            "This process declares no GPU slot.",
            remedy=f"Run GPU flows on a worker of the pool 'gpu', started with {GPU_SLOT_VARIABLE} set.",
        )
    return slot


class InlineGpu:
    """Does GPU work in this process: for reconcile and the command line, where no pool is needed."""

    def __init__(self, ports: Ports):
        self._ports = ports

    def start(self, work: GpuWork, subject: str, attempt: str = "0") -> GpuJob:
        return _InlineJob(self._ports, work, subject, attempt)


@dataclass(frozen=True)
class _InlineJob:
    ports: Ports
    work: GpuWork
    subject: str
    attempt: str

    def wait(self) -> dict[str, Any]:
        from tidegate.steps.evaluation import evaluate, job_token

        return evaluate(self.ports, self.work, self.subject, job_token(self.work, self.subject, self.attempt))


def provision_secrets(ports: Ports) -> None:
    """Make what the embedded stack needs: the probe key, and per organization a client key and a platform
    credential that the local platform is told to accept. Existing values stay."""
    ports.secrets.ensure(PROBE_KEY)
    for org in ports.organizations.values():
        ports.secrets.ensure(api_key_name(org.name))
        for name, platform in ports.platforms.items():
            grant = getattr(platform, "grant", None)
            credential = _own_credential(ports, org, name) if grant is not None else None
            if grant is not None and credential is not None:
                grant(org.name, credential)


def _own_credential(ports: Ports, org: Organization, platform: str) -> Secret | None:
    """Made when our own store is to keep it. One that is kept elsewhere may be missing: then the organization's
    releases are refused by name, and the others' are not held up."""
    reference = org.credentials.get(platform, credential_name(platform, org.name))
    match SecretReference.parse(reference).place:
        case Place.STORE:
            return ports.secrets.ensure(reference)
        case Place.PREFECT:
            return None
        case _:
            return ports.secrets.get(reference)


def client_keys(organizations: dict[str, Organization], secrets: SecretStore) -> list[Any]:
    """What the gateway accepts: one key per organization, and the internal probe key."""
    from tidegate.gateway import PROBE_CLIENT, ClientKey

    keys = [
        ClientKey(org=org.name, client=org.name, key=secret)
        for org in organizations.values()
        if (secret := secrets.get(api_key_name(org.name))) is not None
    ]
    probe = secrets.get(PROBE_KEY)
    return keys + ([ClientKey(org=PROBE_CLIENT, client=PROBE_CLIENT, key=probe)] if probe else [])


def run_gateway_agent(
    settings: Settings, stop: threading.Event, *, name: str = "gateway-1", port: int = 8080
) -> None:
    """The agent beside one Envoy, until `stop` is set."""
    from tidegate.gateway import GatewayConfig, serve

    ports = load(settings)
    provision_secrets(ports)
    secrets = SecretStore(settings.secrets_dir, os.environ)
    config = GatewayConfig(
        name=name,
        root=settings.gateway_dir / name,
        port=port,
        admin_socket=settings.runtime_dir / f"{name}.sock",
        envoy_bin=settings.envoy_bin,
        # The mark by which the stack finds an Envoy whose agent was killed.
        environment={name: os.environ[name] for name in (STACK_MARK_VARIABLE,) if name in os.environ},
    )
    serve(config, ports.ledger, lambda: client_keys(dict(ports.organizations), secrets), stop)


def run_platform_agent(settings: Settings, stop: threading.Event) -> None:
    """Keeps local sets running and their addresses published, until `stop` is set."""
    import logging

    from tidegate.domain import ServiceRef
    from tidegate.platforms.local import LocalPlatform, run_agent
    from tidegate.steps.reconcile import assert_addresses

    ports = load(settings)
    provision_secrets(ports)

    def publish_addresses() -> None:
        while not stop.wait(ADDRESS_INTERVAL_S):
            for route in ports.ledger.list_routes():
                try:
                    assert_addresses(ports, ServiceRef(route.org, route.service))
                except TidegateError as error:
                    logging.getLogger(__name__).warning(
                        "addresses of %s/%s: %s", route.org, route.service, error
                    )

    thread = threading.Thread(target=publish_addresses, name="addresses", daemon=True)
    thread.start()
    local = ports.platforms["local"]
    assert isinstance(local, LocalPlatform), "load() makes it"
    run_agent(local, stop)
    thread.join()
