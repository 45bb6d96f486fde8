"""Flow: finish releases whose owner died, assert addresses, sweep orphans."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from tasks.policies import FLOW
from tasks.publish_summary import publish_summary
from tasks.reconcile_services import reconcile_services
from tidegate.steps.reconcile import report_markdown


@flow(name="reconcile", flow_run_name="reconcile", **FLOW)
def reconcile() -> State[None]:
    """Safe at any time, any number of times: it looks at the journal and at reality only."""
    report = reconcile_services()
    if not report.is_quiet:
        publish_summary("reconcile", report_markdown(report), "What reconcile found and did")
    if report.problems:
        return Failed(name="NeedsOperator", message="; ".join(report.problems))
    return Completed(message="quiet" if report.is_quiet else "; ".join(report.done or report.drift))
