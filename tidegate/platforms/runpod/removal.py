"""How endpoints and pods end. An endpoint: nothing new starts, nothing waits, nothing runs, and only then is it deleted and looked for.

Every step may be repeated; one that was broken off is asked for again from the beginning.
"""

import logging
from dataclasses import dataclass

from tidegate.domain import Transient
from tidegate.platforms.runpod.client import RunPodClient
from tidegate.platforms.runpod.errors import Conflict, Missing
from tidegate.platforms.runpod.orders import worker_bounds
from tidegate.platforms.runpod.pace import Pace, wait_for
from tidegate.platforms.runpod.pod_diagnosis import OVER
from tidegate.platforms.runpod.replies import Endpoint, Pod, PodStatus
from tidegate.platforms.runpod.wire import EndpointKind, PodAction

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long ends may take, in seconds. What still runs after `drain_s` is cut."""

    drain_s: float = 60.0
    gone_s: float = 15.0


def remove_endpoint(client: RunPodClient, endpoint: Endpoint, patience: Patience, pace: Pace) -> None:
    """No error when it is gone already. Raises: Transient when RunPod still shows it afterwards."""
    control = client.control
    try:
        control.update_endpoint(endpoint.id, worker_bounds(0, 0), is_repeatable=True)
        if endpoint.type == EndpointKind.QUEUE:
            client.jobs.purge(endpoint)
        wait_for(
            lambda: len(control.workers(endpoint.id).workers),
            lambda count: count == 0,
            timeout_s=patience.drain_s,
            pace=pace,
        )
        control.delete_endpoint(endpoint.id)
    except Missing:
        # RunPod's job plane forgets an endpoint at another moment than its control plane.
        control.delete_endpoint(endpoint.id)
    if not wait_for(lambda: _is_gone(client, endpoint.id), bool, timeout_s=patience.gone_s, pace=pace):
        raise Transient(
            f"RunPod still shows endpoint {endpoint.name} after it was deleted.",
            remedy="Delete the set again.",
            endpoint=endpoint.id,
        )


def remove_pod(client: RunPodClient, pod: Pod, patience: Patience, pace: Pace) -> None:
    """Stopped first, so that its engine may end what it streams; then deleted and looked for.

    No error when it is gone already. Raises: Transient when RunPod still shows it afterwards.
    """
    control = client.control
    try:
        if pod.status not in OVER:
            control.act_on_pod(pod.id, PodAction.STOP)
            wait_for(
                lambda: control.pod(pod.id).status,
                lambda status: status in OVER,
                timeout_s=patience.drain_s,
                pace=pace,
            )
    except Conflict as error:
        log.info("runpod: pod %s ended by itself: %s", pod.name, error.message)
    except Missing:
        return
    control.delete_pod(pod.id)
    if not wait_for(lambda: _is_pod_gone(client, pod.id), bool, timeout_s=patience.gone_s, pace=pace):
        raise Transient(
            f"RunPod still shows pod {pod.name} after it was deleted.",
            remedy="Delete the set again.",
            pod=pod.id,
        )


def _is_pod_gone(client: RunPodClient, pod_id: str) -> bool:
    try:
        return client.control.pod(pod_id).status == PodStatus.TERMINATED
    except Missing:
        return True


def _is_gone(client: RunPodClient, endpoint_id: str) -> bool:
    try:
        client.control.endpoint(endpoint_id)
    except Missing:
        return True
    return False
