"""Flow: break the machinery on purpose, on stacks of its own, and report what clients got."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.forms import DrillForm
from tasks.play_drills import find_drilled, play_drills
from tasks.policies import FLOW
from tasks.publish_summary import publish_summary
from tidegate.drill import Verdict


@flow(name="chaos-drill", flow_run_name="drills", **FLOW)
def chaos_drill(request: DrillForm | None = None) -> State[None]:
    """One report per service. What serves is never touched: each drill breaks only what it started itself."""
    asked = request or DrillForm()
    played = [play_drills(service, asked.drills) for service in find_drilled(asked.service, asked.allow)]
    for one in played:
        publish_summary(f"chaos-drill-{one.key}", one.markdown, f"Chaos drills of {one.service}")
    if not played:
        return Completed(name="NothingToDrill", message="no service is marked as staging")
    message = "; ".join(f"{one.service}: {one.headline}" for one in played)
    found = {one.verdict for one in played}
    if Verdict.BROKEN in found:
        return Failed(name="PromiseBroken", message=message)
    return Completed(name="NotJudged" if Verdict.NOT_JUDGED in found else "Kept", message=message)
