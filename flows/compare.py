"""Flow: any two versions of a model beside each other; nothing is deployed."""

from datetime import UTC, datetime

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.forms import CompareForm
from tasks.compare_versions import compare_versions
from tasks.policies import FLOW
from tasks.publish_summary import publish_summary
from tidegate.steps.versions import comparison_markdown


@flow(name="compare", flow_run_name="{request.base} and {request.candidate}", **FLOW)
def compare(request: CompareForm) -> State[None]:
    """Files, templates, answers and speed of both, judged by the service's policy; one report."""
    attempt = flow_run.get_id() or datetime.now(UTC).isoformat()
    found = compare_versions(request.org, request.service, request.base, request.candidate, attempt)
    publish_summary(
        f"comparison-{request.org}-{request.service}",
        comparison_markdown(found),
        f"{found.candidate.label} beside {found.base.label}",
    )
    if not found.report.passed:
        return Failed(name="Worse", message=found.report.get_rollback_recommendation())
    return Completed(name="NotWorse", message=f"{found.candidate.label} may replace {found.base.label}")
