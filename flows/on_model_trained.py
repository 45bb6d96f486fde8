"""Flow: a training run finished. Find out who says so, register its artifact and start the release."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.forms import TrainedForm, reveal
from tasks.policies import FLOW
from tasks.register_model import register_model
from tasks.start_release import start_release
from tasks.verify_trainer import verify_trainer


@flow(
    name="on-model-trained",
    flow_run_name="{request.org}/{request.service} {request.model}:{request.version}",
    **FLOW,
)
def on_model_trained(request: TrainedForm) -> State[None]:
    """Call it by API with an idempotency key, or emit the event `tidegate.model.trained`."""
    proof = reveal(request.token)
    verify_trainer(request.org, request.service, request.requested_by, proof)
    version = register_model(
        request.org,
        request.model,
        request.version,
        request.path,
        request.provenance,
        request.signature,
        request.requested_by,
    )
    run = start_release(request.org, request.service, version, request.requested_by, proof)
    return Completed(
        message=f"{version.label} registered ({version.digest[:12]}); release run '{run}' started"
    )
