"""GPU work on its own pool: dispatched with `run_deployment`, its result read from the ledger."""

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import PrefectHTTPStatusError

from tasks.policies import GPU_DEADLINE_S, GPU_POLL_S, GPU_STATE_POLL_S
from tidegate.domain import Transient
from tidegate.steps.evaluation import JOB_RESULTS, job_token
from tidegate.steps.ports import GpuJob, GpuWork, Ports

DEPLOYMENT = "gpu-work/gpu-work"
log = logging.getLogger("tidegate.gpu")


class PoolGpu:
    """The GPU runner of flows. The same wish twice gives one run: the job's token is its idempotency key."""

    def __init__(self, ports: Ports):
        self._ports = ports

    def start(self, work: GpuWork, subject: str, attempt: str = "0") -> GpuJob:
        token = job_token(work, subject, attempt)
        tries = 0
        run = _dispatch(work, subject, token, tries)
        # A predecessor's run may have died without a result: then the same work gets a run of its own.
        while _is_lost(run) and self._ports.ledger.result(JOB_RESULTS, token) is None:
            tries += 1
            run = _dispatch(work, subject, token, tries)
        log.info("%s of %s runs on the gpu pool as '%s'", work, subject, run.name)
        return PoolJob(self._ports, token, run)


def _dispatch(work: GpuWork, subject: str, token: str, tries: int) -> FlowRun:
    with _prefect_errors():
        return _run(work, subject, token, tries)


@contextmanager
def _prefect_errors() -> Generator[None]:
    """A Prefect server that is busy or away is worth another try; the same token finds the same run."""
    try:
        yield
    except (PrefectHTTPStatusError, httpx.HTTPError) as error:
        raise Transient(
            f"Prefect did not take the GPU work: {type(error).__name__}.", remedy=REMEDY
        ) from error


def _run(work: GpuWork, subject: str, token: str, tries: int) -> FlowRun:
    return run_deployment(  # pyright: ignore[reportReturnType]  # the synchronous form, by its overload
        DEPLOYMENT,
        parameters={"work": work, "subject": subject, "token": token},
        idempotency_key=f"{token}#{tries}",
        timeout=0,
    )


def _is_lost(run: FlowRun) -> bool:
    return run.state is not None and run.state.is_final() and not run.state.is_completed()


@dataclass(frozen=True)
class PoolJob:
    ports: Ports
    token: str
    run: FlowRun
    deadline: float = field(default_factory=lambda: time.monotonic() + GPU_DEADLINE_S)

    def wait(self) -> dict[str, Any]:
        """The ledger has the result before Prefect knows that the run is over, so the ledger is asked first."""
        next_look = time.monotonic() + GPU_STATE_POLL_S
        while True:
            result = self.ports.ledger.result(JOB_RESULTS, self.token)
            if result is not None:
                return result
            now = time.monotonic()
            if now > self.deadline:
                raise Transient(f"GPU run '{self.run.name}' gave no result in time.", remedy=REMEDY)
            if now > next_look:
                next_look = now + GPU_STATE_POLL_S
                self._refuse_dead_run()
            time.sleep(GPU_POLL_S)

    def _refuse_dead_run(self) -> None:
        with _prefect_errors(), get_client(sync_client=True) as client:
            run = client.read_flow_run(self.run.id)
        if _is_lost(run):
            message = run.state.message if run.state else ""
            raise Transient(f"GPU run '{self.run.name}' ended without a result: {message}", remedy=REMEDY)


REMEDY = "See its log in the Prefect UI; check that a worker of the pool 'gpu' is running: tidegate doctor."
