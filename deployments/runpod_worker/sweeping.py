"""Which pods of a pool nobody needs, and which runs have none. Decisions over values; changes nothing itself."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from deployments.runpod_worker.provisioning import flow_run_of
from tidegate.platforms.runpod.replies import Pod

# A run is noted at Prefect before its pod is made; this covers a clock that differs.
YOUNG = timedelta(minutes=2)
# A worker that lives asks RunPod for a pod in less, however often RunPod tells it to wait.
PLACED_WITHIN = timedelta(minutes=5)


@dataclass(frozen=True)
class Sweep:
    """Pods to delete, and pods whose run goes on and that somebody must watch."""

    orphans: tuple[Pod, ...] = ()
    alive: Mapping[UUID, Pod] | None = None


def sort_pods(
    pods: Iterable[Pod], pool_id: UUID, is_over: Mapping[UUID, bool], now: datetime | None = None
) -> Sweep:
    """`is_over` by flow run; a run that is not in it is unknown to Prefect, so its pod has no owner."""
    now = now or datetime.now(UTC)
    orphans: list[Pod] = []
    alive: dict[UUID, Pod] = {}
    for pod in pods:
        run = flow_run_of(pod, pool_id)
        if run is None:
            continue
        if not is_over.get(run, True):
            # Of two for one run, which no submission of ours makes, the younger is one too many.
            kept = alive.setdefault(run, pod)
            if kept is not pod:
                orphans.append(pod)
        elif pod.created_at is None or now - pod.created_at > YOUNG or run in is_over:
            orphans.append(pod)
    return Sweep(tuple(orphans), alive)


def lost_runs(runs: Iterable[FlowRun], looked_after: Set[UUID], now: datetime) -> tuple[FlowRun, ...]:
    """Runs that should be in a pod and are in none: their worker died before it made one, or somebody deleted it."""
    return tuple(
        run
        for run in runs
        if run.id not in looked_after and run.state is not None and now - run.state.timestamp > PLACED_WITHIN
    )
