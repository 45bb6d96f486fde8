"""Task: find out who asks, find the version, record or resume the release, own the service, make the plan."""

from prefect import task

from tasks.policies import LONG
from tasks.runtime import ports
from tidegate import steps
from tidegate.domain import ReleaseRequest, Secret
from tidegate.steps import StepOutcome


@task(name="select model", task_run_name="select model: {request.model}:{request.version}", **LONG)
def select_model(request: ReleaseRequest, token: Secret | None) -> StepOutcome:
    return steps.select_model(ports(), request, token)
