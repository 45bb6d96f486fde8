"""The environment that a worker is started with, read once and checked: the contract with platform and emulator."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from tidegate_worker.problems import CONFIGURATION, WorkerProblem

DIGEST = re.compile(r"[0-9a-f]{64}")
# The engine reads a list of keys, separated by commas.
ENGINE_KEY = re.compile(r"[!-+\--~]{32,512}")
ENGINE_KEY_VARIABLE = "TIDEGATE_ENGINE_API_KEY"
MAX_PORT = 65535
# RunPod calls a worker unhealthy that is not ready after seven minutes, unless RUNPOD_INIT_TIMEOUT says otherwise.
DEFAULT_INIT_TIMEOUT_S = 420.0
DEFAULT_DRAIN_S = 120.0

Mode = Literal["LB", "QUEUE", "POD"]


@dataclass(frozen=True)
class Configuration:
    """`port` and `health_port` are those of RunPod's load balancer or of a pod's proxy; in queue mode the engine takes
    a free port. `engine_key` is what clients must present; None only where a platform in front asks for its own key.
    """

    mode: Mode
    model_url: str
    digest: str
    set_name: str
    release_id: str
    context_tokens: int
    parallel: int
    threads: int
    gpu_layers: int
    host: str
    port: int | None
    health_port: int | None
    health_path: str
    engine_bin_dir: str | None
    model_cache_dir: Path
    init_timeout_s: float
    drain_s: float
    engine_key: str | None = field(default=None, repr=False)


def read_configuration(environment: Mapping[str, str]) -> Configuration:
    """Raises: WorkerProblem naming the first variable that is missing or wrong, never a secret's value."""
    mode = _mode(environment)
    port = _port(environment, "PORT")
    health_port = _port(environment, "PORT_HEALTH")
    if mode != "QUEUE":
        _check_ports(port, health_port)
    elif not environment.get("RUNPOD_WEBHOOK_GET_JOB"):
        raise _wrong(
            "RUNPOD_WEBHOOK_GET_JOB", "is not set", "Queue mode runs on a queue endpoint, which sets it."
        )
    return Configuration(
        mode=mode,
        model_url=_required(environment, "TIDEGATE_MODEL_URL"),
        digest=_digest(environment),
        set_name=environment.get("TIDEGATE_SET_NAME", ""),
        release_id=environment.get("TIDEGATE_RELEASE_ID", ""),
        context_tokens=_integer(environment, "TIDEGATE_CONTEXT_TOKENS", 4096, least=1),
        parallel=_integer(environment, "TIDEGATE_PARALLEL", 4, least=1),
        threads=_integer(environment, "TIDEGATE_THREADS", usable_cores(), least=1),
        gpu_layers=_integer(environment, "TIDEGATE_GPU_LAYERS", 999, least=0),
        host=environment.get("TIDEGATE_WORKER_HOST") or "127.0.0.1",
        port=port,
        health_port=health_port,
        health_path=_health_path(environment),
        engine_bin_dir=environment.get("TIDEGATE_ENGINE_BIN_DIR") or None,
        model_cache_dir=Path(environment.get("TIDEGATE_MODEL_CACHE_DIR") or "/tmp/tidegate-models"),
        init_timeout_s=_seconds(environment, "RUNPOD_INIT_TIMEOUT", DEFAULT_INIT_TIMEOUT_S),
        drain_s=_seconds(environment, "TIDEGATE_DRAIN_S", DEFAULT_DRAIN_S),
        engine_key=_engine_key(environment, mode),
    )


def usable_cores() -> int:
    """Cores that this process may use; a container often sees more than it was given."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _mode(environment: Mapping[str, str]) -> Mode:
    mode = _required(environment, "TIDEGATE_WORKER_MODE")
    if mode not in ("LB", "QUEUE", "POD"):
        raise _wrong("TIDEGATE_WORKER_MODE", f"is '{mode}'", "Set it to LB, QUEUE or POD.")
    return cast("Mode", mode)


def _digest(environment: Mapping[str, str]) -> str:
    digest = _required(environment, "TIDEGATE_MODEL_DIGEST")
    if not DIGEST.fullmatch(digest):
        raise _wrong(
            "TIDEGATE_MODEL_DIGEST", "is no SHA-256", "Give the 64 lower-case hexadecimal characters."
        )
    return digest


def _engine_key(environment: Mapping[str, str], mode: Mode) -> str | None:
    """A pod's ports are open to everybody: without a key it does not start. The value is in no message."""
    key = environment.get(ENGINE_KEY_VARIABLE, "")
    if not key and mode == "POD":
        raise _wrong(
            ENGINE_KEY_VARIABLE, "is not set", "A pod is public: give the key that callers must present."
        )
    if key and not ENGINE_KEY.fullmatch(key):
        raise _wrong(
            ENGINE_KEY_VARIABLE,
            "is no usable key",
            "Give 32 to 512 visible ASCII characters without a comma.",
        )
    return key or None


def _health_path(environment: Mapping[str, str]) -> str:
    path = environment.get("HEALTH_CHECK_PATH") or "/ping"
    if not path.startswith("/") or path == "/worker":
        raise _wrong("HEALTH_CHECK_PATH", f"is '{path}'", "Give a path such as /ping; /worker is taken.")
    return path


def _check_ports(port: int | None, health_port: int | None) -> None:
    if port is None:
        raise _wrong("PORT", "is not set", "Give the port that the load balancer sends requests to.")
    if health_port is None or health_port == port:
        raise _wrong(
            "PORT_HEALTH",
            "is not set" if health_port is None else "equals PORT",
            "Give another port than PORT: the engine cannot say 204 while it loads, so something beside it does.",
        )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise _wrong(name, "is not set", "Set it; see the table in deployments/images/worker/README.md.")
    return value


def _port(environment: Mapping[str, str], name: str) -> int | None:
    return _integer(environment, name, 0, least=1, most=MAX_PORT) if environment.get(name) else None


def _integer(
    environment: Mapping[str, str], name: str, default: int, *, least: int, most: int | None = None
) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    if (
        not text.isascii()
        or not text.isdigit()
        or int(text) < least
        or (most is not None and int(text) > most)
    ):
        limits = f"from {least}" + (f" to {most}" if most is not None else "")
        raise _wrong(name, f"is '{text}'", f"Give a whole number {limits}.")
    return int(text)


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    return float(_integer(environment, name, int(default), least=0))


def _wrong(name: str, what: str, remedy: str) -> WorkerProblem:
    return WorkerProblem(f"{name} {what}.", remedy=remedy, exit_code=CONFIGURATION, field=name)
