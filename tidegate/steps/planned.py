"""What a release was planned with stays what it is judged by, whatever the file says later."""

from tidegate.domain import Policy, Release, ReleaseState
from tidegate.steps.ports import Ports


def planned_policy(ports: Ports, release: Release) -> Policy:
    """Its policy, from the journal; for a release without a plan the service's present one."""
    for entry in ports.ledger.entries(release.id):
        if entry.kind == "entered" and entry.name == ReleaseState.PLANNED.value and "policy" in entry.data:
            return Policy.model_validate(entry.data["policy"])
    return ports.service(release.ref).policy


def seconds_of_budget(ports: Ports, release: Release, max_seconds: float, max_usd: float | None) -> float:
    """Time that may be measured: a budget in money is one in time, at what the new set costs."""
    assert release.plan is not None, "a release is judged after it was planned"
    known = ports.ledger.get_set(release.plan.green_set)
    if max_usd is None or known is None:
        return max_seconds
    price = ports.platform(release.ref).price_per_hour_usd(known[0])
    return min(max_seconds, max_usd / price * 3600) if price > 0 else max_seconds
