"""The worker itself: starts a pod for each run, watches it to its end, and deletes it whatever happens.

What it knows is at Prefect and at RunPod, so a worker that starts anew goes on where another died.
"""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import anyio
import anyio.abc
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterId,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import Abort, InfrastructureNotAvailable, InfrastructureNotFound, ObjectNotFound
from prefect.logging.handlers import APILogHandler
from prefect.settings import get_current_settings
from prefect.states import Failed, Scheduled
from prefect.utilities.engine import propose_state
from prefect.workers.base import BaseWorker, BaseWorkerResult

from deployments.runpod_worker.capacity import AWAITING, next_try, waiting_since
from deployments.runpod_worker.ending import cancelled_by_sigterm
from deployments.runpod_worker.variables import RunPodJobConfiguration, RunPodVariables

if TYPE_CHECKING:
    from deployments.runpod_worker.reporting import PodReport
    from deployments.runpod_worker.watching import Sight
    from tidegate.domain import CapacityShortage
    from tidegate.platforms.runpod import RunPodClient
    from tidegate.platforms.runpod.replies import Pod

SWEEP_INTERVAL_S = 60.0
LOOK_INTERVAL_S = 1.0
# A run that is over at Prefect ends its process within moments; then its pod costs for nothing.
ENDING_GRACE_S = 15.0
# A Prefect that takes no log must not keep a pod alive that costs money.
LOG_FLUSH_S = 10.0
LOST, NEVER_STARTED = 1, 1


class Progress(Enum):
    """How Prefect says that a run is."""

    GOES_ON = "goes on"
    IS_CANCELLED = "is to be cancelled, and nobody in its pod can do it"
    OVER = "over"


class RunPodWorkerResult(BaseWorkerResult):
    """How a pod ended."""


class RunPodWorker(BaseWorker[RunPodJobConfiguration, RunPodVariables, RunPodWorkerResult]):
    """`prefect worker start --type runpod`."""

    type = "runpod"
    job_configuration = RunPodJobConfiguration
    job_configuration_variables = RunPodVariables
    _description = "Runs each flow run in a pod on RunPod, and deletes the pod afterwards."
    _display_name = "RunPod"
    _documentation_url = "https://docs.runpod.io/pods/overview"

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._watched: set[UUID] = set()
        self._sweeping: anyio.CancelScope | None = None

    async def start(self, *args: Any, **kwargs: Any) -> None:
        with cancelled_by_sigterm():
            await super().start(*args, **kwargs)

    async def run(
        self,
        flow_run: FlowRun,
        configuration: RunPodJobConfiguration,
        task_status: anyio.abc.TaskStatus[Any] | None = None,
    ) -> RunPodWorkerResult:
        """Raises: what provisioning raises but a shortage; Prefect reports that as a crash with its message."""
        from deployments.runpod_worker.connection import connect
        from deployments.runpod_worker.provisioning import PodName, find_or_create
        from tidegate.domain import CapacityShortage

        self._watched.add(flow_run.id)
        try:
            with connect(configuration.credential) as client:
                name = PodName(self.work_pool.id, flow_run.id)
                try:
                    pod = await anyio.to_thread.run_sync(find_or_create, client, name, configuration)
                except CapacityShortage as shortage:
                    await self._wait_for_capacity(flow_run, configuration.capacity_wait_s, shortage)
                    if task_status is not None:
                        task_status.started(None)
                    return RunPodWorkerResult(identifier="", status_code=0)
                self.get_flow_run_logger(flow_run).info(
                    "Pod %s (%s, %s USD/h) runs this flow run.",
                    pod.id,
                    pod.gpu.id if pod.gpu else "?",
                    pod.cost,
                )
                if task_status is not None:
                    task_status.started(pod.id)
                return await self._attend(client, pod.id, flow_run, configuration.start_timeout_s)
        finally:
            self._watched.discard(flow_run.id)

    async def kill_infrastructure(
        self, infrastructure_pid: str, configuration: RunPodJobConfiguration, grace_seconds: int = 30
    ) -> None:
        """Needs nothing but the pod's id and the name of the credential, so any worker of the pool can do it.

        Raises:
            InfrastructureNotFound: when RunPod does not know the pod (any more).
            InfrastructureNotAvailable: when RunPod does not answer, or this worker may not ask.
        """
        from deployments.runpod_worker.connection import connect
        from tidegate.domain import TidegateError
        from tidegate.platforms.runpod.errors import Missing

        def delete() -> None:
            with connect(configuration.credential) as client:
                client.control.pod(infrastructure_pid)
                client.control.delete_pod(infrastructure_pid)

        try:
            await anyio.to_thread.run_sync(delete)
        except Missing as gone:
            raise InfrastructureNotFound(f"Pod {infrastructure_pid} is gone.") from gone
        except TidegateError as trouble:
            raise InfrastructureNotAvailable(str(trouble)) from trouble

    async def setup(self) -> None:
        await super().setup()
        assert self._runs_task_group is not None
        self._runs_task_group.start_soon(self._sweep_for_ever)

    async def teardown(self, *exc_info: Any) -> None:
        """A worker that is told to end is cancelled, and its runs with it: their pods are left to the next worker."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        await super().teardown(*exc_info)

    async def _wait_for_capacity(self, flow_run: FlowRun, limit_s: int, shortage: "CapacityShortage") -> None:
        """Give the run back to Prefect, to be tried again later by any worker; or fail it when it waited enough."""
        now = datetime.now(UTC)
        since = waiting_since(await self.client.read_flow_run_states(flow_run.id)) or now
        again = next_try(since, now, timedelta(seconds=limit_s))
        log = self.get_flow_run_logger(flow_run)
        if again is None:
            waited_s = (now - since).total_seconds()
            message = f"No GPU within {limit_s} s (waited {waited_s:.0f} s). {shortage}"
            state = Failed(message=message)
            log.error(message)
        else:
            message = f"{shortage} Asked again at {again:%H:%M:%S} UTC, until {limit_s} s are over."
            # Workers take a run up that much earlier than it is scheduled.
            at = again + timedelta(seconds=self._prefetch_seconds)
            state = Scheduled(name=AWAITING, scheduled_time=at, message=message)
            log.warning(message)
        try:
            await propose_state(self.client, state, flow_run_id=flow_run.id)
        except Abort as refused:
            log.info("The run does not wait for a GPU: %s", refused)

    async def _attend(
        self, client: "RunPodClient", pod_id: str, flow_run: FlowRun, start_timeout_s: int
    ) -> RunPodWorkerResult:
        """Watch to the end, then delete."""
        from deployments.runpod_worker.reporting import PodReport

        settings = get_current_settings().api
        secrets = [
            value.get_secret_value() for value in (settings.auth_string, settings.key) if value is not None
        ]
        report = PodReport(self.get_flow_run_logger(flow_run), secrets)
        code = await self._watch(client, pod_id, flow_run.id, report, start_timeout_s)
        # Who sees the pod gone finds all that it said.
        with anyio.move_on_after(LOG_FLUSH_S):
            await APILogHandler.aflush()
        await anyio.to_thread.run_sync(client.control.delete_pod, pod_id)
        return RunPodWorkerResult(identifier=pod_id, status_code=code)

    async def _watch(
        self, client: "RunPodClient", pod_id: str, run_id: UUID, report: "PodReport", start_timeout_s: int
    ) -> int:
        from deployments.runpod_worker.watching import Sight, look

        sight = Sight(pod_id)
        starts_by = anyio.current_time() + start_timeout_s
        ends_by: float | None = None
        while True:
            sight = await anyio.to_thread.run_sync(look, client, sight)
            report.tell(sight.lines)
            progress = await self._progress(run_id, sight)
            if progress is Progress.IS_CANCELLED:
                await self._mark_as_cancelled(run_id)
                return 0
            if sight.is_over:
                return _judged(sight, progress is Progress.OVER, report)
            if progress is Progress.OVER:
                ends_by = ends_by or anyio.current_time() + ENDING_GRACE_S
                if anyio.current_time() > ends_by:
                    return 0
            elif sight.is_starting and anyio.current_time() > starts_by:
                report.failed(pod_id, f"did not start within {start_timeout_s} s")
                return NEVER_STARTED
            await anyio.sleep(LOOK_INTERVAL_S)

    async def _progress(self, run_id: UUID, sight: "Sight") -> Progress:
        """A run that was deleted is over. A server that does not answer has not said that a run is."""
        try:
            run = await self.client.read_flow_run(run_id)
        except ObjectNotFound:
            return Progress.OVER
        except Exception as trouble:  # noqa: BLE001 - whatever the client raises, the pod must go on being watched
            self._logger.warning("Prefect did not say how run %s is: %s", run_id, type(trouble).__name__)
            return Progress.GOES_ON
        if run.state is None:
            return Progress.GOES_ON
        if run.state.is_final():
            return Progress.OVER
        # A flow that runs ends itself when it is cancelled.
        nobody_is_there = sight.is_over or sight.is_starting or run.start_time is None
        is_cancelled = run.state.type is StateType.CANCELLING and nobody_is_there
        return Progress.IS_CANCELLED if is_cancelled else Progress.GOES_ON

    async def _mark_as_cancelled(self, run_id: UUID) -> None:
        run = await self.client.read_flow_run(run_id)
        await self._mark_flow_run_as_cancelled(run, {"message": "Cancelled; its pod is deleted."})

    async def _sweep_for_ever(self) -> None:
        """Delete pods without an owner, take over those whose worker died, and settle runs that lost theirs."""
        with anyio.CancelScope() as scope:
            self._sweeping = scope
            while True:
                try:
                    await self.sweep()
                except Exception:
                    self._logger.exception(
                        "Pods could not be swept; trying again in %.0f s", SWEEP_INTERVAL_S
                    )
                await anyio.sleep(SWEEP_INTERVAL_S)

    async def sweep(self, now: datetime | None = None) -> list[str]:
        """One sweep; ids of the pods that it deleted."""
        from deployments.runpod_worker.connection import connect
        from deployments.runpod_worker.provisioning import flow_run_of
        from deployments.runpod_worker.sweeping import lost_runs, sort_pods

        now = now or datetime.now(UTC)
        credential = self._credential()
        if self._work_pool is None or credential is None:
            return []
        pool_id = self.work_pool.id
        with connect(credential) as client:
            pods = await anyio.to_thread.run_sync(client.control.list_pods)
            runs = {run for pod in pods if (run := flow_run_of(pod, pool_id)) is not None}
            states = await self._states(runs - self._watched)
            found = sort_pods(pods, pool_id, {**states, **dict.fromkeys(self._watched, False)}, now)
            for pod in found.orphans:
                self._logger.warning("Pod %s (%s) has no run that needs it; deleting it", pod.id, pod.name)
                await anyio.to_thread.run_sync(client.control.delete_pod, pod.id)
            for run in lost_runs(await self._runs_in_pods(pool_id), runs | self._watched, now):
                if await anyio.to_thread.run_sync(_is_gone, client, run.infrastructure_pid):
                    await self._settle(run)
        for run, pod in (found.alive or {}).items():
            if run not in self._watched:
                await self._take_over(credential, run, pod)
        return [pod.id for pod in found.orphans]

    async def _runs_in_pods(self, pool_id: UUID) -> list[FlowRun]:
        """Those that Prefect believes to be in one, or on the way."""
        states = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING])
        return await self.client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=states)),
            work_pool_filter=WorkPoolFilter(id=WorkPoolFilterId(any_=[pool_id])),
        )

    async def _settle(self, run: FlowRun) -> None:
        """Bring a run without a pod to where somebody goes on with it, or to its end."""
        fresh = await self.client.read_flow_run(run.id)
        if run.state is None or fresh.state is None or fresh.state.id != run.state.id:
            # Somebody goes on with it already, another worker's sweep for one.
            return
        self._logger.warning("Flow run '%s' is %s and has no pod", run.name, run.state.name)
        if run.state.type is StateType.CANCELLING:
            await self._mark_flow_run_as_cancelled(run, {"message": "Cancelled; it has no pod."})
        elif run.state.type is StateType.RUNNING:
            await self._propose_crashed_state(run, "Its pod is gone, and no worker saw how it ended.")
        else:
            again = Scheduled(name="AwaitingRetry", message="Its worker ended before it had a pod.")
            with suppress(Abort):
                await propose_state(self.client, again, flow_run_id=run.id)

    async def _take_over(self, credential: str, run_id: UUID, pod: "Pod") -> None:
        """Watch a pod that another worker has started; its run goes on in it meanwhile."""
        from deployments.runpod_worker.connection import connect

        assert self._runs_task_group is not None
        flow_run = await self.client.read_flow_run(run_id)
        if flow_run.infrastructure_pid != pod.id:
            await self.client.update_flow_run(run_id, infrastructure_pid=pod.id)
        self._watched.add(run_id)
        self._logger.info("Taking over pod %s of flow run '%s'", pod.id, flow_run.name)

        async def attend() -> None:
            try:
                timeout_s = RunPodVariables.model_fields["start_timeout_s"].default
                with connect(credential) as client:
                    result = await self._attend(client, pod.id, flow_run, timeout_s)
                if result.status_code != 0:
                    message = f"The pod of this run ended with code {result.status_code}."
                    await self._propose_crashed_state(flow_run, message)
            except Exception:
                # It must not end this worker and what it watches besides; the next sweep takes the pod over again.
                self._logger.exception("Lost sight of pod %s of flow run '%s'", pod.id, flow_run.name)
            finally:
                self._watched.discard(run_id)

        self._runs_task_group.start_soon(attend)

    async def _states(self, runs: set[UUID]) -> dict[UUID, bool]:
        """Whether each run is over; runs that Prefect does not know are left out."""
        if not runs:
            return {}
        known = await self.client.read_flow_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=sorted(runs)))
        )
        return {run.id: run.state is not None and run.state.is_final() for run in known}

    def _credential(self) -> str | None:
        """The one that the pool fixes, or offers unless a run says otherwise: the sweeper has no run to ask."""
        if self._work_pool is None:
            return None
        template = self._work_pool.base_job_template
        fixed = template.get("job_configuration", {}).get("credential")
        if isinstance(fixed, str) and "{{" not in fixed:
            return fixed
        offered = template.get("variables", {}).get("properties", {}).get("credential", {})
        return cast("str | None", offered.get("default"))


def _is_gone(client: "RunPodClient", pod_id: str | None) -> bool:
    """True also for a pod that was never made. A list that left one out is no proof; RunPod is asked for it."""
    from tidegate.platforms.runpod.errors import Missing
    from tidegate.platforms.runpod.replies import PodStatus

    try:
        return pod_id is None or client.control.pod(pod_id).status == PodStatus.TERMINATED
    except Missing:
        return True


def _judged(sight: "Sight", is_over: bool, report: "PodReport") -> int:
    """What the end of a pod means for its run: nothing, when the run had come to an end of its own."""
    if is_over:
        return 0
    if sight.is_gone:
        report.failed(sight.pod_id, "is gone while its run was not over")
        return LOST
    if sight.exit_code:
        report.failed(sight.pod_id, f"ended with code {sight.exit_code}")
    return sight.exit_code or 0
