"""Runs the pipeline steps of one release in a process of its own, and kills itself where it is told to.

    python release_process.py HOME GATEWAY_URL ORG SERVICE MODEL VERSION STEPS

STEPS is how many steps (waiting does not count) are made before SIGKILL; 0 means to the end.
"""

import os
import signal
import sys
from pathlib import Path

from tidegate import steps, wiring
from tidegate.domain import Release, ReleaseRequest
from tidegate.release import Step
from tidegate.release.step import Wait
from tidegate.settings import SOURCE_ROOT, Settings


def main(home: str, url: str, org: str, service: str, model: str, version: str, limit: str) -> None:
    settings = Settings(
        home=Path(home),
        ledger_url=f"sqlite:///{home}/ledger.sqlite3",
        deployments_dir=SOURCE_ROOT / "deployments",
        runtime_dir=Path(home) / "run",
    )
    ports = wiring.load(settings)
    ports.gateway_url = lambda: url
    made = 0

    def count(release: Release, step: Step) -> None:
        nonlocal made
        if isinstance(step, Wait):
            return
        if limit != "0" and made >= int(limit):
            os.kill(os.getpid(), signal.SIGKILL)
        made += 1

    ports.on_step = count
    outcome = steps.select_model(
        ports, ReleaseRequest(org=org, service=service, model=model, version=version)
    )
    forward = (
        steps.verify_org_auth,
        steps.validate_artifact,
        steps.deploy,
        steps.probe_endpoints,
        steps.benchmark,
        steps.promote,
    )
    for step in forward:
        if outcome.goes_on:
            outcome = step(ports, outcome)
    if outcome.must_roll_back:
        outcome = steps.roll_back(ports, outcome)
    print(outcome.state.value)


main(*sys.argv[1:])
