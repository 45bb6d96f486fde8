"""What follows from a proven regression: somebody hears of it, and the service may go back by itself."""

import logging

from prefect.events import emit_event

from tasks.bring_back import bring_back
from tasks.runtime import ports
from tidegate.domain import NIGHTLY, ServiceRef, TidegateError
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


def go_back(result: nightly.NightlyResult) -> StepOutcome | None:
    """Return to the previous version where the policy wants that; a refusal is told, and the service stays."""
    ref = ServiceRef.parse(result.service)
    reason = nightly.rollback_reason(ports(), result)
    if not reason:
        return None
    found = bring_back(ref.org, ref.service, NIGHTLY, reason, None, return_state=True).result(
        raise_on_failure=False
    )
    if isinstance(found, StepOutcome):
        log.warning("%s went back: %s", ref, found.reason)
        return found
    told = found.message if isinstance(found, TidegateError) else type(found).__name__
    log.error("%s stays as it is, it could not go back: %s", ref, told)
    return None
