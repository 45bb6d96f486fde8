"""Runs the pipeline steps of one release in a process of its own, which kills itself where it is told to.

    python release_process.py HOME GATEWAY_URL ORG SERVICE MODEL VERSION STEPS PROCESSES

STEPS is how many steps (waiting does not count) are made before SIGKILL; 0 means to the end. Up to PROCESSES are
started one after the other, until one ends by itself. Each is forked from this one, which has everything loaded and
opened nothing; its exit code, negative for a signal, is printed.
"""

import importlib
import os
import signal
import sys
from pathlib import Path

from tidegate import steps, wiring
from tidegate.domain import Release, ReleaseRequest
from tidegate.release import Step
from tidegate.release.step import Wait
from tidegate.settings import Settings

LOADED_BEFORE_FORKING = (
    "scipy.special",
    "sqlalchemy.dialects.sqlite",
    "tidegate.engines.llama_server",
    "tidegate.ledger",
    "tidegate.ledger.ledger",
    "tidegate.platforms.local",
    "tidegate.steps.checks",
    "tidegate.store",
)


def main(home: str, url: str, org: str, service: str, model: str, version: str, limit: str) -> None:
    settings = Settings(
        home=Path(home),
        ledger_url=f"sqlite:///{home}/ledger.sqlite3",
        deployments_dir=Path(home) / "deployments",
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


def in_new_process(*arguments: str) -> int:
    pid = os.fork()
    if pid == 0:
        main(*arguments)
        sys.stdout.flush()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


for module in LOADED_BEFORE_FORKING:
    importlib.import_module(module)
*given, processes = sys.argv[1:]
for _ in range(int(processes)):
    code = in_new_process(*given)
    print(code, flush=True)
    if code != -signal.SIGKILL:
        break
