"""The composition root: builds adapters from settings and hands them to steps. Reads the environment."""

import json
import logging
import os
import threading
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from tidegate.access import (
    PROBE_KEY,
    SecretStore,
    api_key_name,
    capture_key_name,
    credential_name,
    engine_keys_name,
    load_organizations,
)
from tidegate.domain import (
    LOCAL_KEY_NAME,
    EngineKeys,
    InvalidInput,
    NeedsOperator,
    Organization,
    Place,
    Refused,
    Secret,
    SecretReference,
    SetSpec,
    TidegateError,
    key_digest,
    owner_of_set,
    parse_engine_credential,
)
from tidegate.domain.audit import Interface
from tidegate.release.ports import Checks
from tidegate.settings import Settings, load_settings
from tidegate.steps.configuration import tell_configuration
from tidegate.steps.costs import remember_resource
from tidegate.steps.inline_gpu import InlineGpu
from tidegate.steps.ports import GpuRunner, Ports

GPU_SLOT_VARIABLE = "TIDEGATE_GPU_SLOT"
STACK_MARK_VARIABLE = "TIDEGATE_STACK"
GATEWAY_URL_VARIABLE = "TIDEGATE_GATEWAY_URL"
RUNPOD_SWEEP_INTERVAL_S = 120.0


def load(
    settings: Settings | None = None,
    gpu: Callable[[Ports], GpuRunner] | None = None,
    prefect_secret: Callable[[str], Secret | None] | None = None,
    interface: Interface = Interface.CLI,
) -> Ports:
    """Build every adapter. `gpu` says where GPU work is done, by default in this process; `prefect_secret` reads
    secrets that are kept in Prefect, which only flows can; `interface` says for the audit log from where is asked."""
    from tidegate.ledger import Ledger
    from tidegate.observability.concealing import conceal
    from tidegate.observability.error_recorder import ErrorRecorder
    from tidegate.store import ArtifactStore

    settings = settings or load_settings()
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    ports = Ports(
        settings=settings,
        ledger=(ledger := Ledger.open(settings.ledger_url, interface=interface)),
        store=ArtifactStore(settings.store_dir),
        organizations=load_organizations(settings.organizations_dir, settings.policies_dir),
        platforms={"local": _local_platform(settings)},
        secrets=SecretStore(settings.secrets_dir, os.environ, prefect_secret=prefect_secret),
        gateway_url=lambda: gateway_url(settings),
        note_error=ErrorRecorder(ledger, conceal),
    )
    if any(uses_runpod(org) for org in ports.organizations.values()):
        runpod = _runpod_platform(ports)
        ports.platforms = {**ports.platforms, "runpod": runpod}
        ports.bills = {"runpod": runpod}
    ports.gpu = gpu(ports) if gpu else InlineGpu(ports)
    ports.make_checks = lambda: _checks(ports)
    tell_configuration(ports)
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


def uses_runpod(org: Organization) -> bool:
    return any(service.platform == "runpod" for service in org.services.values())


def _runpod_platform(ports: Ports) -> Any:
    """RunPod for every organization that uses it and whose key is there. The key of one is never used for another;
    a missing one is told when the organization is authorized for a release."""
    from tidegate.platforms.calls import CallMeter
    from tidegate.platforms.runpod import OrganizationSets, RunPodPlatform, Tenant

    calls = CallMeter("runpod", ports.ledger.add_totals)
    organizations: dict[str, OrganizationSets] = {}
    for org in ports.organizations.values():
        key = credential_of(ports, org, "runpod") if uses_runpod(org) else None
        if key is not None:
            services = {
                service: config.runpod
                for service, config in org.services.items()
                if config.platform == "runpod" and config.runpod is not None
            }
            try:
                read_key = partial(credential_of, ports, org, "runpod")
                client = _connect(ports.settings, key, read_key, calls.note)
            except Refused:
                # What is stored is no key. The authorization of a release says so; other work goes on.
                continue
            tenant = Tenant(
                org.name,
                credential_name("runpod", org.name),
                services,
                runpod_allowance(org),
                remember=lambda resource: remember_resource(ports.ledger, resource),
                engine_keys=lambda is_made, name=org.name: engine_keys(ports, name, is_made=is_made),
            )
            organizations[org.name] = OrganizationSets(tenant, client, memory_of=gpu_memory_of)
    return RunPodPlatform(organizations, lambda key: _connect(ports.settings, key))


def runpod_allowance(org: Organization) -> Any:
    """The organization's limits in RunPod's words."""
    from tidegate.platforms.runpod import Allowance, Cloud

    price = org.limits.max_price_per_hour_usd
    return Allowance(
        gpu_types=org.limits.gpu_types,
        data_centers=org.limits.data_centers,
        gpus_per_worker=org.limits.gpus_per_set,
        clouds=tuple(Cloud[cloud.upper()] for cloud in org.limits.clouds),
        max_price_per_hour_usd=None if price is None else Decimal(str(price)),
    )


def credential_of(ports: Ports, org: Organization, platform: str) -> Secret | None:
    """What proves the organization to a platform; None when it is not there, or kept where this process cannot read."""
    reference = org.credentials.get(platform, credential_name(platform, org.name))
    try:
        return ports.secrets.get(reference)
    except NeedsOperator:
        return None


def engine_keys(ports: Ports, org: str, *, is_made: bool = False) -> EngineKeys | None:
    """What the keys of an organization's public sets come from. Only who makes sets makes it: a gateway that made one
    of its own would present keys that no set knows."""
    name = engine_keys_name(org)
    found = ports.secrets.ensure(name) if is_made else ports.secrets.get(name)
    return EngineKeys.parse(found) if found else None


def runpod_client(ports: Ports, org: Organization) -> Any:
    """A client with the organization's key, to be closed by the caller; None when there is no usable key."""
    key = credential_of(ports, org, "runpod")
    if key is None:
        return None
    try:
        return _connect(ports.settings, key)
    except Refused:
        return None


def _connect(settings: Settings, key: Secret, read_key: Any = None, on_call: Any = None) -> Any:
    """`read_key` gives the key that is stored now; `on_call` hears of each call to the control plane. Raises: Refused for a key that is none."""
    from tidegate.platforms.runpod import RunPodClient

    urls = (settings.runpod_api_url, settings.runpod_data_url)
    return RunPodClient(*urls, key, read_key=read_key, pod_url=settings.runpod_pod_url, on_call=on_call)


def gpu_memory_of(spec: SetSpec) -> int:
    """What a set needs on its GPU: estimated from the file's header, else the most that its service may use."""
    from tidegate.gguf import estimate_memory, read_header

    try:
        with Path(spec.artifact_path).open("rb") as file:
            header = read_header(file).header
        if header is None:
            return spec.max_memory_bytes
        estimate = estimate_memory(header, spec.context_tokens, spec.parallel, is_on_gpu=True)
    except (OSError, InvalidInput):
        # The file is elsewhere, or broken: then the gates say so, and nothing is placed.
        return spec.max_memory_bytes
    return estimate.gpu_bytes


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


def provision_secrets(ports: Ports) -> None:
    """Make what the embedded stack needs: the probe key, and per organization a client key, known to the ledger,
    and a platform credential that the local platform is told to accept. Existing values stay."""
    ports.secrets.ensure(PROBE_KEY)
    for org in ports.organizations.values():
        key = ports.secrets.ensure(api_key_name(org.name))
        ports.ledger.register_api_key(
            org.name, LOCAL_KEY_NAME, key_digest(key, org.name), created_by="the secret store"
        )
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


def client_keys(ports: Ports) -> list[Any]:
    """What the gateway accepts: the live keys of every organization, and the internal probe key."""
    from tidegate.gateway import PROBE_CLIENT, ClientKey

    keys = [
        ClientKey(key.org, key.name, key.digest, key.expires_at)
        for key in ports.ledger.live_api_keys()
        if key.org in ports.organizations
    ]
    probe = ports.secrets.get(PROBE_KEY)
    return keys + ([ClientKey.of(PROBE_CLIENT, PROBE_CLIENT, probe)] if probe else [])


def platform_credential(ports: Ports, org: str, name: str) -> Secret | None:
    """What the gateway presents to a set elsewhere: the organization's own credential of one platform, or the key of
    one of its own public sets, and no other.

    Routes name it by platform and organization, or by set, wherever it is kept, so that no path and no variable stands
    in them.
    """
    known = ports.organizations.get(org)
    of_engine = parse_engine_credential(name)
    if of_engine is not None:
        key_id, set_name = of_engine
        owner = owner_of_set(set_name)
        keys = engine_keys(ports, org) if known and owner and owner.org == org else None
        return keys.key_of(set_name, key_id) if keys else None
    for platform in ports.platforms if known else ():
        if known and name == credential_name(platform, org):
            return credential_of(ports, known, platform)
    return None


def run_gateway_agent(
    settings: Settings, stop: threading.Event, *, name: str = "gateway-1", port: int = 8080
) -> None:
    """The agent beside one Envoy, until `stop` is set."""
    from tidegate.gateway import GatewayConfig, serve
    from tidegate.replay.keeping import CurrentPolicies, Keeper, capture_policies
    from tidegate.replay.sampler import sampling

    ports = load(settings, interface=Interface.AGENT)
    provision_secrets(ports)
    folders = settings.organizations_dir, settings.policies_dir
    sampled = CurrentPolicies(lambda: capture_policies(load_organizations(*folders).values()))
    config = GatewayConfig(
        name=name,
        root=settings.gateway_dir / name,
        port=port,
        admin_socket=settings.runtime_dir / f"{name}.sock",
        envoy_bin=settings.envoy_bin,
        ca_file=settings.ca_file,
        captures={str(ref): policy.percent for ref, policy in sampled().items()},
        # The mark by which the stack finds an Envoy whose agent was killed.
        environment={name: os.environ[name] for name in (STACK_MARK_VARIABLE,) if name in os.environ},
    )
    keeper = Keeper(
        ports.ledger, sampled, lambda org: ports.secrets.ensure(capture_key_name(org)), ports.clock
    )

    def trouble(part: str, error: Exception) -> None:
        ports.note_error(error, f"gateway {part}")

    def keep(copies: Any) -> None:
        try:
            keeper.keep(copies)
        except TidegateError as error:
            trouble("sampler", error)
            raise

    with sampling(config.sampler_socket if config.captures else None, keep):
        keys, credentials = partial(client_keys, ports), partial(platform_credential, ports)
        serve(config, ports.ledger, keys, stop, credentials, trouble)
    ports.note_error.flush()


def run_platform_agent(settings: Settings, stop: threading.Event) -> None:
    """Keeps local sets running and their addresses published, until `stop` is set."""
    from tidegate.platforms.local import LocalPlatform, run_agent
    from tidegate.steps.address_watch import publish_addresses

    ports = load(settings, interface=Interface.AGENT)
    provision_secrets(ports)

    threads = [threading.Thread(target=publish_addresses, args=(ports, stop), name="addresses", daemon=True)]
    if "runpod" in ports.platforms:
        threads.append(
            threading.Thread(target=_sweep_runpod, args=(ports, stop), name="runpod-sweep", daemon=True)
        )
    for thread in threads:
        thread.start()
    local = ports.platforms["local"]
    assert isinstance(local, LocalPlatform), "load() makes it"
    run_agent(local, stop, on_error=lambda error: ports.note_error(error, "round of healing"))
    for thread in threads:
        thread.join()
    ports.note_error.flush()


def _sweep_runpod(ports: Ports, stop: threading.Event) -> None:
    """What costs money at RunPod and is known to nobody is removed, again and again, until `stop` is set."""
    from tidegate.platforms.runpod import RunPodPlatform

    platform = ports.platforms["runpod"]
    assert isinstance(platform, RunPodPlatform), "load() makes it"
    while not stop.wait(RUNPOD_SWEEP_INTERVAL_S):
        try:
            platform.sweep(known_sets(ports))
        except Exception as error:  # noqa: BLE001 - an orphan costs money until the next sweep
            ports.note_error(error, "sweep of RunPod")
            logging.getLogger(__name__).warning("orphans at RunPod: %s", error)


def known_sets(ports: Ports) -> dict[str, frozenset[str]]:
    """Names of the sets that the ledger knows, by organization."""
    names: dict[str, set[str]] = {}
    for spec, state in ports.ledger.list_sets():
        if state != "deleted":
            names.setdefault(spec.org, set()).add(spec.name)
    return {org: frozenset(found) for org, found in names.items()}
