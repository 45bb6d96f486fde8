"""Brings a Prefect server to what this source tree declares: pools and deployments. Safe to repeat."""

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tidegate.domain import InvalidInput, NeedsOperator
from tidegate.stack.prefect_api import PrefectApi
from tidegate.stack.record import read_json, write_json

STAMP_FILE = "deployed.json"
DEPLOY_TIMEOUT_S = 240.0
POOL_FIELDS = frozenset({"name", "type", "description", "concurrency_limit", "base_job_template"})
SHOWN_LINES = 40
# Pools of other types need an account somewhere, so they are made when somebody asks for them.
EMBEDDED_POOL_TYPE = "process"


def bootstrap(
    api: PrefectApi,
    *,
    pools_dir: Path,
    source_root: Path,
    organizations_dir: Path,
    stamp_dir: Path,
    environ: Mapping[str, str],
    report: Callable[[str], None],
) -> None:
    """Upsert work pools, then deploy the flows if they changed since the last time.

    Raises:
        InvalidInput: a pool file is wrong.
        NeedsOperator: `prefect deploy` failed; its output is in the message.
    """
    for pool in read_pools(pools_dir):
        if pool["type"] != EMBEDDED_POOL_TYPE:
            continue
        api.upsert_work_pool(pool)
        report(f"work pool {pool['name']}")
    source = source_digest(source_root, organizations_dir)
    deploy_if_changed(api, source, stamp_dir, lambda: prefect_deploy(source_root, environ), report)


def read_pools(folder: Path) -> list[dict[str, Any]]:
    """The declared work pools, each from its own file."""
    pools: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.json")):
        pool = read_json(path)
        if pool is None or not {"name", "type", "base_job_template"} <= set(pool) <= POOL_FIELDS:
            raise InvalidInput(
                f"{path} does not describe a work pool.",
                remedy=f"It needs name, type and base_job_template, and may have {', '.join(sorted(POOL_FIELDS))}.",
            )
        pools.append(pool)
    if not pools:
        raise InvalidInput(
            f"There is no work pool in {folder}.", remedy="Set TIDEGATE_DEPLOYMENTS_DIR correctly."
        )
    return pools


def deploy_if_changed(
    api: PrefectApi, source: str, stamp_dir: Path, deploy: Callable[[], None], report: Callable[[str], None]
) -> bool:
    """Deploy all flows unless this very source is deployed in this very database. True when it deployed."""
    stamp = read_json(stamp_dir / STAMP_FILE) or {}
    known = set(api.deployments())
    # The stamp alone proves nothing: the database may have been removed since.
    if stamp.get("source") == source and known and known.issuperset(stamp.get("deployments", [])):
        report("deployments are up to date")
        return False
    started = time.monotonic()
    deploy()
    deployed = api.deployments()
    write_json(stamp_dir / STAMP_FILE, {"source": source, "deployments": deployed})
    report(f"{len(deployed)} deployments in {time.monotonic() - started:.1f} s")
    return True


def source_digest(source_root: Path, organizations_dir: Path) -> str:
    """What deployments are made of: prefect.yaml, flows and tasks, and what shapes their parameters' forms."""
    digest = hashlib.sha256(str(source_root).encode())
    for path in _sources(source_root, organizations_dir):
        digest.update(path.name.encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _sources(root: Path, organizations_dir: Path) -> Iterable[Path]:
    yield root / "prefect.yaml"
    for folder in ("flows", "tasks", "tidegate/domain"):
        yield from sorted((root / folder).rglob("*.py"))
    yield from sorted(organizations_dir.glob("*.yaml"))


def prefect_deploy(source_root: Path, environ: Mapping[str, str]) -> None:
    """Run `prefect deploy --all`; its output is shown only when it fails."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    try:
        done = subprocess.run(
            command,
            cwd=source_root,
            env={**environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=DEPLOY_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NeedsOperator(
            f"'prefect deploy --all' took longer than {DEPLOY_TIMEOUT_S:g} s.",
            remedy="Look at the load of the machine, then run: tidegate up.",
        ) from error
    if done.returncode != 0:
        lines = done.stdout.decode("utf-8", errors="replace").splitlines()[-SHOWN_LINES:]
        raise NeedsOperator(
            f"'prefect deploy --all' ended with exit code {done.returncode}:\n" + "\n".join(lines),
            remedy="Correct prefect.yaml or the flow that it names, then run: tidegate up.",
        )
