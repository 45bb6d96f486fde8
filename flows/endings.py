"""How a release's outcome is shown by Prefect: the type gives the colour, the name says what happened."""

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from tidegate.domain import ReleaseState
from tidegate.steps import StepOutcome

NAMES = {
    ReleaseState.DONE: (Completed, "Promoted"),
    ReleaseState.ROLLED_BACK: (Failed, "RolledBack"),
    ReleaseState.REJECTED: (Failed, "Rejected"),
    ReleaseState.EVALUATED: (Completed, "Evaluated"),
    ReleaseState.HOLD: (Completed, "Held"),
    ReleaseState.PARKED: (Completed, "Parked"),
    ReleaseState.AWAIT_APPROVAL: (Completed, "AwaitingApproval"),
}


def ending(outcome: StepOutcome) -> State[None]:
    """The final state of a release's flow run. A release that is still under way has failed to get on."""
    kind, name = NAMES.get(outcome.state, (Failed, "Unfinished"))
    return kind(name=name, message=f"{outcome.release_id}: {outcome.reason}")
