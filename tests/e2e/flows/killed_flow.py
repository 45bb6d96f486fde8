"""Runs the release flow in this process and kills it (SIGKILL) when the release is about to leave a state.

python killed_flow.py STATE ORG SERVICE MODEL VERSION     (STATE "never" runs to the end)
"""

import os
import signal
import sys

from flows.forms import ReleaseForm
from flows.release import release
from tasks import runtime
from tidegate.domain import Release
from tidegate.release import Step
from tidegate.release.step import Enter, MakePlan

state, org, service, model, version = sys.argv[1:]


def kill(now: Release, step: Step) -> None:
    if isinstance(step, Enter | MakePlan) and now.state.value == state:
        os.kill(os.getpid(), signal.SIGKILL)


runtime.ports().on_step = kill
outcome = release(ReleaseForm(org=org, service=service, model=model, version=version), return_state=True)
print(outcome.name)
