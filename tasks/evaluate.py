"""Task: one piece of GPU work on a worker that declares a GPU slot."""

from asyncio import to_thread

from prefect import task

from tasks.policies import LONG
from tasks.runtime import ports
from tidegate import wiring
from tidegate.steps import evaluation
from tidegate.steps.ports import GpuWork


@task(name="evaluate", task_run_name="{work}", **LONG)
async def evaluate(work: GpuWork, subject: str, token: str) -> None:
    """Asynchronous only because an asynchronous Prefect flow ends a second sooner than a plain one."""
    wiring.gpu_slot()
    await to_thread(evaluation.evaluate, ports(), work, subject, token)
