"""Flow: how much load does a live service stand, and is it within its limits?"""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.forms import LoadTestForm
from tasks.load_test import load_test as measure
from tasks.policies import FLOW
from tasks.publish_summary import publish_summary
from tidegate.domain import Verdict


@flow(name="load-test", flow_run_name="{request.org}/{request.service} load", **FLOW)
def load_test(request: LoadTestForm) -> State[None]:
    """Measure one set beside its clients; the result stays in the ledger."""
    result = measure(f"{request.org}/{request.service}", request.to_load())
    publish_summary(f"load-{request.org}-{request.service}", result.markdown, "Load test")
    message = f"{result.measurement}: {result.sentence}"
    if result.verdict in (Verdict.FAIL, Verdict.ERROR):
        return Failed(name="LimitsMissed", message=message)
    if result.verdict is Verdict.NOT_JUDGED:
        return Completed(name="NotJudged", message=message)
    return Completed(name="WithinLimits" if request.slo else "Measured", message=message)
