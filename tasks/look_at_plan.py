"""Task: what a release would do; nothing is done."""

from prefect import task

from tasks.policies import SHORT
from tasks.runtime import ports
from tidegate import steps
from tidegate.domain import ReleaseRequest
from tidegate.steps.plan_preview import Preview


@task(name="look at plan", task_run_name="look at plan: {request.model}:{request.version}", **SHORT)
def look_at_plan(request: ReleaseRequest) -> Preview:
    return steps.preview(ports(), request)
