"""Tasks of the nightly look: which services are live, and how one of them does tonight."""

from prefect import task

from tasks.policies import LONG, SHORT
from tasks.runtime import ports
from tidegate.domain import ServiceRef
from tidegate.steps import nightly


@task(name="find live services", **SHORT)
def find_live_services() -> list[str]:
    return [str(ref) for ref in nightly.services_with_traffic(ports())]


@task(name="check live service", task_run_name="check {service}", **LONG)
def check_live_service(service: str, night: str) -> nightly.NightlyResult:
    return nightly.check_live_service(ports(), ServiceRef.parse(service), night)
