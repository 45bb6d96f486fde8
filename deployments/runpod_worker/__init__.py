"""Prefect's worker type `runpod`: each flow run becomes a pod. Found by Prefect through the entry point in pyproject.toml.

Prefect's server and every worker import this at their start, so what is needed for a run only is imported then.
"""

from deployments.runpod_worker.worker import RunPodWorker

__all__ = ["RunPodWorker"]
