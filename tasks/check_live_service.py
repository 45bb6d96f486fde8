"""Tasks of the nightly look: which services are live, and how one of them does tonight."""

import logging

from prefect import task

from tasks.policies import LONG, SHORT
from tasks.runtime import ports
from tidegate.domain import ServiceRef, TidegateError
from tidegate.steps import nightly

log = logging.getLogger("tidegate.nightly")


@task(name="find live services", **SHORT)
def find_live_services(named: list[str]) -> list[str]:
    """Those that are named; else every one that is live."""
    refs = nightly.parsed_services(ports(), named) if named else nightly.services_with_traffic(ports())
    return [str(ref) for ref in refs]


@task(name="check live service", task_run_name="check {service}", **LONG)
def check_live_service(service: str, night: str) -> nightly.NightlyResult:
    return nightly.check_live_service(ports(), ServiceRef.parse(service), night)


def look_at(service: str, night: str) -> nightly.NightlyResult:
    """Its night, whatever happens to it: a service that cannot be looked at hides no other one."""
    found = check_live_service(service, night, return_state=True).result(raise_on_failure=False)
    if isinstance(found, nightly.NightlyResult):
        return found
    if isinstance(found, TidegateError):
        return nightly.unreachable(service, found)
    log.error("%s could not be looked at", service, exc_info=found)
    return nightly.broken(service, found)
