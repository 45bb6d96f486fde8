"""Task: what a rollback would do now; nothing is changed."""

from prefect import task

from tasks.policies import SHORT
from tasks.runtime import ports
from tidegate.domain import ServiceRef
from tidegate.steps import RollbackManager
from tidegate.steps.rollback_safety import SafetyReport
from tidegate.steps.rollback_target import digest_of


@task(name="plan rollback", task_run_name="plan rollback of {org}/{service}", **SHORT)
def plan_rollback(org: str, service: str, to: str) -> SafetyReport:
    here, ref = ports(), ServiceRef(org, service)
    return RollbackManager(here).verify_rollback_safety(ref, digest_of(here, ref, to))
