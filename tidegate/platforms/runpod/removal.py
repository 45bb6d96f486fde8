"""How an endpoint ends: nothing new starts, nothing waits, nothing runs, and only then is it deleted and looked for.

Every step may be repeated; one that was broken off is asked for again from the beginning.
"""

from dataclasses import dataclass

from tidegate.domain import Transient
from tidegate.platforms.runpod.client import RunPodClient
from tidegate.platforms.runpod.errors import Missing
from tidegate.platforms.runpod.orders import worker_bounds
from tidegate.platforms.runpod.pace import Pace, wait_for
from tidegate.platforms.runpod.replies import Endpoint
from tidegate.platforms.runpod.wire import EndpointKind


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


def _is_gone(client: RunPodClient, endpoint_id: str) -> bool:
    try:
        client.control.endpoint(endpoint_id)
    except Missing:
        return True
    return False
