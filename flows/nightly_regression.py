"""Flow: every night, does what is live still answer and perform as it did?"""

from datetime import UTC, datetime

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.forms import NightlyForm
from tasks.check_live_service import check_live_service, find_live_services
from tasks.publish_summary import publish_summary
from tidegate.domain import Verdict
from tidegate.steps.nightly import nightly_markdown


@flow(name="nightly-regression", flow_run_name="night")
def nightly_regression(request: NightlyForm | None = None) -> State[None]:
    """Bank and benchmark of every live service against its recorded baseline; one report."""
    services = (request.services if request else None) or find_live_services()
    night = flow_run.get_id() or datetime.now(UTC).isoformat()
    results = [check_live_service(service, night) for service in services]
    publish_summary("nightly-regression", nightly_markdown(results), "Nightly regression")
    worse = [result.service for result in results if result.verdict in (Verdict.FAIL, Verdict.ERROR)]
    if worse:
        return Failed(name="RegressionFound", message=", ".join(worse))
    return Completed(message=f"{len(results)} live services, no regression")
