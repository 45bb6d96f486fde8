"""Flow: check many artifacts at once; nothing is deployed."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.forms import BatchForm
from tasks.check_many import check_all, find_artifacts
from tasks.policies import FLOW
from tasks.publish_summary import publish_summary
from tidegate.steps.batch import batch_markdown


@flow(name="batch-validate", flow_run_name="{request.org}/{request.service} many files", **FLOW)
def batch_validate(request: BatchForm) -> State[None]:
    """Everything in the named folders, and every version that a pattern names; one row for each in one report."""
    subjects = find_artifacts(request.org, request.service, request.paths, request.versions)
    results = check_all(request.org, request.service, subjects, request.at_once)
    publish_summary(
        f"batch-{request.org}-{request.service}", batch_markdown(results), f"{len(results)} artifacts"
    )
    refused = sum(not result.may_be_deployed for result in results)
    if refused:
        return Failed(name="Refused", message=f"{refused} of {len(results)} artifacts must not be deployed")
    return Completed(name="Sound", message=f"{len(results)} artifacts may be deployed")
