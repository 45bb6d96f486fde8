"""Task: may whoever says that a training run finished release its model?"""

from prefect import task

from tasks.policies import SHORT
from tasks.runtime import ports
from tidegate import steps
from tidegate.domain import Secret, ServiceRef


@task(name="verify trainer", task_run_name="verify trainer: {org}/{service}", **SHORT)
def verify_trainer(org: str, service: str, claimed: str, token: Secret | None) -> str:
    return steps.verify_trainer(ports(), ServiceRef(org, service), claimed, token)
