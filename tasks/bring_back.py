"""Task: stop the release under way, or go back to the previous version."""

from prefect import task

from tasks.policies import ROLL_BACK
from tasks.runtime import ports
from tidegate import steps
from tidegate.domain import Secret, ServiceRef
from tidegate.steps import StepOutcome


@task(name="bring back", task_run_name="bring back {org}/{service}", **ROLL_BACK)
def bring_back(org: str, service: str, actor: str, reason: str, token: Secret | None) -> StepOutcome:
    return steps.bring_back(ports(), ServiceRef(org, service), actor, reason, token)
