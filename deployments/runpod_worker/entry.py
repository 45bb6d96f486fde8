"""What Prefect loads at every start, its server's too: the worker type, but only where worker types are known at all.

Prefect's base of workers costs a server's start up to a second for nothing. Whoever looks for a worker type has that
base loaded already, because a type is looked up by it.
"""

import sys

if "prefect.workers.base" in sys.modules:
    from deployments.runpod_worker.worker import RunPodWorker

    __all__ = ["RunPodWorker"]
