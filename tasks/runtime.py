"""What the tasks of one flow process share: the ports, built once, with GPU work sent to its pool."""

import logging
from functools import cache

from prefect.context import FlowRunContext

from tasks.gpu import PoolGpu
from tasks.prefect_secret import read_block
from tidegate import wiring
from tidegate.domain import Release
from tidegate.domain.audit import Interface
from tidegate.release import Step
from tidegate.release.step import Enter, PutWeights, RunGates, Wait
from tidegate.steps.ports import Ports

log = logging.getLogger("tidegate.release")


@cache
def ports() -> Ports:
    """Adapters of this process; every step that the controller takes is told to the run's log."""
    built = wiring.load(gpu=PoolGpu, prefect_secret=read_block, interface=interface())
    built.on_step = tell
    return built


def interface() -> Interface:
    """A schedule or an automation has nobody at a keyboard."""
    context = FlowRunContext.get()
    run = context.flow_run if context is not None else None
    is_automatic = run is not None and (
        run.auto_scheduled or (run.created_by is not None and run.created_by.type == "AUTOMATION")
    )
    return Interface.SCHEDULE if is_automatic else Interface.FLOW


def tell(release: Release, step: Step) -> None:
    """One line per step that a person would want to read; waiting is silent."""
    match step:
        case Enter(state, reason):
            log.info("%s: %s -> %s: %s", release.id, release.state.value, state.value, reason)
        case PutWeights(weights):
            log.info("%s: weights %s", release.id, dict(weights))
        case RunGates(gates):
            log.info("%s: running gates %s", release.id, ", ".join(gate.value for gate in gates))
        case Wait():
            log.debug("%s: waiting: %s", release.id, step.reason)
        case _:
            log.info("%s: %s", release.id, step)
