"""What `tidegate up` runs, as data: Prefect on SQLite, workers, gateways, agents, console, notifier, exporter, health."""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tidegate.domain import Secret
from tidegate.log_files import LOG_FILE_VARIABLE, PROCESS_VARIABLE, WATCH_VARIABLE
from tidegate.settings import LOOPBACK, SOURCE_ROOT, Settings
from tidegate.stack.processes import MARK
from tidegate.stack.specification import HttpProbe, LogProbe, ProcessSpec, RestartPolicy, TcpProbe
from tidegate.stack.supervisor import Blueprint

PREFERRED_PORTS = {"gateway": 8080, "prefect": 4200, "console": 8090, "exporter": 8091}
"""More gateways follow the first one: see `preferred_ports`."""
RUNNING_LINE = "agent is running"
GATEWAY_NAME = "gateway-1"
FLOW_HOST = "TIDEGATE_FLOW_HOST"
FLOW_HOST_LINE = "flow host is ready"
SECRET_VARIABLES = "TIDEGATE_SECRET_"
# Prefect's own server; its package says what it mends on the way.
SERVER_MODULE = "deployments.prefect_server"

# Nothing leaves the machine, nothing asks questions, and a missing URL must not start a private server.
QUIET_PREFECT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
}
# Results are small values that we return ourselves; JSON, because unpickling a result runs code.
CLIENT_PREFECT = {
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "tidegate",
    # A thread that knows no run, and a worker, log to their file alone.
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_WORKER_QUERY_SECONDS": "0.5",
}


def preferred_ports(gateways: int) -> dict[str, int]:
    """Name of each process that clients reach, and where it listens when nobody else does."""
    further = {name: PREFERRED_PORTS["gateway"] + 10 + number for number, name in _further(gateways)}
    return {**PREFERRED_PORTS, **further}


def _further(gateways: int) -> list[tuple[int, str]]:
    return [(number, f"gateway-{number}") for number in range(2, gateways + 1)]


def prefect_api_url(ports: Mapping[str, int]) -> str:
    return f"http://{LOOPBACK}:{ports['prefect']}/api"


def embedded_stack(
    settings: Settings, environ: Mapping[str, str], ports: Mapping[str, int], auth: Secret
) -> Blueprint:
    """Everything that one home runs, with its environment and its order."""
    shared = _shared_environment(settings, environ, ports)
    client = {**shared, **CLIENT_PREFECT, **_client_access(ports, auth)}
    client[FLOW_HOST] = str(settings.runtime_dir / "flow-host.sock")
    server = _server_environment(settings, shared, ports, auth)
    specs = (
        _prefect_server(settings, server, ports),
        _gateway(settings, shared, ports["gateway"]),
        *(_further_gateway(settings, shared, name, ports[name]) for _, name in _further(settings.gateways)),
        _platform(settings, shared),
        _console(settings, shared, ports),
        _notifier(settings, shared),
        _exporter(settings, shared, ports),
        _health(settings, shared, ports),
        _bootstrap(settings, client),
        _flow_host(settings, client),
        _worker(settings, client, "control"),
        _worker(settings, {**client, "TIDEGATE_GPU_SLOT": "0"}, "gpu", "--limit", "1"),
    )
    return Blueprint(
        home=settings.home,
        specs=specs,
        teardown=(replace(_agent(settings, shared, "stop-sets"), kind="task", ready_timeout_s=30.0),),
        urls={
            "gateway": f"http://{LOOPBACK}:{ports['gateway']}",
            "prefect": f"http://{LOOPBACK}:{ports['prefect']}",
            "console": f"http://{LOOPBACK}:{ports['console']}",
            "exporter": f"http://{LOOPBACK}:{ports['exporter']}",
            **{name: f"http://{LOOPBACK}:{ports[name]}" for _, name in _further(settings.gateways)},
        },
        ports=dict(ports),
    )


def _shared_environment(
    settings: Settings, environ: Mapping[str, str], ports: Mapping[str, int]
) -> dict[str, str]:
    """The caller's environment without its own Prefect settings, which belong to another installation."""
    kept = {
        name: value
        for name, value in environ.items()
        # What the supervisor was told about its own log is not theirs.
        if not name.startswith("PREFECT_")
        and name not in (LOG_FILE_VARIABLE, PROCESS_VARIABLE, WATCH_VARIABLE)
    }
    # Not resolved: the `python` of a virtual environment is a link, and its folder is what must come first.
    scripts = str(Path(sys.executable).parent)
    return kept | {
        MARK: str(settings.home),
        "TIDEGATE_HOME": str(settings.home),
        "TIDEGATE_DEPLOYMENTS_DIR": str(settings.deployments_dir.resolve()),
        "TIDEGATE_GATEWAY_URL": f"http://{LOOPBACK}:{ports['gateway']}",
        "PATH": os.pathsep.join([scripts, environ.get("PATH", os.defpath)]),
        # Flows are found by module name from wherever a worker runs them.
        "PYTHONPATH": os.pathsep.join(filter(None, [str(SOURCE_ROOT), environ.get("PYTHONPATH", "")])),
        "PYTHONUNBUFFERED": "1",
        "PREFECT_HOME": str(settings.prefect_home),
        # Ours, wherever the deployments of a user lie.
        "PREFECT_LOGGING_SETTINGS_PATH": str(SOURCE_ROOT / "deployments" / "logging" / "prefect.yaml"),
        **QUIET_PREFECT,
    }


def _client_access(ports: Mapping[str, int], auth: Secret) -> dict[str, str]:
    return {"PREFECT_API_URL": prefect_api_url(ports), "PREFECT_API_AUTH_STRING": auth.reveal()}


def _server_environment(
    settings: Settings, shared: Mapping[str, str], ports: Mapping[str, int], auth: Secret
) -> dict[str, str]:
    """The server gets its own secret and no other: whoever may call its API must not find ours in its process."""
    port = ports["prefect"]
    plain = {name: value for name, value in shared.items() if not name.startswith(SECRET_VARIABLES)}
    return plain | {
        "PREFECT_SERVER_API_AUTH_STRING": auth.reveal(),
        "PREFECT_SERVER_API_HOST": LOOPBACK,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_UI_API_URL": prefect_api_url(ports),
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://{LOOPBACK}:{port},http://localhost:{port}",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{settings.prefect_home / 'prefect.db'}",
        # In memory (the default) a slot that is held while the server restarts is never free again.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }


def _prefect_server(settings: Settings, env: Mapping[str, str], ports: Mapping[str, int]) -> ProcessSpec:
    port = str(ports["prefect"])
    return ProcessSpec(
        name="prefect",
        argv=(sys.executable, "-m", SERVER_MODULE, "start", "--host", LOOPBACK, "--port", port),
        env=env,
        # Not the source tree: Prefect reads settings from files of its working directory.
        cwd=settings.prefect_home,
        log_path=settings.logs_dir / "prefect.log",
        ready=HttpProbe(f"{prefect_api_url(ports)}/health"),
        ready_timeout_s=240.0,
        # It finishes its services' loops first, which takes long on a busy machine.
        stop_timeout_s=20.0,
    )


def _further_gateway(settings: Settings, env: Mapping[str, str], name: str, port: int) -> ProcessSpec:
    """It is told apart from the first by its name, its port and its folder."""
    first = _gateway(settings, env, port)
    argv = tuple(f"--name={name}" if part == f"--name={GATEWAY_NAME}" else part for part in first.argv)
    return replace(first, name=name, argv=argv, log_path=settings.logs_dir / f"{name}.log")


def _gateway(settings: Settings, env: Mapping[str, str], port: int) -> ProcessSpec:
    return replace(
        _agent(settings, env, "gateway", f"--name={GATEWAY_NAME}", f"--port={port}"),
        ready=TcpProbe(LOOPBACK, port),
        # It waits for requests in flight, at most 30 s.
        stop_timeout_s=35.0,
        # Envoy goes on serving while its agent is away.
        orphans="keep",
    )


def _platform(settings: Settings, env: Mapping[str, str]) -> ProcessSpec:
    return replace(_agent(settings, env, "platform"), ready=LogProbe(RUNNING_LINE), orphans="keep")


def _notifier(settings: Settings, env: Mapping[str, str]) -> ProcessSpec:
    """It finishes what it is sending, which a slow mail server may take its time for."""
    return replace(_agent(settings, env, "notifier"), ready=LogProbe(RUNNING_LINE), stop_timeout_s=30.0)


def _health(settings: Settings, env: Mapping[str, str], ports: Mapping[str, int]) -> ProcessSpec:
    """Looks at everything else here, so that it is there before the rest and waits for none of it."""
    agent = _agent(settings, {**env, "PREFECT_API_URL": prefect_api_url(ports)}, "health")
    return replace(agent, ready=LogProbe(RUNNING_LINE))


def _console(settings: Settings, env: Mapping[str, str], ports: Mapping[str, int]) -> ProcessSpec:
    """The HTTP API, on loopback: who wants it elsewhere puts a proxy with TLS before it."""
    port = ports["console"]
    return replace(
        _agent(settings, env, "console", f"--port={port}"),
        ready=HttpProbe(f"http://{LOOPBACK}:{port}/healthz"),
    )


def _exporter(settings: Settings, env: Mapping[str, str], ports: Mapping[str, int]) -> ProcessSpec:
    """Metrics for a Prometheus on this host. It asks the Prefect server, and is there before that one is."""
    port = ports["exporter"]
    return replace(
        _agent(settings, {**env, "PREFECT_API_URL": prefect_api_url(ports)}, "exporter"),
        argv=(sys.executable, "-m", "tidegate.cli", "exporter", f"--port={port}"),
        ready=HttpProbe(f"http://{LOOPBACK}:{port}/healthz"),
    )


def _bootstrap(settings: Settings, env: Mapping[str, str]) -> ProcessSpec:
    return replace(
        _agent(settings, env, "bootstrap"),
        kind="task",
        after=("prefect",),
        ready_timeout_s=270.0,
        restart=RestartPolicy(first_delay_s=1.0, give_up_after=2),
    )


def _flow_host(settings: Settings, env: Mapping[str, str]) -> ProcessSpec:
    """Forks flow runs from a process that has Prefect loaded: a run starts in a tenth of a second."""
    return ProcessSpec(
        name="flow-host",
        argv=(sys.executable, "-m", "deployments.worker.host", env[FLOW_HOST]),
        env=env,
        cwd=settings.prefect_home,
        log_path=settings.logs_dir / "flow-host.log",
        ready=LogProbe(FLOW_HOST_LINE),
        ready_timeout_s=90.0,
    )


def _worker(settings: Settings, env: Mapping[str, str], pool: str, *more: str) -> ProcessSpec:
    name = f"{pool}-1"
    argv = (
        sys.executable,
        "-m",
        "prefect",
        "worker",
        "start",
        "--pool",
        pool,
        "--type",
        "process",
        "--name",
        name,
    )
    # A worker must never make a pool: it would be one with the open template, in which any client runs commands.
    locked = ("--no-create-pool-if-not-found", "--install-policy", "never")
    return ProcessSpec(
        name=f"worker-{pool}",
        argv=(*argv, *locked, *more),
        # It passes on what runs print, past its own loggers.
        env={**env, WATCH_VARIABLE: "1"},
        cwd=SOURCE_ROOT,
        log_path=settings.logs_dir / f"worker-{pool}.log",
        ready=LogProbe(f"Worker '{name}' started!"),
        after=("bootstrap",),
        ready_timeout_s=90.0,
        # Runs whose worker died finish by themselves.
        orphans="keep",
    )


def _agent(settings: Settings, env: Mapping[str, str], name: str, *arguments: str) -> ProcessSpec:
    """One of our own processes: `tidegate agent NAME`."""
    return ProcessSpec(
        name=name,
        argv=(sys.executable, "-m", "tidegate.cli", "agent", name, *arguments),
        env=env,
        cwd=settings.home,
        log_path=settings.logs_dir / f"{name}.log",
    )
