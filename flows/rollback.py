"""Flow: bring a service back to what served before."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.endings import ending
from flows.forms import RollbackForm, reveal
from tasks.bring_back import bring_back
from tasks.plan_rollback import plan_rollback
from tasks.policies import FLOW
from tasks.publish_report import publish_report
from tasks.publish_summary import publish_summary
from tidegate.steps.rollback_report import safety_markdown


@flow(name="rollback", flow_run_name="{request.org}/{request.service} back", **FLOW)
def rollback(request: RollbackForm) -> State[None]:
    """Stop the release under way, or return to an earlier version; verified before it is called done."""
    if request.plan:
        found = plan_rollback(request.org, request.service, request.to)
        publish_summary(
            f"rollback-{request.org}-{request.service}", safety_markdown(found), "What a rollback does"
        )
        if not found.is_safe:
            return Failed(name="NotSafe", message="a precondition is missing; see the report")
        return Completed(name="Planned", message="nothing was changed")
    outcome = bring_back(
        request.org,
        request.service,
        request.requested_by,
        request.reason,
        reveal(request.token),
        request.to,
        flow_run.get_id() or "",
    )
    publish_report(outcome)
    return ending(outcome)
