"""What we write on a RunPod resource to know it again: its environment is the only place that RunPod keeps for us.

Every process of ours reads the same marks, so that none needs a memory of its own to find, adopt, judge or end
a set. The environment also is the worker's contract; see deployments/images/worker.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Self

from tidegate.correlation import current
from tidegate.domain import Refused, RunPodServiceConfig, SetSpec
from tidegate.platforms.runpod.wire import secret_placeholder

SET_NAME, DIGEST, RELEASE_ID = "TIDEGATE_SET_NAME", "TIDEGATE_MODEL_DIGEST", "TIDEGATE_RELEASE_ID"
WANTED, PROBLEM = "TIDEGATE_WANTED", "TIDEGATE_PROBLEM"
WORKERS, STARTED_AT = "TIDEGATE_WANTED_WORKERS", "TIDEGATE_STARTED_AT"
RESTARTS, KEY_ID, NEED_BYTES = "TIDEGATE_RESTARTS", "TIDEGATE_ENGINE_KEY_ID", "TIDEGATE_NEED_BYTES"
ENGINE_KEY = "TIDEGATE_ENGINE_API_KEY"
FLOW_RUN_ID = "TIDEGATE_FLOW_RUN_ID"
"""Which run made it: an orphan is traced to its maker. The worker repeats it in its log."""
PRICE = "TIDEGATE_PRICE_PER_HOUR_USD"
MAX_PROBLEM_CHARS = 2000
MODES = {"load_balancer": "LB", "queue": "QUEUE", "pod": "POD"}
PORT, HEALTH_PORT, HEALTH_PATH = 8000, 8001, "/ping"


class Wanted(StrEnum):
    """What the set should do. `failed` was given up by us, and stays until somebody starts it again."""

    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class Marks:
    """The marks of one set."""

    name: str
    digest: str
    release_id: str
    wanted: Wanted
    min_workers: int
    max_workers: int
    started_at: datetime | None = None
    problem: str = ""
    restarts: int = 0
    key_id: str = ""
    """Of a pod: with which of the organization's engine keys it was made."""
    need_bytes: int = 0
    """Of a pod: the GPU memory that it was placed for, so that it can be placed again."""

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Self | None:
        """None for a resource that does not carry our marks, or carries damaged ones: it is not touched."""
        try:
            low, _, high = env[WORKERS].partition("/")
            return cls(
                name=env[SET_NAME],
                digest=env[DIGEST],
                release_id=env.get(RELEASE_ID, ""),
                wanted=Wanted(env[WANTED]),
                min_workers=int(low),
                max_workers=int(high),
                started_at=datetime.fromisoformat(env[STARTED_AT]) if env.get(STARTED_AT) else None,
                problem=env.get(PROBLEM, ""),
                restarts=int(env.get(RESTARTS) or 0),
                key_id=env.get(KEY_ID, ""),
                need_bytes=int(env.get(NEED_BYTES) or 0),
            )
        except (KeyError, ValueError):
            return None

    def write(self, env: Mapping[str, str]) -> dict[str, str]:
        """The whole environment with these marks: a PATCH replaces all of it."""
        marks = {
            SET_NAME: self.name,
            DIGEST: self.digest,
            RELEASE_ID: self.release_id,
            WANTED: self.wanted.value,
            WORKERS: f"{self.min_workers}/{self.max_workers}",
            STARTED_AT: self.started_at.isoformat() if self.started_at else "",
            PROBLEM: self.problem[-MAX_PROBLEM_CHARS:],
        }
        of_pod = {KEY_ID: self.key_id, NEED_BYTES: str(self.need_bytes), RESTARTS: str(self.restarts)}
        return {**env, **marks, **(of_pod if self.key_id else {})}

    def want(self, wanted: Wanted, *, problem: str = "", now: datetime | None = None) -> Self:
        return replace(self, wanted=wanted, problem=problem, started_at=now or self.started_at)


def require_same_digest(marks: Marks, spec: SetSpec) -> None:
    """Raises: Refused: one name never means two files."""
    if marks.digest != spec.digest:
        raise Refused(
            f"Set {spec.name} exists and serves {marks.digest[:12]}, not {spec.digest[:12]}.",
            remedy="Delete it first, or ask for the name that belongs to this digest.",
            set=spec.name,
        )


def worker_environment(spec: SetSpec, config: RunPodServiceConfig) -> dict[str, str]:
    """The worker's contract, without the marks. Credentials are placeholders that RunPod fills in."""
    is_queue = config.kind == "queue"
    contract = {
        "TIDEGATE_WORKER_MODE": MODES[config.kind],
        "TIDEGATE_MODEL_URL": config.model_location(spec.digest, spec.artifact_path),
        "TIDEGATE_CONTEXT_TOKENS": str(spec.context_tokens),
        "TIDEGATE_PARALLEL": str(spec.parallel),
        "TIDEGATE_THREADS": str(spec.threads),
        # RunPod's own limit is 7 minutes, which a large file on a network volume exceeds.
        "RUNPOD_INIT_TIMEOUT": str(config.init_timeout_s),
        # At its default level RunPod's SDK logs what users ask and what they are answered.
        "RUNPOD_LOG_LEVEL": "INFO",
    }
    # All three must be set and the port listed: otherwise workers run and none is ever ready.
    balancer = {"PORT": str(PORT), "PORT_HEALTH": str(HEALTH_PORT), "HEALTH_CHECK_PATH": HEALTH_PATH}
    secrets = {name: secret_placeholder(secret) for name, secret in config.secret_env.items()}
    run = current().get("flow_run_id")
    maker = {FLOW_RUN_ID: run} if run else {}
    return {**config.env, **secrets, **contract, **maker, **({} if is_queue else balancer)}
