"""One look at live traffic: counts of the gateways, the always-valid tests, and the proof of what is served. Pure."""

from tidegate.domain import Policy, ReleaseState, Verdict
from tidegate.domain.policy import Rung, ShiftPolicy
from tidegate.release.observation import Observation, View
from tidegate.release.step import Enter, ProveIdentity, SendProbes, Step, Wait

PROBE_PAUSE_S = 1.0
MAX_IDENTITY_ROUNDS = 3
LOOK_PAUSE_S = 0.25
"""Between two looks: gateways report by the second, and every look reads all of them."""
MAX_PROBES = 30
"""Of one round to each set, and so of a second: clients share the machine. A block of evidence is a second, so that more
of them would not decide sooner."""


def limits_of(policy: Policy, index: int) -> ShiftPolicy:
    """The limits of one step of the ladder: its own, where it has any."""
    rungs = policy.shift.rungs
    rung = rungs[index] if index < len(rungs) else Rung(weight=100)
    own = {
        name: value
        for name, value in (("look_s", rung.look_s), ("min_requests", rung.min_requests))
        if value is not None
    }
    return policy.shift.model_copy(update=own)


def judge_look(
    view: View, seen: Observation, limits: ShiftPolicy, *, bake: bool = False
) -> tuple[Verdict, str]:
    """Harm at once; good only when it is shown, and the look was as long and had as many requests as is wanted (S7)."""
    live = seen.live
    if live is None:
        return Verdict.NOT_JUDGED, "no counts from the gateways yet"
    if live.verdict is Verdict.FAIL:
        return Verdict.FAIL, live.reason
    needed_s = limits.bake_s if bake else limits.look_s
    if look_s(view, seen) < needed_s:
        return Verdict.NOT_JUDGED, f"looking for {needed_s:.0f} s"
    had = live.requests + live.probes
    if had < limits.min_requests:
        return Verdict.NOT_JUDGED, f"{had} of {limits.min_requests} live requests needed on the new set"
    return live.verdict, live.reason


def go_on_looking(view: View, seen: Observation, policy: Policy, limits: ShiftPolicy, why: str) -> Step:
    """The look was long enough and what clients sent does not decide: probe, if the policy allows it."""
    live = seen.live
    if live is None or policy.live.when_thin != "probe":
        return Wait(why, LOOK_PAUSE_S)
    missing = max(limits.min_requests - live.requests - live.probes, live.needed_requests or 0)
    needed_s = limits.look_s if view.state is ReleaseState.SHIFTING else limits.bake_s
    if missing > 0 and look_s(view, seen) >= needed_s + PROBE_PAUSE_S * view.probe_rounds:
        return SendProbes(min(missing, MAX_PROBES))
    return Wait(why, LOOK_PAUSE_S)


def prove_identity(view: View, *names: str | None) -> Step | str | None:
    """Ask which files are served. None when every set proved its own; a text when one serves another file, or when
    none of the allowed rounds could ask them all."""
    sets = tuple(name for name in names if name)
    seen = view.observed.get("identity")
    if seen is None:
        return ProveIdentity(sets)
    lying = {name: str(why) for name, why in seen.data.get("failed", {}).items() if name in sets}
    if lying:
        return "; ".join(f"{name}: {why}" for name, why in sorted(lying.items()))
    if set(sets) <= set(seen.data.get("proven", ())):
        return None
    if view.identity_rounds < MAX_IDENTITY_ROUNDS:
        return ProveIdentity(sets)
    unknown = sorted(set(sets) - set(seen.data.get("proven", ())))
    return f"which file {', '.join(unknown)} serves could not be proven"


def is_lying(view: View, name: str) -> bool:
    """It answered, and with another file than the journal says."""
    seen = view.observed.get("identity")
    return seen is not None and name in seen.data.get("failed", {})


def hold_for_identity(view: View, why: str, step: int) -> Enter:
    return Enter(ReleaseState.HOLD, f"not judged: {why}", {"from": view.state.value, "step": step})


def look_s(view: View, seen: Observation) -> float:
    """Seconds since every gateway confirmed the present weights."""
    return (seen.now - view.observed["weights"].at).total_seconds()
