"""Flow: check one or many artifacts; nothing is deployed."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.forms import ValidateForm
from tasks.check_file import check_file
from tasks.policies import FLOW
from tasks.publish_summary import publish_summary
from tidegate.steps.files import files_markdown


@flow(name="validate", flow_run_name="{request.org}/{request.service} files", **FLOW)
def validate(request: ValidateForm) -> State[None]:
    """Structure on this worker, inference on the GPU pool, one report for all files."""
    results = [check_file(request.org, request.service, path) for path in request.paths]
    publish_summary(
        f"validation-{request.org}-{request.service}",
        files_markdown(results),
        "Validation of artifacts",
    )
    refused = [result.path for result in results if not result.may_be_deployed]
    if refused:
        return Failed(name="Refused", message=f"{len(refused)} of {len(results)} files must not be deployed")
    return Completed(name="Sound", message=f"{len(results)} files may be deployed")
