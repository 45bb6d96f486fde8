"""From what was seen of a pod to the state of its set, and to what must be done about it. Pure.

Ready means two things at once: RunPod says that the pod runs, and its engine proved the digest to our key.
"""

from dataclasses import dataclass

from tidegate.domain import SetState
from tidegate.platforms.runpod.diagnosis import Action, Judgement, Proof, Rules
from tidegate.platforms.runpod.marks import Marks, Wanted
from tidegate.platforms.runpod.replies import PodStatus

OVER = frozenset({PodStatus.EXITED, PodStatus.ERROR, PodStatus.TERMINATED})
"""Nothing runs and nothing is paid for by the hour."""


@dataclass(frozen=True)
class PodSeen:
    """Everything that was seen at one moment. `revivals`: how often we started it since it last served."""

    marks: Marks
    status: str
    trouble_s: float = 0.0
    proof: Proof | None = None
    was_ready: bool = False
    container_starts: int = 0
    revivals: int = 0

    @property
    def is_over(self) -> bool:
        return self.status in OVER


def judge_pod(seen: PodSeen, rules: Rules) -> Judgement:
    """The first rule that applies decides; the order is: what we want, what is proven, what is hopeless."""
    marks = seen.marks
    if marks.wanted is Wanted.FAILED:
        return Judgement(
            SetState.FAILED, marks.problem or "given up", Action.NONE if seen.is_over else Action.END
        )
    if marks.wanted is Wanted.STOPPED:
        return Judgement(SetState.STOPPED) if seen.is_over else Judgement(SetState.STOPPING, "", Action.END)
    if seen.proof is not None and seen.proof.digest is not None and seen.status == PodStatus.RUNNING:
        return _proven(seen, seen.proof.digest)
    return _hopeless(seen, rules) or _waiting(seen)


def _proven(seen: PodSeen, digest: str) -> Judgement:
    if digest != seen.marks.digest:
        return Judgement(
            SetState.FAILED,
            f"The pod serves digest {digest[:12]}, not {seen.marks.digest[:12]}.",
            Action.GIVE_UP,
        )
    return Judgement(SetState.READY)


def _hopeless(seen: PodSeen, rules: Rules) -> Judgement | None:
    """Counts and times begin anew whenever it serves."""
    starts = max(seen.container_starts, seen.revivals)
    if starts >= rules.crash_starts:
        return Judgement(
            SetState.FAILED, f"Its container was started {starts} times and never served.", Action.GIVE_UP
        )
    has_machine = not seen.is_over and seen.status != PodStatus.PROVISIONING
    if not has_machine and seen.trouble_s > rules.throttled_timeout_s:
        # One that serves users is never given back: it may still get its machine again.
        return (
            None
            if seen.was_ready
            else Judgement(
                SetState.PENDING,
                f"RunPod had no machine for it for {seen.trouble_s:.0f} s.",
                Action.TAKE_BACK,
            )
        )
    if has_machine and seen.trouble_s > rules.init_timeout_s:
        return Judgement(
            SetState.FAILED,
            f"It was not ready within {rules.init_timeout_s:.0f} s ({_told(seen)}).",
            Action.GIVE_UP,
        )
    return None


def _waiting(seen: PodSeen) -> Judgement:
    """Not ready and not hopeless yet."""
    text = _told(seen)
    if seen.is_over:
        state = SetState.DEGRADED if seen.was_ready else SetState.STARTING
        return Judgement(state, f"it ended by itself ({text})", Action.REPAIR)
    if seen.status not in set(PodStatus):
        return Judgement(SetState.UNKNOWN, text)
    if seen.was_ready:
        return Judgement(SetState.DEGRADED, text)
    if seen.status == PodStatus.PROVISIONING:
        return Judgement(SetState.PENDING, f"waits for a machine ({text})")
    return Judgement(SetState.STARTING, text)


def _told(seen: PodSeen) -> str:
    word = seen.status.lower()
    return f"{word}; {seen.proof.problem}" if seen.proof and seen.proof.problem else word
