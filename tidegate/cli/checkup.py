"""The checks behind `tidegate doctor`: of the set-up, each looks at one thing and answers with findings, never with an
error; then what the health checks of the running stack saw."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from tidegate.access import PROBE_KEY, SecretStore, api_key_name, credential_name, load_organizations
from tidegate.cli.connect import prefect_api
from tidegate.domain import Place, SecretReference, TidegateError
from tidegate.domain.health import Health
from tidegate.settings import LOOPBACK, Settings, load_settings
from tidegate.stack.embedded import PREFERRED_PORTS
from tidegate.stack.launching import running_stack
from tidegate.stack.port_choice import is_free
from tidegate.stack.specification import SATISFIED

MINIMUM_PYTHON = (3, 11)
GIBIBYTE = 1024**3
MINIMUM_FREE_BYTES = GIBIBYTE // 2
COMFORTABLE_FREE_BYTES = 2 * GIBIBYTE
BINARY_TIMEOUT_S = 20.0
GATEWAY_SILENCE_S = 10.0
POOLS = ("control", "gpu")
HEALTH_LEVELS: dict[Health, "Level"] = {
    Health.OK: "ok",
    Health.WARNING: "warning",
    Health.UNKNOWN: "warning",
    Health.FAILED: "problem",
}
UP_REMEDY = "Run: tidegate up."

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    level: Level
    text: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def run_checkup() -> Iterator[Finding]:
    """Every check in turn; one that cannot be made is itself a problem, told like the others."""
    settings = load_settings()
    checks: tuple[tuple[str, Callable[[Settings], Iterator[Finding]]], ...] = (
        ("python", _python),
        ("home", _home),
        ("disk", _disk),
        ("engine", _engine),
        ("envoy", _envoy),
        ("organizations", _organizations),
        ("credentials", _credentials),
        ("ledger", _ledger),
        ("stack", _stack),
        ("ports", _ports),
        ("prefect", _prefect),
        ("gateway", _gateway),
        ("health", _health),
    )
    for name, check in checks:
        try:
            yield from check(settings)
        except TidegateError as error:
            yield Finding(name, "problem", error.message, error.remedy)
        except OSError as error:
            yield Finding(
                name, "problem", f"{type(error).__name__}: {error}", "Look at the named file or address."
            )


def _python(settings: Settings) -> Iterator[Finding]:
    text = f"{sys.version.split()[0]} at {sys.executable}"
    is_old = sys.version_info < MINIMUM_PYTHON
    yield Finding(
        "python", "problem" if is_old else "ok", text, "Use Python 3.11 or newer." if is_old else ""
    )


def _home(settings: Settings) -> Iterator[Finding]:
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=settings.home):
        yield Finding("home", "ok", f"{settings.home} can be written")


def _disk(settings: Settings) -> Iterator[Finding]:
    free = shutil.disk_usage(settings.home).free
    level: Level = "ok"
    if free < COMFORTABLE_FREE_BYTES:
        level = "problem" if free < MINIMUM_FREE_BYTES else "warning"
    remedy = "" if level == "ok" else "Free some, or set TIDEGATE_HOME to a folder on a larger disk."
    yield Finding("disk", level, f"{free / GIBIBYTE:.1f} GiB free", remedy)


def _engine(settings: Settings) -> Iterator[Finding]:
    from tidegate.engines.llama_server import find_binary

    yield _runs("engine", [str(find_binary("llama-server", settings.engine_bin_dir)), "--version"])


def _envoy(settings: Settings) -> Iterator[Finding]:
    from tidegate.gateway.envoy import find_envoy

    yield _runs("envoy", [str(find_envoy(settings.envoy_bin)), "--version"])


def _runs(name: str, command: list[str]) -> Finding:
    """The binary starts and ends well; its first words tell which version it is."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=BINARY_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding(name, "problem", f"{command[0]} does not answer", "Install the dependencies again.")
    words = done.stdout.decode(errors="replace").strip().splitlines()
    text = next((line.strip() for line in words if "version" in line.lower()), "no version told")
    if done.returncode != 0:
        tail = words[-1] if words else f"exit code {done.returncode}"
        return Finding(
            name, "problem", f"{command[0]} does not run: {tail}", "Install the dependencies again."
        )
    return Finding(name, "ok", text)


def _organizations(settings: Settings) -> Iterator[Finding]:
    found = load_organizations(settings.organizations_dir, settings.policies_dir)
    services = [f"{org.name}/{service}" for org in found.values() for service in org.services]
    yield Finding("organizations", "ok", ", ".join(services))


def _credentials(settings: Settings) -> Iterator[Finding]:
    store = SecretStore(settings.secrets_dir, os.environ)
    wanted = [PROBE_KEY]
    for org in load_organizations(settings.organizations_dir, settings.policies_dir).values():
        platforms = sorted({service.platform for service in org.services.values()})
        wanted.append(api_key_name(org.name))
        wanted += [org.credentials.get(name, credential_name(name, org.name)) for name in platforms]
    # What Prefect keeps is read inside flows only; the authorization gate of a release asks for it.
    readable = [name for name in wanted if SecretReference.parse(name).place is not Place.PREFECT]
    missing = [name for name in readable if store.get(name) is None]
    if missing:
        yield Finding(
            "credentials", "warning", f"missing: {', '.join(missing)}", f"{UP_REMEDY} It makes local ones."
        )
    else:
        yield Finding("credentials", "ok", f"{len(readable)} are present and private")


def _ledger(settings: Settings) -> Iterator[Finding]:
    from tidegate.ledger import Ledger

    # Opening it brings its tables up to date, or refuses a database that a newer version wrote.
    with Ledger.open(settings.ledger_url) as ledger:
        active = len(ledger.list_releases(only_active=True))
        yield Finding("ledger", "ok", f"schema is current, {active} releases under way")


def _stack(settings: Settings) -> Iterator[Finding]:
    record = running_stack(settings.home)
    if record is None:
        yield Finding("stack", "warning", "not up", UP_REMEDY)
        return
    for process in record.processes:
        name = f"process {process.name}"
        if process.status not in SATISFIED:
            text = f"{process.status.value}, last exit: {process.last_exit or 'none'}"
            yield Finding(name, "problem", text, f"See: tidegate logs {process.name}")
        elif process.restarts:
            text = f"{process.status.value} after {process.restarts} restarts, last exit: {process.last_exit}"
            yield Finding(name, "warning", text, f"See: tidegate logs {process.name}")
        else:
            yield Finding(name, "ok", process.status.value)


def _ports(settings: Settings) -> Iterator[Finding]:
    record = running_stack(settings.home)
    if record is not None:
        used = ", ".join(f"{name} {port}" for name, port in record.ports.items())
        yield Finding("ports", "ok", f"in use by the stack: {used}")
        return
    taken = [f"{port} ({name})" for name, port in PREFERRED_PORTS.items() if not is_free(LOOPBACK, port)]
    if taken:
        yield Finding(
            "ports", "warning", f"taken by others: {', '.join(taken)}", "The next free ones will be used."
        )
    else:
        yield Finding("ports", "ok", f"{', '.join(str(port) for port in PREFERRED_PORTS.values())} are free")


def _prefect(settings: Settings) -> Iterator[Finding]:
    if running_stack(settings.home) is None and not os.environ.get("PREFECT_API_URL"):
        yield Finding("prefect", "warning", "no server is known", UP_REMEDY)
        return
    with prefect_api(settings) as api:
        deployments = api.deployments()
        level: Level = "ok" if deployments else "problem"
        remedy = "" if deployments else "Run: tidegate down, then tidegate up."
        yield Finding("prefect", level, f"{len(deployments)} deployments", remedy)
        for pool in POOLS:
            online = [worker.name for worker in api.workers(pool) if worker.is_online]
            yield Finding(
                f"worker pool {pool}",
                "ok" if online else "problem",
                f"online: {', '.join(online)}" if online else "no worker is online",
                "" if online else f"See: tidegate logs worker-{pool}",
            )


def _gateway(settings: Settings) -> Iterator[Finding]:
    from tidegate.ledger import Ledger

    with Ledger.open(settings.ledger_url) as ledger:
        wanted, gateways = ledger.generation(), ledger.gateways()
    if not gateways:
        yield Finding("gateway", "warning", "none has reported yet", UP_REMEDY)
    for gateway in gateways:
        if gateway.state == "stopped" and len(gateways) > 1:
            yield Finding("gateway", "ok", f"{gateway.gateway}: stopped")
            continue
        silence_s = time.time() - gateway.seen_at.timestamp()
        text = f"{gateway.gateway}: generation {gateway.observed_generation} of {wanted}, heard {silence_s:.0f} s ago"
        if gateway.error or silence_s > GATEWAY_SILENCE_S or gateway.observed_generation < wanted:
            is_down = running_stack(settings.home) is None
            yield Finding(
                "gateway",
                "warning" if is_down else "problem",
                f"{text} {gateway.error}",
                "See: tidegate logs gateway",
            )
        else:
            yield Finding("gateway", "ok", text)


def _health(settings: Settings) -> Iterator[Finding]:
    """What the checks of the stack saw last, as far as it is evidence now. Whatever was not well is looked at again:
    a doctor tells what is, not what was while the stack started."""
    from tidegate.cli.health import look_again, present
    from tidegate.ledger import Ledger

    now = datetime.now(UTC)
    with Ledger.open(settings.ledger_url) as ledger:
        states = present(ledger.health_states(), now)
    if not states:
        yield Finding("health", "warning", "no health check was ever made", UP_REMEDY)
    unwell = [state.check for state in states if state.health is not Health.OK]
    if unwell and running_stack(settings.home) is not None:
        seen = {state.check: state for state in (*states, *look_again(unwell))}
        now = datetime.now(UTC)
        states = present(list(seen.values()), now)
    well = [state.check for state in states if state.health is Health.OK]
    if well:
        yield Finding("health", "ok", f"{len(well)} of {len(states)} checks are well: {', '.join(well)}")
    for state in states:
        if state.health is Health.OK:
            continue
        text = f"{state.health.value}, seen {state.age_s(now):.0f} s ago: {state.text}"
        yield Finding(f"health {state.check}", HEALTH_LEVELS[state.health], text, state.remedy)
