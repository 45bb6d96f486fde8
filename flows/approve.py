"""Flow: what a waiting release asks of a person, and the answer."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.forms import ApproveForm, reveal
from tasks.answer import answer, go_on, look_at_question
from tasks.policies import FLOW
from tasks.publish_summary import publish_summary
from tidegate.steps.question_report import question_markdown


@flow(name="approve", flow_run_name="{request.org}/{request.service} {request.decision}", **FLOW)
def approve(request: ApproveForm) -> State[None]:
    """Look first: the report holds a digest. Then say yes to exactly that; the release goes on by itself."""
    asked = look_at_question(request.org, request.service, request.release)
    publish_summary(
        f"question-{request.org}-{request.service}", question_markdown(asked), f"{asked.asks}: {asked.model}"
    )
    if request.decision == "look":
        return Completed(
            name="Asked", message=f"{asked.release_id} asks: {asked.asks}; digest {asked.digest}"
        )
    answer(asked.release_id, request.approved_by, request.reason, request.of, reveal(request.token))
    run = go_on(asked.release_id)
    return Completed(name="Approved", message=f"{asked.release_id} goes on in run '{run}'")
