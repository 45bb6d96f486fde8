"""Flow: bring a service back to what served before."""

from prefect import flow
from prefect.client.schemas.objects import State

from flows.endings import ending
from flows.forms import RollbackForm, reveal
from tasks.bring_back import bring_back
from tasks.publish_report import publish_report


@flow(name="rollback", flow_run_name="{request.org}/{request.service} back")
def rollback(request: RollbackForm) -> State[None]:
    """Stop the release under way, or return to the previous version; verified before it is called done."""
    outcome = bring_back(
        request.org, request.service, request.requested_by, request.reason, reveal(request.token)
    )
    publish_report(outcome)
    return ending(outcome)
