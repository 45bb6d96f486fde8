"""Task: two registered versions beside each other."""

from prefect import task

from tasks.policies import LONG
from tasks.runtime import ports
from tidegate.domain import ServiceRef
from tidegate.steps import versions


@task(name="compare versions", task_run_name="compare {base} and {candidate}", **LONG)
def compare_versions(
    org: str, service: str, base: str, candidate: str, attempt: str
) -> versions.VersionComparison:
    return versions.compare_versions(ports(), ServiceRef(org, service), base, candidate, attempt)
