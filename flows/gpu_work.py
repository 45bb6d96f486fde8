"""Flow on the pool `gpu`: load a model, or ask one many questions; the result goes to the ledger."""

from typing import Literal

from prefect import flow

from tasks.evaluate import evaluate


@flow(name="gpu-work", flow_run_name="{work}: {subject}")
async def gpu_work(work: Literal["inference", "quality", "nightly"], subject: str, token: str) -> None:
    """Dispatched by other flows. `token` names this attempt: the same token is done only once."""
    await evaluate(work, subject, token)
