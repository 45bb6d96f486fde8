"""Flow: every night, does what is live still answer and perform as it did?"""

from collections.abc import Sequence
from datetime import UTC, datetime

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.forms import NightlyForm
from tasks.check_live_service import find_live_services, look_at
from tasks.policies import FLOW
from tasks.publish_summary import publish_summary
from tasks.regression import alert, go_back
from tidegate.domain import Verdict
from tidegate.steps.nightly import NightlyResult, after_the_night, by_organization
from tidegate.steps.nightly_report import nightly_markdown


@flow(name="nightly-regression", flow_run_name="night", **FLOW)
def nightly_regression(request: NightlyForm | None = None) -> State[None]:
    """Bank and benchmark of every live service against its baseline and earlier nights; one report per organization."""
    services = find_live_services(request.services if request else [])
    night = flow_run.get_id() or datetime.now(UTC).isoformat()
    results = [look_at(service, night) for service in services]
    publish(results)
    regressed = [result for result in results if result.is_regression]
    for result in regressed:
        alert(result, night)
    told = {result.service: said for result in regressed if (said := go_back(result))}
    if told:
        publish([after_the_night(result, told.get(result.service, "")) for result in results])
    worse = [result.service for result in results if result.verdict in (Verdict.FAIL, Verdict.ERROR)]
    if worse:
        parts = [f"{name} ({told[name]})" if name in told else name for name in worse]
        return Failed(name="RegressionFound", message=", ".join(parts))
    unseen = [result.service for result in results if result.verdict is Verdict.NOT_JUDGED]
    noted = f"; not judged: {', '.join(unseen)}" if unseen else ""
    return Completed(message=f"{len(results)} live services, no regression{noted}")


def publish(results: Sequence[NightlyResult]) -> None:
    for org, own in by_organization(results).items():
        publish_summary(f"nightly-regression-{org}", nightly_markdown(org, own), f"Night of {org}")
