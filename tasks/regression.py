"""What follows from a proven regression: somebody hears of it, and the service may go back by itself."""

import logging

from prefect.events import emit_event

from tasks.bring_back import bring_back
from tasks.runtime import ports
from tidegate.domain import NIGHTLY, ReleaseState, ServiceRef, TidegateError
from tidegate.steps import StepOutcome, nightly

REGRESSION = "tidegate.regression.found"
log = logging.getLogger("tidegate.nightly")


def alert(result: nightly.NightlyResult, night: str) -> None:
    """An event that automations of the Prefect server can act on; it holds no answer of a model."""
    ref = ServiceRef.parse(result.service)
    log.error("regression of %s: %s", ref, result.summary)
    emit_event(
        REGRESSION,
        resource={
            "prefect.resource.id": f"tidegate.service.{ref.org}.{ref.service}",
            "prefect.resource.name": str(ref),
        },
        payload={
            "org": ref.org,
            "service": ref.service,
            "digest": result.digest,
            "summary": result.summary,
            "night": night,
        },
    )


def go_back(result: nightly.NightlyResult) -> str:
    """Return to the previous version where the policy wants that, and say what came of it; empty: it does not want it.

    A refusal is told, the service stays, and the next one has its turn.
    """
    ref = ServiceRef.parse(result.service)
    try:
        reason = nightly.rollback_reason(ports(), result)
    except TidegateError as error:
        return _stays(ref, error)
    if not reason:
        return ""
    found = bring_back(ref.org, ref.service, NIGHTLY, reason, None, return_state=True).result(
        raise_on_failure=False
    )
    if not isinstance(found, StepOutcome):
        return _stays(ref, found)
    if found.state is not ReleaseState.DONE:
        return _stays(ref, f"release {found.release_id} is {found.state.value}: {found.reason}")
    log.warning("%s went back by itself: %s", ref, found.reason)
    return f"it went back to its previous version by release {found.release_id}"


def _stays(ref: ServiceRef, why: object) -> str:
    if isinstance(why, TidegateError):
        why = f"{why.message} {why.remedy}".strip()
    elif isinstance(why, BaseException):
        why = type(why).__name__
    log.error("%s stays as it is, it could not go back: %s", ref, why)
    return f"it could not go back by itself: {why}"
