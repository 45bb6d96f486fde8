"""What a plan will take: requests and seconds of each part, as far as they can be known before the start. Pure.

A forecast, not a promise: evidence ends each part, sooner or later than told here.
"""

from collections.abc import Mapping

from tidegate.domain import Plan, Policy
from tidegate.domain.policy import Rung
from tidegate.release.live import expected_requests


def expected_of(plan: Plan, policy: Policy, rate: float) -> Mapping[str, float]:
    """Keys are `PART.requests` and `PART.seconds`; `rate` is the service's live requests per second now.

    A step needs the requests that show a version as good as the live one, and its look; the new set gets its share of the traffic, so that n requests at w percent
    take n / (rate * w / 100) seconds. Where clients send too little, the policy probes or holds until the deadline.
    """
    found: dict[str, float] = {"traffic.per_second": round(rate, 3)}
    if plan.kind == "rollback":
        return found
    found |= _judging(policy)
    if "shadow" in plan.gates:
        found["shadow.requests"] = round(rate * policy.shift.shadow_s * policy.shift.shadow_percent / 100, 1)
        found["shadow.seconds"] = policy.shift.shadow_s
    rungs = {rung.weight: rung for rung in policy.shift.rungs}
    # A first release has no old set to share the traffic with: it gets all of it at once.
    climbed = plan.ladder if plan.blue_set else plan.ladder[-1:]
    # The bake is one more look with all traffic on the new set.
    needs = {
        step.weight: step.requests for step in expected_requests(policy.live, (*climbed, 100), rate or None)
    }
    for weight in climbed:
        rung = rungs.get(weight, Rung(weight=weight))
        least = policy.shift.min_requests if rung.min_requests is None else rung.min_requests
        wanted = max(least, needs[weight])
        look_s = policy.shift.look_s if rung.look_s is None else rung.look_s
        found[f"step.{weight}.requests"] = float(wanted)
        found[f"step.{weight}.seconds"] = _seconds(policy, wanted, look_s, rate * weight / 100)
    if plan.ladder:
        wanted = max(policy.shift.min_requests, needs[100])
        found["bake.requests"] = float(wanted)
        found["bake.seconds"] = _seconds(policy, wanted, policy.shift.bake_s, rate)
    found["total.seconds"] = round(
        sum(value for name, value in found.items() if name.endswith(".seconds")), 1
    )
    return found


def _judging(policy: Policy) -> dict[str, float]:
    """What is asked of both sets before live traffic: the planned design, not the whole budget."""
    questions = policy.quality.budget.max_questions
    asked = {"quality.requests": 2.0 * questions} if questions else {}
    return asked | {
        "performance.requests": float(2 * policy.performance.design.requests_per_arm),
    }


def _seconds(policy: Policy, wanted: int, look_s: float, rate: float) -> float:
    if rate > 0:
        return round(min(max(look_s, wanted / rate), look_s + policy.shift.step_deadline_s), 1)
    return look_s if policy.live.when_thin == "probe" else look_s + policy.shift.step_deadline_s
