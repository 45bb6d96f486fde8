"""What ended a task or a flow is kept in the ledger, with the service and the release that the flow is about."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, cast

from prefect import Flow, Task
from prefect.client.schemas.objects import FlowRun, State, TaskRun
from prefect.context import FlowRunContext

from tidegate.domain import ServiceRef

log = logging.getLogger(__name__)


async def note_failure(task: Task[..., Any], run: TaskRun, state: State[Any]) -> None:
    """A hook that fails would only be a line in the run's log; this one must not even be that."""
    error = await state.aresult(raise_on_failure=False)
    if not isinstance(error, Exception):
        return
    context = FlowRunContext.get()
    parameters = context.parameters if context is not None else None
    await asyncio.to_thread(note, error, f"task {task.name}", service_of(parameters or {}))


async def note_flow_failure(flow: Flow[..., Any], run: FlowRun, state: State[Any]) -> None:
    """The same for what a flow raised outside of its tasks. One that goes through both is that of the task, and a flow
    that ends as failed because a gate said no has no error."""
    if state.data is None:
        return
    error = await state.aresult(raise_on_failure=False)
    if isinstance(error, Exception):
        await asyncio.to_thread(note, error, f"flow {flow.name}", service_of(run.parameters or {}))


def note(error: Exception, place: str, ref: ServiceRef | None) -> None:
    """With the release of the service that is under way, when there is one."""
    from tasks.runtime import ports

    try:
        release = ports().ledger.active_release(ref) if ref is not None else None
        ports().note_error(error, place, ref=ref, release_id=release.id if release else None)
    except Exception as problem:  # noqa: BLE001 - nothing may hide the error that ended the task
        log.debug("not kept: %s", type(problem).__name__)


def service_of(parameters: Mapping[str, Any]) -> ServiceRef | None:
    """The service of a flow's form, by whatever name the form has."""
    for form in parameters.values():
        said: Any = (
            cast("Mapping[str, Any]", form)
            if isinstance(form, Mapping)
            else vars(form)
            if hasattr(form, "__dict__")
            else {}
        )
        org, service = said.get("org"), said.get("service")
        if org and service:
            return ServiceRef(str(org), str(service))
    return None
