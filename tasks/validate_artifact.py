"""Task: check the file, then load it on the GPU pool and ask it."""

from prefect import task

from tasks.policies import SHORT
from tasks.runtime import ports
from tidegate import steps
from tidegate.steps import StepOutcome


@task(name="validate artifact", task_run_name="validate artifact: {before.org}/{before.service}", **SHORT)
def validate_artifact(before: StepOutcome) -> StepOutcome:
    return steps.validate_artifact(ports(), before)
