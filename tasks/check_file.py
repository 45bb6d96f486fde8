"""Task: check one artifact by the policy of a service."""

from prefect import task

from tasks.policies import LONG
from tasks.runtime import ports
from tidegate.domain import ServiceRef
from tidegate.steps import files


@task(name="check file", task_run_name="check {path}", **LONG)
def check_file(org: str, service: str, path: str) -> files.FileResult:
    return files.check_file(ports(), ServiceRef(org, service), path)
