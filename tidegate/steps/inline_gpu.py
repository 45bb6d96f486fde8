"""GPU work in this process: for reconcile and the command line, where no pool is needed."""

from dataclasses import dataclass
from typing import Any

from tidegate.steps.ports import GpuJob, GpuWork, Ports


class InlineGpu:
    """Implements `ports.GpuRunner`."""

    def __init__(self, ports: Ports):
        self._ports = ports

    def start(self, work: GpuWork, subject: str, attempt: str = "0") -> GpuJob:
        return _InlineJob(self._ports, work, subject, attempt)


@dataclass(frozen=True)
class _InlineJob:
    ports: Ports
    work: GpuWork
    subject: str
    attempt: str

    def wait(self) -> dict[str, Any]:
        from tidegate.steps.evaluation import evaluate, job_token

        return evaluate(self.ports, self.work, self.subject, job_token(self.work, self.subject, self.attempt))
