"""What the tasks of one flow process share: the ports, built once, with GPU work sent to its pool."""

import logging
import os
from functools import cache

from prefect.context import FlowRunContext, TaskRunContext

from tasks.gpu import PoolGpu
from tasks.prefect_secret import read_block
from tidegate import wiring
from tidegate.correlation import add_source
from tidegate.domain import Release
from tidegate.domain.audit import Interface
from tidegate.observability.log_output import export_spans_when_asked
from tidegate.release import Step
from tidegate.release.step import Enter, PutWeights, RunGates, Wait
from tidegate.steps.ports import Ports

log = logging.getLogger("tidegate.release")


@cache
def ports() -> Ports:
    """Adapters of this process; every step that the controller takes is told to the run's log."""
    add_source(run_ids)
    export_spans_when_asked("flow", os.environ)
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


def run_ids() -> dict[str, str]:
    """Which runs of Prefect this thread works for: they stand on its log lines, and on what it makes elsewhere."""
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    found: dict[str, str] = {}
    if flow is not None and flow.flow_run is not None:
        found["flow_run_id"] = str(flow.flow_run.id)
    if task is not None:
        found["task_run_id"] = str(task.task_run.id)
        if task.task_run.flow_run_id is not None:
            found["flow_run_id"] = str(task.task_run.flow_run_id)
    return found


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
