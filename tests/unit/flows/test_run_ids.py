"""Lines within a flow name its run and its task, as Prefect knows them."""

from uuid import UUID

from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.context import FlowRunContext, TaskRunContext

from tasks.runtime import run_ids

FLOW = UUID("0197c1f4-6e0e-7d43-9f30-5f6f0a0c9b1e")
TASK = UUID("0197c1f4-7a2b-7c11-8d2c-0d4f7e1b2a3c")


def test_outside_of_a_run_there_is_nothing_to_name():
    assert run_ids() == {}


def test_a_task_names_itself_and_its_flow():
    flow = FlowRunContext.model_construct(flow_run=FlowRun.model_construct(id=FLOW))
    task = TaskRunContext.model_construct(task_run=TaskRun.model_construct(id=TASK, flow_run_id=FLOW))

    with flow:
        assert run_ids() == {"flow_run_id": str(FLOW)}
        with task:
            assert run_ids() == {"flow_run_id": str(FLOW), "task_run_id": str(TASK)}
    with task:
        assert run_ids() == {"flow_run_id": str(FLOW), "task_run_id": str(TASK)}
    assert run_ids() == {}
