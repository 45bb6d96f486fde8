"""Task: latency and question bank against the live model."""

from prefect import task

from tasks.policies import LONG
from tasks.runtime import ports
from tidegate import steps
from tidegate.steps import StepOutcome


@task(name="benchmark", task_run_name="benchmark: {before.org}/{before.service}", **LONG)
def benchmark(before: StepOutcome) -> StepOutcome:
    return steps.benchmark(ports(), before)
