"""Task: create the new set, or adopt it, and wait until it is ready."""

from prefect import task

from tasks.policies import LONG
from tasks.runtime import ports
from tidegate import steps
from tidegate.steps import StepOutcome


@task(name="deploy", task_run_name="deploy: {before.org}/{before.service}", **LONG)
def deploy(before: StepOutcome) -> StepOutcome:
    return steps.deploy(ports(), before)
