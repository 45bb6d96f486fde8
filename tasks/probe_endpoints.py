"""Task: prove which file the new set serves, and probe its endpoint."""

from prefect import task

from tasks.policies import SHORT
from tasks.runtime import ports
from tidegate import steps
from tidegate.steps import StepOutcome


@task(name="probe endpoints", task_run_name="probe endpoints: {before.org}/{before.service}", **SHORT)
def probe_endpoints(before: StepOutcome) -> StepOutcome:
    return steps.probe_endpoints(ports(), before)
