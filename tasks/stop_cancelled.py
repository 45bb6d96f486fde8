"""Hook body: the release behind a cancelled flow run is told to stop."""

from tasks.runtime import ports
from tidegate import steps
from tidegate.domain import ReleaseRequest


def stop_cancelled(request: ReleaseRequest) -> None:
    """Journal the wish; whoever drives the release next (reconcile) brings its traffic back."""
    here = ports()
    active = here.ledger.active_release(request.ref)
    if active is not None and active.request.model == request.model:
        steps.stop_release(here, active.id, "prefect-ui", "the flow run was cancelled")
