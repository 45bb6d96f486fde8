"""Task: up the ladder, bake, commit, retire."""

from prefect import task

from tasks.policies import LONG
from tasks.runtime import ports
from tidegate import steps
from tidegate.steps import StepOutcome


@task(name="promote", task_run_name="promote: {before.org}/{before.service}", **LONG)
def promote(before: StepOutcome) -> StepOutcome:
    return steps.promote(ports(), before)
