"""Task: stop the release under way, or go back to an earlier version."""

from prefect import task

from tasks.policies import ROLL_BACK
from tasks.runtime import ports
from tidegate import steps
from tidegate.domain import Secret, ServiceRef
from tidegate.steps import StepOutcome
from tidegate.steps.rollback_target import digest_of


@task(name="bring back", task_run_name="bring back {org}/{service}", **ROLL_BACK)
def bring_back(
    org: str, service: str, actor: str, reason: str, proof: Secret | None, to: str = "", key: str = ""
) -> StepOutcome:
    """`key` makes a retry, and a run that is started again, the same rollback."""
    here, ref = ports(), ServiceRef(org, service)
    return steps.bring_back(here, ref, actor, reason, proof, to=digest_of(here, ref, to), token=key or None)
