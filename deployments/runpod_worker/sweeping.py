"""Which pods of a pool nobody needs: their run is over, or never was. A decision over values; deletes nothing itself."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from deployments.runpod_worker.provisioning import flow_run_of
from tidegate.platforms.runpod.replies import Pod

# A run is noted at Prefect before its pod is made; this covers a clock that differs.
YOUNG = timedelta(minutes=2)


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
