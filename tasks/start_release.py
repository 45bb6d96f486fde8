"""Task: start the release flow for a freshly registered version."""

from prefect import task
from prefect.deployments import run_deployment

from tasks.policies import SHORT
from tidegate.domain import ModelVersion, Secret


@task(name="start release", **SHORT)
def start_release(
    org: str, service: str, version: ModelVersion, requested_by: str, token: Secret | None
) -> str:
    """The idempotency key holds the digest: the same artifact for the same service is released once. The proof is
    passed on: the release uses it, and it is good for this artifact only."""
    proof = {"token": token.reveal()} if token else {}
    run = run_deployment(
        "release/release",
        parameters={
            "request": {
                "org": org,
                "service": service,
                "model": version.name,
                "version": version.version,
                "requested_by": requested_by,
                "trigger": "training",
                **proof,
            }
        },
        idempotency_key=f"trained/{org}/{service}/{version.digest}",
        timeout=0,
        as_subflow=False,
    )
    return str(run.name)  # pyright: ignore[reportAttributeAccessIssue]  # the synchronous form
