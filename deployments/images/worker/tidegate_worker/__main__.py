"""`python -m tidegate_worker`: reads the environment, runs the mode that it names, exits with a telling code."""

import os
import socket
import sys

from tidegate_worker.configuration import read_configuration
from tidegate_worker.health_shim import HealthShim
from tidegate_worker.json_log import JsonLog
from tidegate_worker.lifecycle import Lifecycle
from tidegate_worker.load_balancer_mode import serve_behind_load_balancer
from tidegate_worker.problems import CONFIGURATION, WorkerProblem
from tidegate_worker.worker_state import WorkerState


def main() -> int:
    log = JsonLog({"worker": os.environ.get("RUNPOD_POD_ID") or socket.gethostname()})
    try:
        wanted = read_configuration(os.environ)
        log = JsonLog(
            {
                "worker": os.environ.get("RUNPOD_POD_ID") or socket.gethostname(),
                "set": wanted.set_name,
                "release_id": wanted.release_id,
                "flow_run_id": os.environ.get("TIDEGATE_FLOW_RUN_ID", ""),
                "digest": wanted.digest[:12],
            }
        )
        state = WorkerState(wanted)
        life = Lifecycle(wanted, state, log)
        life.watch_signals()
        if wanted.health_port is not None:
            HealthShim(state, wanted.host, wanted.health_port, wanted.health_path, wanted.engine_key).start()
    except WorkerProblem as problem:
        log.error("failed", **problem.as_dict())
        return problem.exit_code
    log.info("starting", mode=wanted.mode, parallel=wanted.parallel, context_tokens=wanted.context_tokens)
    life.begin()
    if wanted.mode != "QUEUE":
        return serve_behind_load_balancer(life)
    try:
        # Costs two seconds and sixty megabytes, which the other mode does not owe; the model is on its way meanwhile.
        from tidegate_worker.queue_mode import serve_jobs
    except ImportError as missing:
        remedy = "Install runpod 1.12.0 beside the worker, or serve behind a load balancer (TIDEGATE_WORKER_MODE=LB)."
        return life.fail(
            WorkerProblem(f"Queue mode needs {missing.name}.", remedy=remedy, exit_code=CONFIGURATION)
        )
    return serve_jobs(life)


if __name__ == "__main__":
    sys.exit(main())
