"""Task: may this organization release this model here, now?"""

from prefect import task

from tasks.policies import SHORT
from tasks.runtime import ports
from tidegate import steps
from tidegate.steps import StepOutcome


@task(name="verify org auth", task_run_name="verify org auth: {before.org}/{before.service}", **SHORT)
def verify_org_auth(before: StepOutcome) -> StepOutcome:
    return steps.verify_org_auth(ports(), before)
