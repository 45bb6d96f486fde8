"""Task: leave a flow's outcome in the Prefect UI as a Markdown report."""

from prefect import task
from prefect.artifacts import create_markdown_artifact

from tasks.policies import REPORT


@task(name="publish summary", **REPORT)
def publish_summary(key: str, markdown: str, description: str) -> None:
    create_markdown_artifact(markdown, key=key, description=description)
