"""All workers of all endpoints: starts, drains and replaces them by the rules in `scaling`."""

import asyncio
import secrets
from collections import deque
from dataclasses import dataclass, field

from tidegate.platforms.runpod.emulator.emulator import Emulator
from tidegate.platforms.runpod.emulator.jobs import JobBoard
from tidegate.platforms.runpod.emulator.logs import SYSTEM, LogBook
from tidegate.platforms.runpod.emulator.scaling import Demand, Plan, Rules, WorkerView, plan, shrunk_maximum
from tidegate.platforms.runpod.emulator.state import Endpoint, EndpointType, Job, Json, WorkerStatus, new_id
from tidegate.platforms.runpod.emulator.workers import Worker, WorkerLife

DEFAULT_IDLE_TIMEOUT_S = 10
KEPT_SNAPSHOTS = 2000
# Of workers that are gone, per endpoint.
KEPT_LOGS = 20


@dataclass
class Waiters:
    """Requests of a load-balancing endpoint that wait for a worker."""

    count: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


class Fleet:
    """Workers by endpoint. One tick looks at everything; readiness and requests wake it early."""

    def __init__(self, emulator: Emulator):
        self._emulator = emulator
        self._workers: dict[str, dict[str, Worker]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiters: dict[str, Waiters] = {}
        self._last_start: dict[str, float] = {}
        self._snapshots: dict[str, deque[tuple[float, Json]]] = {}
        self.logs: dict[str, dict[str, LogBook]] = {}
        emulator.jobs.on_recycle = self.recycle
        emulator.jobs.on_lost = self._lease_lost

    @property
    def jobs(self) -> JobBoard:
        return self._emulator.jobs

    def workers(self, endpoint_id: str) -> list[Worker]:
        """Those that have not left."""
        return list(self._workers.get(endpoint_id, {}).values())

    def worker(self, endpoint_id: str, worker_id: str) -> Worker | None:
        return self._workers.get(endpoint_id, {}).get(worker_id)

    def waiters(self, endpoint_id: str) -> Waiters:
        return self._waiters.setdefault(endpoint_id, Waiters())

    def is_busy(self, worker: Worker) -> bool:
        return worker.in_flight > 0 or bool(self.jobs.running_on(worker.id))

    def status(self, worker: Worker) -> WorkerStatus:
        return worker.status(self.is_busy(worker))

    def is_stale(self, endpoint: Endpoint, worker: Worker) -> bool:
        return worker.version != endpoint.version

    # Time

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            self.tick()
            await asyncio.sleep(self._emulator.timings.tick_s)

    def tick(self) -> None:
        self.jobs.tick()
        now = self._emulator.clock.now()
        skew = self._emulator.faults.read("clock_skew_s")
        self._emulator.clock.skew_s = float(skew or 0.0)
        for endpoint in list(self._emulator.endpoints.values()):
            self._shrink_unused(endpoint, now)
            self._apply(endpoint, self._plan(endpoint, now), now)
            self._remember(endpoint, now)
            for log in self.logs.get(endpoint.id, {}).values():
                log.forget_container_lines(self._emulator.timings.log_retention_s)

    def scale(self, endpoint: Endpoint) -> None:
        """Look at one endpoint now instead of at the next tick."""
        now = self._emulator.clock.now()
        self._apply(endpoint, self._plan(endpoint, now), now)

    def _plan(self, endpoint: Endpoint, now: float) -> Plan:
        staying = [worker for worker in self.workers(endpoint.id) if not worker.is_draining]
        rules = rules_of(endpoint.config)
        has_money = self._emulator.balance_usd(endpoint.organization) > 0
        is_slow = rules.queue_delay_s is not None and len(staying) >= rules.min_workers
        has_rested = now - self._last_start.get(endpoint.id, 0.0) >= self._emulator.timings.scale_step_s
        may_grow = has_money and (has_rested or not is_slow)
        if not has_money:
            rules = Rules(0, 0, 0.0, rules.queue_delay_s, rules.request_count)
        views = [self._view(endpoint, worker, now) for worker in staying]
        return plan(rules, self.demand(endpoint), views, may_grow)

    def demand(self, endpoint: Endpoint) -> Demand:
        if endpoint.type is EndpointType.QUEUE:
            return self.jobs.demand(endpoint.id)
        in_flight = sum(worker.in_flight for worker in self.workers(endpoint.id))
        return Demand(self.waiters(endpoint.id).count, in_flight, 0.0)

    def _view(self, endpoint: Endpoint, worker: Worker, now: float) -> WorkerView:
        is_busy = self.is_busy(worker)
        if is_busy:
            worker.idle_since = now
        return WorkerView(
            id=worker.id,
            is_ready=worker.is_ready,
            is_busy=is_busy,
            is_stale=self.is_stale(endpoint, worker),
            idle_s=now - worker.idle_since,
            age_s=now - worker.created_at,
        )

    def _apply(self, endpoint: Endpoint, wanted: Plan, now: float) -> None:
        for worker_id in wanted.drain:
            self.drain(self._workers[endpoint.id][worker_id])
        for _ in range(wanted.start):
            if self._may_spend(endpoint):
                self._start(endpoint, now)
        for worker in self.workers(endpoint.id):
            if worker.is_draining and not worker.leaving.is_set():
                is_over = now - worker.drain_since >= self._emulator.timings.drain_limit_s
                if is_over or not self.is_busy(worker):
                    worker.leaving.set()

    def _may_spend(self, endpoint: Endpoint) -> bool:
        """One more worker must keep the account below its limit per hour, those that are still starting included."""
        catalog, name = self._emulator.catalog, endpoint.organization
        running = sum(
            catalog.serverless_usd_per_h(worker.config, worker.claim.gpu_id if worker.claim else None)
            for one in self._emulator.endpoints.values()
            if one.organization == name
            for worker in self.workers(one.id)
        )
        wanted = running + catalog.serverless_usd_per_h(endpoint.config)
        return wanted <= self._emulator.accounts.organizations[name].spend_limit_usd_per_h

    def _start(self, endpoint: Endpoint, now: float) -> None:
        worker_id = new_id()
        worker = Worker(
            id=worker_id,
            endpoint_id=endpoint.id,
            type=endpoint.type,
            version=endpoint.version,
            config=endpoint.config,
            token=f"rpw_{secrets.token_urlsafe(24)}",
            log=self._emulator.log_book(worker_id),
            created_at=now,
            idle_since=now,
        )
        self._workers.setdefault(endpoint.id, {})[worker_id] = worker
        logs = self.logs.setdefault(endpoint.id, {})
        logs[worker_id] = worker.log
        for gone in [one for one in logs if one not in self._workers[endpoint.id]][:-KEPT_LOGS]:
            del logs[gone]
        self._last_start[endpoint.id] = now
        life = WorkerLife(self._emulator, endpoint, worker, self.waiters(endpoint.id).wake)
        task = asyncio.create_task(self._live(life, worker), name=f"worker-{worker_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self, life: WorkerLife, worker: Worker) -> None:
        try:
            await life.run()
        finally:
            self._workers.get(worker.endpoint_id, {}).pop(worker.id, None)

    # Ends

    def drain(self, worker: Worker) -> None:
        """No new work; it leaves when it has none."""
        if not worker.is_draining:
            worker.is_draining = True
            worker.drain_since = self._emulator.clock.now()
            self.jobs.close_polls(worker.endpoint_id, worker.id)
            if not self.is_busy(worker):
                worker.leaving.set()

    def recycle(self, endpoint_id: str, worker_id: str) -> None:
        """Ends a worker now, whatever it does (`stopPod`, or a job over its limit)."""
        worker = self.worker(endpoint_id, worker_id)
        if worker is not None:
            worker.is_draining = True
            self.jobs.close_polls(endpoint_id, worker_id)
            worker.leaving.set()

    def _lease_lost(self, endpoint_id: str, worker_id: str, lease_s: float) -> None:
        """A worker that has fallen silent goes with its job; one that still pings only never got it."""
        worker = self.worker(endpoint_id, worker_id)
        if worker is not None and self._emulator.clock.now() - worker.pinged_at >= lease_s:
            worker.log.write(SYSTEM, "worker sends no heartbeats and is replaced")
            self.recycle(endpoint_id, worker_id)

    def drop_endpoint(self, endpoint_id: str) -> None:
        for worker in self.workers(endpoint_id):
            self.recycle(endpoint_id, worker.id)
        self.waiters(endpoint_id).wake()
        self._snapshots.pop(endpoint_id, None)
        self.logs.pop(endpoint_id, None)

    async def close(self) -> None:
        """End every worker and wait until it is gone."""
        for workers in self._workers.values():
            for worker in workers.values():
                worker.leaving.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._emulator.timings.stop_grace_s + 2)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # What is told

    def health(self, endpoint: Endpoint) -> Json:
        """The counters of `/health`, as they are or as they were when a fault makes them lag."""
        lag_s = self._emulator.faults.read("health_lag_s", endpoint.id, endpoint.config["name"])
        if lag_s:
            wanted = self._emulator.clock.now() - float(lag_s)
            past = [counters for at, counters in self._snapshots.get(endpoint.id, ()) if at <= wanted]
            return past[-1] if past else _counters([], endpoint, 0, 0, 0)
        return self._counters_now(endpoint)

    def _counters_now(self, endpoint: Endpoint) -> Json:
        workers = self.workers(endpoint.id)
        statuses = [self.status(worker) for worker in workers]
        ready = sum(worker.is_ready and worker.is_reachable for worker in workers)
        demand = self.jobs.queued(endpoint.id)
        return _counters(statuses, endpoint, ready, demand, len(self.jobs.running(endpoint.id)))

    def _remember(self, endpoint: Endpoint, now: float) -> None:
        history = self._snapshots.setdefault(endpoint.id, deque(maxlen=KEPT_SNAPSHOTS))
        counters = self._counters_now(endpoint)
        if not history or history[-1][1] != counters:
            history.append((now, counters))

    def _shrink_unused(self, endpoint: Endpoint, now: float) -> None:
        """The platform takes workers away from endpoints that nobody uses."""
        workers, timings = endpoint.config["workers"], self._emulator.timings
        unused_s = now - max(endpoint.last_request_at, endpoint.created_at)
        maximum = shrunk_maximum(workers["max"], unused_s, timings.shrink_after_s, timings.park_after_s)
        if maximum < workers["max"]:
            shrunk = {**workers, "max": maximum, "min": min(workers["min"], maximum)}
            endpoint.config = {**endpoint.config, "workers": shrunk}
            self._emulator.save_endpoint(endpoint)

    def count_finished(self, job: Job) -> None:
        endpoint = self._emulator.endpoints.get(job.endpoint_id)
        if endpoint is not None:
            endpoint.completed += job.status == "COMPLETED"
            endpoint.failed += job.status in ("FAILED", "TIMED_OUT")
            self._emulator.save_endpoint(endpoint)


def rules_of(config: Json) -> Rules:
    scaling = config["scaling"]
    return Rules(
        min_workers=config["workers"]["min"],
        max_workers=config["workers"]["max"],
        idle_timeout_s=config["workers"].get("idleTimeout", DEFAULT_IDLE_TIMEOUT_S),
        queue_delay_s=scaling.get("queueDelay"),
        request_count=scaling.get("requestCount"),
    )


def _counters(
    statuses: list[WorkerStatus], endpoint: Endpoint, ready: int, queued: int, running_jobs: int
) -> Json:
    return {
        "jobs": {
            "completed": endpoint.completed,
            "failed": endpoint.failed,
            "inProgress": running_jobs,
            "inQueue": queued,
            "retried": endpoint.retried,
        },
        "workers": {
            "idle": statuses.count(WorkerStatus.IDLE),
            "initializing": statuses.count(WorkerStatus.INITIALIZING),
            "ready": ready,
            "running": statuses.count(WorkerStatus.RUNNING),
            "throttled": statuses.count(WorkerStatus.THROTTLED),
            "unhealthy": statuses.count(WorkerStatus.UNHEALTHY),
        },
    }
