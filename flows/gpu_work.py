"""Flow on the pool `gpu`: load a model, or ask one many questions; the result goes to the ledger."""

from prefect import flow

from tasks.evaluate import evaluate
from tasks.policies import FLOW
from tidegate.steps.ports import GpuWork


@flow(name="gpu-work", flow_run_name="{work}: {subject}", **FLOW)
async def gpu_work(work: GpuWork, subject: str, token: str) -> None:
    """Dispatched by other flows. `token` names this attempt: the same token is done only once."""
    await evaluate(work, subject, token)
