"""A pod is ready when RunPod says that it runs and its engine proves the digest; whatever else, it has an end."""

from dataclasses import replace

import pytest

from tidegate.domain import SetState
from tidegate.platforms.runpod.diagnosis import Action, Proof, Rules
from tidegate.platforms.runpod.marks import Marks, Wanted
from tidegate.platforms.runpod.pod_diagnosis import PodSeen, judge_pod

MARKS = Marks("n", "d" * 64, "r", Wanted.RUNNING, 1, 1, key_id="k1")
SEEN = PodSeen(MARKS, "RUNNING")
PROVEN = replace(SEEN, proof=Proof(digest="d" * 64))
RULES = Rules(init_timeout_s=100, throttled_timeout_s=50, crash_starts=4)


def judged(seen: PodSeen) -> tuple[SetState, Action]:
    judgement = judge_pod(seen, RULES)
    return judgement.state, judgement.action


@pytest.mark.parametrize(
    ("seen", "state", "action"),
    [
        (PROVEN, SetState.READY, Action.NONE),
        (replace(SEEN, proof=Proof(digest="e" * 64)), SetState.FAILED, Action.GIVE_UP),
        (replace(SEEN, proof=Proof(problem="401")), SetState.STARTING, Action.NONE),
        # The proof may be older than the pod's end.
        (replace(PROVEN, status="EXITED"), SetState.STARTING, Action.REPAIR),
        (replace(PROVEN, status="ERROR", was_ready=True), SetState.DEGRADED, Action.REPAIR),
        (replace(SEEN, status="PROVISIONING"), SetState.PENDING, Action.NONE),
        (replace(SEEN, status="PROVISIONING", trouble_s=51), SetState.PENDING, Action.TAKE_BACK),
        (replace(SEEN, status="ERROR", trouble_s=51), SetState.PENDING, Action.TAKE_BACK),
        # One that served is never given back for want of a machine.
        (replace(SEEN, status="ERROR", trouble_s=51, was_ready=True), SetState.DEGRADED, Action.REPAIR),
        (replace(SEEN, status="STARTING", trouble_s=99), SetState.STARTING, Action.NONE),
        (replace(SEEN, status="STARTING", trouble_s=101), SetState.FAILED, Action.GIVE_UP),
        (replace(SEEN, trouble_s=101), SetState.FAILED, Action.GIVE_UP),
        # A host that starts the container again and again, and we who do.
        (replace(SEEN, container_starts=4), SetState.FAILED, Action.GIVE_UP),
        (replace(SEEN, status="EXITED", revivals=4), SetState.FAILED, Action.GIVE_UP),
        (replace(SEEN, status="MIGRATING"), SetState.UNKNOWN, Action.NONE),
    ],
)
def test_the_state_follows_from_what_was_seen(seen: PodSeen, state: SetState, action: Action) -> None:
    assert judged(seen) == (state, action)


@pytest.mark.parametrize(
    ("wanted", "status", "state", "action"),
    [
        (Wanted.STOPPED, "EXITED", SetState.STOPPED, Action.NONE),
        (Wanted.STOPPED, "RUNNING", SetState.STOPPING, Action.END),
        (Wanted.FAILED, "EXITED", SetState.FAILED, Action.NONE),
        # Given up, and its process died before it stopped the pod: it must not go on costing money.
        (Wanted.FAILED, "RUNNING", SetState.FAILED, Action.END),
    ],
)
def test_what_is_wanted_is_finished_by_whoever_looks(
    wanted: Wanted, status: str, state: SetState, action: Action
) -> None:
    assert judged(replace(PROVEN, marks=MARKS.want(wanted), status=status)) == (state, action)
