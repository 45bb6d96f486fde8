"""One look at a pod: what it has said since the last one, and how it is. Synchronous and bounded; holds no task."""

import re
from dataclasses import dataclass, replace

from tidegate.domain import TidegateError, Transient
from tidegate.platforms.runpod import RunPodClient
from tidegate.platforms.runpod.errors import Missing
from tidegate.platforms.runpod.logs import LogBounds
from tidegate.platforms.runpod.replies import LogLine, PodStatus

# The line that `deployments.pod` ends with: the container itself waits then, because RunPod starts one anew that exits.
END_MARK = "tidegate-pod ended with code"
END_LINE = re.compile(rf"{END_MARK} (-?\d+)$")
LOOK = LogBounds(lines=500, quiet_s=2.0, total_s=5.0)
STARTING = frozenset({PodStatus.PROVISIONING, PodStatus.STARTING})
OVER = {PodStatus.EXITED: 0, PodStatus.ERROR: 1, PodStatus.TERMINATED: 1}


@dataclass(frozen=True)
class Sight:
    """What is known of a pod. `exit_code` is set once it is over; `is_gone` once RunPod does not know it any more.

    Before the first look nothing is known, so it does not count as starting either.
    """

    pod_id: str
    lines: tuple[LogLine, ...] = ()
    cursor: str | None = None
    is_starting: bool = False
    is_gone: bool = False
    exit_code: int | None = None

    @property
    def is_over(self) -> bool:
        return self.is_gone or self.exit_code is not None


def look(client: RunPodClient, before: Sight, bounds: LogBounds = LOOK) -> Sight:
    """A trouble of the network is no news; the next look tells."""
    try:
        pod = client.control.pod(before.pod_id)
    except Missing:
        return replace(before, lines=(), is_gone=True)
    except Transient:
        return replace(before, lines=())
    lines = _read(client, before, bounds)
    status = PodStatus(pod.status) if pod.status in set(PodStatus) else None
    code = next((int(found[1]) for line in lines if (found := END_LINE.search(line.line))), None)
    if code is None and status is not None:
        code = OVER.get(status)
    return Sight(
        pod_id=before.pod_id,
        lines=lines,
        cursor=next((line.event_id for line in reversed(lines) if line.event_id), before.cursor),
        is_starting=status in STARTING,
        exit_code=code,
    )


def _read(client: RunPodClient, before: Sight, bounds: LogBounds) -> tuple[LogLine, ...]:
    """The log is a help, not what a run depends on."""
    lines: list[LogLine] = []
    try:
        for line in client.control.pod_log(before.pod_id, after=before.cursor, tail=500, bounds=bounds):
            lines.append(line)
            if END_LINE.search(line.line):
                break
    except TidegateError:
        return tuple(lines)
    return tuple(lines)
