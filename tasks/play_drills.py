"""Tasks: which services may be drilled, and the drills of one."""

from collections.abc import Sequence

from prefect import task

from tasks.policies import DRILLS, SHORT
from tasks.runtime import ports
from tidegate.domain import ServiceRef
from tidegate.drill.staging import Played, drilled_services, play_for


@task(name="find drilled services", **SHORT)
def find_drilled(service: str, allow: str) -> list[str]:
    return drilled_services(ports().organizations, service, allow)


@task(name="play drills", task_run_name="drills of {service}", **DRILLS)
def play_drills(service: str, names: Sequence[str]) -> Played:
    played = play_for(service, names, ports().settings.deployments_dir)
    ports().ledger.note_deed(
        "drill.played",
        actor=ports().owner,
        ref=ServiceRef.parse(service),
        subject=played.verdict.value,
        evidence={"drills": list(names) or "all", "report": played.digest},
    )
    return played
