"""Tasks: what a waiting release asks, a person's yes to it, and the run that goes on with it."""

from prefect import task
from prefect.deployments import run_deployment

from tasks.policies import SHORT
from tasks.runtime import ports
from tidegate import steps
from tidegate.domain import NotFound, Secret, ServiceRef
from tidegate.steps.approving import Question


@task(name="look at question", task_run_name="look at question: {org}/{service}", **SHORT)
def look_at_question(org: str, service: str, release_id: str) -> Question:
    """Of the named release, else of the one under way. One of another service is not found here."""
    here, ref = ports(), ServiceRef(org, service)
    active = here.ledger.get_release(release_id) if release_id else here.ledger.active_release(ref)
    if active is None or active.ref != ref:
        raise NotFound(f"{ref} has no such release under way.", remedy="Leave the field Release empty.")
    return steps.question(here, active.id)


@task(name="answer", task_run_name="answer: {release_id}", **SHORT)
def answer(release_id: str, actor: str, reason: str, of: str, token: Secret | None) -> None:
    steps.approve_release(ports(), release_id, actor, reason, token, of=of)


@task(name="go on", task_run_name="go on: {release_id}", **SHORT)
def go_on(release_id: str) -> str:
    """A run of the release flow resumes it. One run for each answer, however often this task is tried."""
    here = ports()
    release, entries = here.ledger.get_release(release_id), here.ledger.entries(release_id)
    yes = max((entry.seq for entry in entries if entry.kind == "note" and entry.name == "approve"), default=0)
    run = run_deployment(
        "release/release",
        parameters={"request": release.request.model_dump(mode="json")},
        idempotency_key=f"{release_id}#approved-{yes}",
        timeout=0,
        as_subflow=False,
    )
    return str(run.name)  # pyright: ignore[reportAttributeAccessIssue]  # the synchronous form
