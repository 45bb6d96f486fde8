"""One look at live traffic: counts of the gateways, the always-valid tests, and the proof of what is served. Pure."""

from tidegate.domain import Policy, ReleaseState, Verdict
from tidegate.domain.policy import Rung, ShiftPolicy
from tidegate.release.observation import Observation, View
from tidegate.release.step import Enter, ProveIdentity, SendProbes, Step, Wait
from tidegate.release.window import judge_window

PROBE_PAUSE_S = 2.0
MAX_IDENTITY_ROUNDS = 3


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
    """Harm as soon as either judge sees it; good only when both do (S7)."""
    verdict, why = judge_window(seen.window, limits, look_s=look_s(view, seen), bake=bake)
    live = seen.live
    if verdict is Verdict.FAIL or live is None:
        return verdict, why
    if live.verdict is Verdict.FAIL:
        return Verdict.FAIL, live.reason
    if verdict is Verdict.PASS:
        return (Verdict.PASS if live.verdict is Verdict.PASS else Verdict.NOT_JUDGED), live.reason
    return verdict, why


def go_on_looking(view: View, seen: Observation, limits: ShiftPolicy, needed_s: float, why: str) -> Step:
    """The look was long enough and still too few requests came: probe, if the policy allows it."""
    had = seen.window.new.requests if seen.window else 0
    missing = limits.min_requests - had
    if seen.live is not None and seen.live.needed_requests is not None:
        missing = max(missing, seen.live.needed_requests)
    is_due = look_s(view, seen) >= needed_s + PROBE_PAUSE_S * view.probe_rounds
    if seen.window is not None and missing > 0 and is_due and limits.thin_traffic == "probe":
        return SendProbes(missing)
    return Wait(why)


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
