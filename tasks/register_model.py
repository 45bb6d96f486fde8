"""Task: copy an artifact into the store and register it."""

from pathlib import Path

from prefect import task

from tasks.policies import SHORT
from tasks.runtime import ports
from tidegate import steps
from tidegate.domain import ModelVersion


@task(name="register model", task_run_name="register {name}:{version}", **SHORT)
def register_model(
    org: str,
    name: str,
    version: str,
    path: str,
    provenance: dict[str, str],
    signature: str = "",
    requested_by: str = "",
) -> ModelVersion:
    signatures = [Path(signature)] if signature else []
    return steps.register_model(
        ports(), org, name, version, Path(path), provenance, signatures, actor=requested_by
    )
