"""What a release will do, computed before anything is done. Pure."""

from collections.abc import Sequence

from tidegate.domain import Gate, ModelVersion, Plan, Policy, Release, Route, SetSpec, set_name
from tidegate.release.machine import ALL_GATES


def make_plan(
    release: Release,
    policy: Policy,
    *,
    route: Route | None,
    champion: ModelVersion | None,
    previous: ModelVersion | None,
    sets: Sequence[SetSpec],
) -> Plan:
    """The plan of a release or of a rollback.

    Blue, the rollback target, is the set that carries the most live traffic now: the router is the truth
    for traffic, not an alias. A rollback prefers the warm set that still serves the wanted digest.
    """
    blue = _live_set(route)
    blue_digest = (
        next((u.digest for u in route.upstreams if u.set_name == blue), None) if route and blue else None
    )
    is_rollback = release.request.trigger == "rollback"
    green = set_name(release.ref, release.digest, release.id)
    if is_rollback:
        warm = [spec.name for spec in sets if spec.digest == release.digest and spec.name != blue]
        green = warm[-1] if warm else green
    return Plan(
        kind="rollback" if is_rollback else "release",
        green_set=green,
        green_digest=release.digest,
        blue_set=blue,
        blue_digest=blue_digest,
        blue_version=champion.label if champion and blue else None,
        previous_version=previous.label if previous else None,
        strategy="all_at_once" if is_rollback else policy.shift.strategy,
        ladder=(100,) if is_rollback else tuple(rung.weight for rung in policy.shift.rungs),
        approvals=() if is_rollback else _approvals(policy),
        gates=("identity",) if is_rollback else _gates(policy, has_old=blue is not None),
        policy_digest=policy.digest,
        max_usd=None if is_rollback else policy.budget.max_release_usd,
    )


def _live_set(route: Route | None) -> str | None:
    if route is None or not any(route.weights.values()):
        return None
    return max(route.weights, key=lambda name: route.weights[name])


def _gates(policy: Policy, *, has_old: bool) -> tuple[str, ...]:
    """Those of every release, and what this policy wants besides. Replayed and copied requests, and a way back,
    need an old set."""
    wanted: list[Gate] = list(ALL_GATES)
    if has_old and policy.replay.pairs:
        wanted.append(Gate.REPLAY)
    if has_old and policy.shift.strategy in ("shadow", "shadow_then_canary"):
        wanted.append(Gate.SHADOW)
    if has_old and policy.shift.rehearse:
        wanted.append(Gate.REHEARSAL)
    return tuple(gate.value for gate in wanted)


def _approvals(policy: Policy) -> tuple[str, ...]:
    """Where a person will be asked."""
    approval = policy.approval
    asked = ["start"] if approval.before_start else []
    asked += [
        f"increase:{rung.weight}"
        for index, rung in enumerate(policy.shift.rungs)
        if rung.approval or (approval.before_increase and index > 0)
    ]
    return (*asked, "commit") if approval.before_commit else tuple(asked)
