"""Flow: from a registered model version to all users, or back."""

from typing import Any

from prefect import Flow, flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Completed

from flows.endings import ending
from flows.forms import ReleaseForm, reveal
from tasks.benchmark import benchmark
from tasks.deploy import deploy
from tasks.look_at_plan import look_at_plan
from tasks.policies import FLOW
from tasks.probe_endpoints import probe_endpoints
from tasks.promote import promote
from tasks.publish_report import publish_report
from tasks.publish_summary import publish_summary
from tasks.roll_back import roll_back
from tasks.select_model import select_model
from tasks.stop_cancelled import stop_cancelled
from tasks.validate_artifact import validate_artifact
from tasks.verify_org_auth import verify_org_auth
from tidegate.steps.plan_preview import preview_markdown

FORWARD = (verify_org_auth, validate_artifact, deploy, probe_endpoints, benchmark, promote)


def bring_back(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A person cancelled the run in the UI: the release is told to stop, and reconcile brings its traffic back."""
    request = ReleaseForm.model_validate(flow_run.parameters["request"])
    # A run that only looked at a plan owns no release.
    if not request.plan_only:
        stop_cancelled(request.to_request())


@flow(
    name="release",
    flow_run_name="{request.org}/{request.service} {request.model}:{request.version}",
    on_cancellation=[bring_back],
    **FLOW,
)
def release(request: ReleaseForm) -> State[None]:
    """Select, verify, validate, deploy, probe, benchmark, then promote or roll back.

    Running it again with the same request resumes the same release, wherever its process died.
    """
    if request.plan_only:
        return tell_plan(request)
    outcome = select_model(request.to_request(), reveal(request.token))
    for step in FORWARD:
        if outcome.goes_on:
            outcome = step(outcome)
    if outcome.must_roll_back:
        outcome = roll_back(outcome)
    publish_report(outcome)
    return ending(outcome)


def tell_plan(request: ReleaseForm) -> State[None]:
    """The plan as a report; a later run that is given its digest carries out exactly this one."""
    found = look_at_plan(request.to_request())
    publish_summary(
        f"plan-{request.org}-{request.service}", preview_markdown(found), f"Plan of {found.version}"
    )
    return Completed(name="Planned", message=f"nothing was done; digest {found.digest}")
