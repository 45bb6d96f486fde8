"""Runs the release flow in one process per state, each killed (SIGKILL) when the release is about to leave that state.

    python killed_flow.py ORG SERVICE MODEL VERSION STATE...     (STATE "never" runs to the end)

Each is forked from this process, which has Prefect and the flows loaded and opened nothing; its exit code, negative
for a signal, is printed beside the state.
"""

import importlib
import os
import signal
import sys

from deployments.worker.host import PRELOADED
from tidegate.domain import Release
from tidegate.release import Step
from tidegate.release.step import Enter, MakePlan

org, service, model, version, *states = sys.argv[1:]


def run_until(state: str) -> None:
    """The release flow, as a worker would run it, up to the end of this state."""
    from flows.forms import ReleaseForm
    from flows.release import release
    from tasks import runtime

    def kill(now: Release, step: Step) -> None:
        if isinstance(step, Enter | MakePlan) and now.state.value == state:
            os.kill(os.getpid(), signal.SIGKILL)

    runtime.ports().on_step = kill
    release(ReleaseForm(org=org, service=service, model=model, version=version), return_state=True)


for module in PRELOADED:
    importlib.import_module(module)
for state in states:
    pid = os.fork()
    if pid == 0:
        run_until(state)
        os._exit(0)
    print(state, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
