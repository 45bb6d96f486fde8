"""Task: bring all traffic back, verify it, remove the new set."""

from prefect import task

from tasks.policies import ROLL_BACK
from tasks.runtime import ports
from tidegate import steps
from tidegate.steps import StepOutcome


@task(name="roll back", task_run_name="roll back: {before.org}/{before.service}", **ROLL_BACK)
def roll_back(before: StepOutcome) -> StepOutcome:
    return steps.roll_back(ports(), before)
