"""Which set carries how much: the wanted weights, what health makes of them, and taking a set out. Pure."""

from collections.abc import Callable, Mapping, Sequence

from tidegate.domain import Mirror, Plan, Policy, ReleaseState, SetState, SetStatus, Upstream
from tidegate.release.observation import Observation, View
from tidegate.release.step import DeleteSet, Intend, LeaveSet, Observe, PutWeights, StartSet, Step, Wait

LOST = frozenset({SetState.FAILED, SetState.ABSENT, SetState.STOPPED})
"""A set that is only restarting is bridged by the gateways: they send its share to the other one meanwhile."""
START_PAUSE_S = 5.0
DELETE = "delete:"
"""Intent: the tombstone of a set, written before the platform is told."""
CAN_BE_STARTED = frozenset({SetState.STOPPED, SetState.FAILED, SetState.ABSENT})


def is_lost(status: SetStatus | None) -> bool:
    return status is not None and status.state in LOST


def weights_with_green_at(view: View, seen: Observation, percent: int) -> dict[str, int]:
    """Weights with `percent` on green, the rest on blue; a first release has only 0 or 100."""
    green, blue = view.plan.green_set, view.plan.blue_set
    if blue is None:
        return {green: 100 if percent > 0 else 0}
    others = {name: 0 for name in seen.route.weights if name not in (green, blue)} if seen.route else {}
    return others | {green: percent, blue: 100 - percent}


def weights_by_health(view: View, seen: Observation, percent: int) -> dict[str, int]:
    """The same, where the share of a lost set goes to the other one if that is ready (S1).

    Health comes before the state of the release: an old set that is gone serves nobody, and a new one that is
    not proven yet is better than nothing.
    """
    wanted = weights_with_green_at(view, seen, percent)
    blue = view.plan.blue_set
    if blue is None:
        return wanted
    if is_lost(seen.blue) and seen.green.is_ready and wanted[blue] > 0:
        rest = {name: weight for name, weight in wanted.items() if name != blue or seen.is_routed(name)}
        return rest | dict.fromkeys(rest, 0) | {view.plan.green_set: 100}
    if is_lost(seen.green) and seen.blue is not None and seen.blue.is_ready and percent > 0:
        return wanted | {view.plan.green_set: 0, blue: 100}
    return wanted


def serve_without_old(view: View, seen: Observation, percent: int) -> Step | None:
    """The old set is gone: its share goes to the new one at once. None when nothing is to be moved."""
    if not is_lost(seen.blue) or not seen.green.is_ready or is_doomed(view, view.plan.green_set):
        return None
    wanted = weights_by_health(view, seen, percent)
    return PutWeights(wanted) if seen.route is not None and dict(seen.route.weights) != wanted else None


def start_again(view: View, seen: Observation, name: str, status: SetStatus | None) -> Step | None:
    """Start a set that does not run, but not again and again: it may be broken for good."""
    if status is None or status.state not in CAN_BE_STARTED:
        return None
    last = view.observed.get(f"start:{name}")
    if last is not None and (seen.now - last.at).total_seconds() < START_PAUSE_S:
        return None
    return StartSet(name)


def bring_to_weight(view: View, seen: Observation, percent: int, mirror: Mirror | None = None) -> Step | None:
    """Bring live traffic to `percent` on green, and note the counts once every gateway confirmed it."""
    wanted = weights_with_green_at(view, seen, percent)
    if not _is_published(seen, wanted, mirror):
        if percent < 100 and view.plan.blue_set and (seen.blue is None or not seen.blue.is_ready):
            return Wait("the old set is not ready at the moment; weights stay")
        if percent > max(0, seen.weight(view.plan.green_set)) and not seen.green.is_ready:
            return Wait("the new set is not ready at the moment; weights stay")
        return PutWeights(wanted, mirror)
    if not seen.route_confirmed:
        return Wait("gateways are confirming the weights", 0.02)
    if "weights" not in view.observed:
        return Observe("weights", {"weights": wanted})
    return None


def _is_published(seen: Observation, wanted: dict[str, int], mirror: Mirror | None) -> bool:
    return seen.route is not None and dict(seen.route.weights) == wanted and seen.route.mirror == mirror


def stand_in_of(
    plan: Plan | None,
    upstreams: Sequence[Upstream],
    weights: Mapping[str, int],
    is_forbidden: Callable[[str], bool],
) -> str | None:
    """Which routed set at weight 0 answers while the only one with traffic cannot (S1).

    Every routed set but the new one had all traffic once, so it is proven. Never stands in: the new set of this
    release, what a rollback leaves, another set of the same file, and a file in quarantine.
    """
    if plan is None or sum(weight > 0 for weight in weights.values()) != 1:
        return None
    doubtful = plan.blue_digest if plan.kind == "rollback" else plan.green_digest
    doubted = (plan.green_set, plan.blue_set if plan.kind == "rollback" else None)
    proven = [
        one.set_name
        for one in upstreams
        if weights[one.set_name] == 0
        and one.set_name not in doubted
        and one.digest != doubtful
        and not is_forbidden(one.digest)
    ]
    return max(proven, key=lambda name: (name == plan.blue_set, name), default=None)


def weight_of(view: View) -> int:
    """Percent of live traffic that the new set has by the present state of the release."""
    ladder = view.plan.ladder
    match view.state:
        case ReleaseState.SHIFTING:
            return ladder[int(view.data["step"])]
        case ReleaseState.BAKING | ReleaseState.COMMITTING | ReleaseState.RETIRING:
            return 100
        case ReleaseState.HOLD | ReleaseState.AWAIT_APPROVAL:
            if view.data.get("from") in (ReleaseState.BAKING.value, ReleaseState.RETIRING.value):
                return 100
            step = int(view.data.get("step", -1))
            return ladder[min(step, len(ladder) - 1)] if step >= 0 and ladder else 0
        case _:
            return 0


def take_out(view: View, seen: Observation, policy: Policy, name: str) -> Step:
    """Out of the route, confirmed, drained, then deleted: capacity never falls with its weight (S9).

    A gateway that is silent may still have it in its routes: then it stays, and reconcile removes it later.
    """
    if seen.is_routed(name):
        route = seen.route
        rest = {other: weight for other, weight in (route.weights if route else {}).items() if other != name}
        if seen.weight(name) > 0 and any(rest.values()):
            raise AssertionError(f"S2: {name} still carries {seen.weight(name)} % of the traffic")
        return PutWeights(rest)
    if not seen.route_confirmed:
        return Wait("gateways are confirming the removal")
    marker = view.observed.get(f"unrouted:{name}")
    if marker is None:
        return Observe(f"unrouted:{name}")
    if seen.silent.get(name):
        return LeaveSet(name)
    if _is_draining(seen, name, (seen.now - marker.at).total_seconds(), policy.shift.drain_s):
        return Wait(f"{seen.active_requests[name]} requests are still in flight on {name}")
    return DeleteSet(name) if is_doomed(view, name) else Intend(f"{DELETE}{name}")


def _is_draining(seen: Observation, name: str, waited_s: float, ceiling_s: float) -> bool:
    return seen.active_requests.get(name, 0) > 0 and waited_s < ceiling_s


def is_doomed(view: View, name: str) -> bool:
    """Its removal was announced. An owner that was fenced off meanwhile may still make that call, because a platform
    cannot refuse an old epoch: such a set never gets traffic again, however ready it looks."""
    return f"{DELETE}{name}" in view.intents
