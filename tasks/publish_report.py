"""Task: leave what a release did in the Prefect UI, as a report, a table and a link."""

from prefect import task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from tasks.policies import REPORT
from tasks.runtime import ports
from tidegate.steps import StepOutcome
from tidegate.steps.reporting import evidence_rows, release_markdown
from tidegate.steps.targets import service_url


@task(name="publish report", **REPORT)
def publish_report(outcome: StepOutcome) -> None:
    """Artifact keys carry the service, so that the UI shows the history of one service under one key."""
    here = ports()
    key = f"{outcome.org}-{outcome.service}"
    create_markdown_artifact(
        release_markdown(here, outcome.release_id),
        key=f"release-{key}",
        description=f"Release {outcome.release_id}",
    )
    create_table_artifact(
        evidence_rows(here, outcome.release_id),
        key=f"evidence-{key}",
        description=f"Evidence of {outcome.release_id}",
    )
    ref = here.ledger.get_release(outcome.release_id).ref
    create_link_artifact(
        service_url(here, ref),
        link_text=f"{ref} at the gateway",
        key=f"endpoint-{key}",
        description="Durable URL",
    )
