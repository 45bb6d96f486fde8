"""Every retry number, delay and time limit of the tasks, in one place, each with its reason."""

from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from tasks.failures import note_failure, note_flow_failure
from tidegate.domain import TidegateError


async def is_worth_retrying(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Retry what the error itself calls transient; a verdict, a refusal or a bug is never retried."""
    error = await state.aresult(raise_on_failure=False)
    return isinstance(error, TidegateError) and error.is_retryable


# Steps are idempotent by journal, so a result must never be taken from a cache instead of from the ledger.
# What is left of a failure after the last try is kept in the ledger.
_ALWAYS: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False, "on_failure": [note_failure]}

STEP: dict[str, Any] = _ALWAYS | {
    "retries": 3,
    "retry_delay_seconds": [1, 5, 15],
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": is_worth_retrying,
}
# Time limits are backstops far above what each step's own deadlines allow (policy.deadlines, policy.shift).
SHORT: dict[str, Any] = STEP | {"timeout_seconds": 600}
LONG: dict[str, Any] = STEP | {"timeout_seconds": 4 * 3600}
# One look is one measurement: a second try after a lost worker would load the service twice as long as was asked.
LOAD: dict[str, Any] = _ALWAYS | {"retries": 0, "timeout_seconds": 3 * 3600}
# What was broken on purpose is judged once: a second try would hide that the first was not kept.
DRILLS: dict[str, Any] = _ALWAYS | {"retries": 0, "timeout_seconds": 4 * 3600}
# The way back has more tries than the way forward: nothing is worse than half a rollback.
ROLL_BACK: dict[str, Any] = STEP | {
    "retries": 8,
    "retry_delay_seconds": [0.5, 1, 2, 5, 10, 15, 30, 60],
    "timeout_seconds": 3600,
}
REPORT: dict[str, Any] = _ALWAYS | {"retries": 1, "timeout_seconds": 60}

# What ends a flow outside of its tasks is kept as well.
FLOW: dict[str, Any] = {"on_failure": [note_flow_failure], "on_crashed": [note_flow_failure]}

GPU_POLL_S = 0.05
GPU_STATE_POLL_S = 2.0
GPU_DEADLINE_S = 1800.0
