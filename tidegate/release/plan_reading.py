"""Reads what a plan is made from, and makes it. Writes nothing: the same for a release and for a look beforehand."""

from datetime import datetime, timedelta

from tidegate.domain import Plan, Release, Route, ServiceConfig, SetSpec
from tidegate.domain.live import ALL
from tidegate.release.expecting import expected_of
from tidegate.release.planning import make_plan
from tidegate.release.ports import Ledger, SetPlatform

RATE_WINDOW = timedelta(minutes=5)


def read_plan(
    ledger: Ledger, platform: SetPlatform, service: ServiceConfig, release: Release, now: datetime
) -> Plan:
    """The plan of a release as things are now, with its price and what it will take."""
    policy, ref = service.policy, release.ref
    route = ledger.get_route(ref)
    plan = make_plan(
        release,
        policy,
        route=route,
        champion=ledger.get_alias(ref, "champion"),
        previous=ledger.get_alias(ref, "previous"),
        sets=[spec for spec, state in ledger.list_sets(ref) if state != "deleted"],
    )
    price = platform.price_per_hour_usd(spec_of(ledger, service, release, plan.green_set))
    expected = expected_of(plan, policy, live_rate(ledger, route, now))
    usd = round(price * policy.budget.release_hours, 6)
    return plan.model_copy(update={"estimated_usd": usd, "expected": dict(expected)})


def spec_of(ledger: Ledger, service: ServiceConfig, release: Release, name: str) -> SetSpec:
    """The recorded spec of a set, else that of the set which this release would make."""
    known = ledger.get_set(name)
    if known is not None:
        return known[0]
    request = release.request
    version = ledger.get_version(request.org, request.model, request.version)
    return SetSpec(
        name=name,
        org=request.org,
        service=request.service,
        release_id=release.id,
        digest=release.digest,
        artifact_path=version.path,
        context_tokens=service.context_tokens,
        parallel=service.parallel,
        threads=service.threads,
        max_memory_bytes=service.max_memory_bytes,
    )


def live_rate(ledger: Ledger, route: Route | None, now: datetime) -> float:
    """Requests of clients per second that the service had in the last minutes; 0 where nothing was measured."""
    since = now - RATE_WINDOW
    names = route.weights if route else ()
    batches = [batch for name in names for batch in ledger.live(name, since, now, slices=(ALL,))]
    total = sum(batch.requests for batch in batches if not batch.is_probe)
    return total / RATE_WINDOW.total_seconds()
