"""Reads what the three sides say: the ledger, the gateways, the platforms and engines. Decides nothing."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from tidegate.domain import Release, ReleaseState, ServiceRef, SetStatus, TidegateError
from tidegate.steps.costs import month_to_date
from tidegate.steps.differences import Difference, Intended, Observed, intended_live
from tidegate.steps.ports import Ports
from tidegate.steps.snapshot import status_of

ASK_EVERY = timedelta(seconds=60)
"""Each routed set is asked this often which file it serves: a question costs it a short answer."""
ASKED = "served file asked"
KEPT_RELEASES = 200
BESIDE_NOTHING = frozenset(
    {
        ReleaseState.REQUESTED,
        ReleaseState.PLANNED,
        ReleaseState.VALIDATING,
        ReleaseState.PARKED,
        ReleaseState.PROVISIONING,
    }
)
"""States in which nobody but reconcile looks after what serves."""


def read_intended(ports: Ports, ref: ServiceRef) -> Intended:
    """The epoch is read first: what is decided on older facts is then refused by the ledger."""
    ledger = ports.ledger
    epoch = ledger.current_epoch(ref)
    active = ledger.active_release(ref)
    live = intended_live(ledger.list_releases(ref=ref, limit=KEPT_RELEASES))
    champion = ledger.get_alias(ref, "champion")
    sets = {spec.name: (spec.digest, state) for spec, state in ledger.list_sets(ref)}
    return Intended(
        ref=ref,
        epoch=epoch,
        route=ledger.get_route(ref),
        live_set=live[0] if live else None,
        live_digest=live[1] if live else None,
        champion_digest=champion.digest if champion else None,
        sets=sets,
        busy=active.id if active else None,
        is_tended=active is None or _tends(active, sets),
    )


def _tends(release: Release, sets: Mapping[str, object]) -> bool:
    """One that waits for room, or for a person's word before it starts, has no set yet."""
    if release.state is ReleaseState.AWAIT_APPROVAL:
        return release.plan is not None and release.plan.green_set in sets
    return release.state not in BESIDE_NOTHING


def read_observed(ports: Ports, intended: Intended) -> Observed:
    """Ask the platform about every recorded set, and now and then the engines themselves."""
    ref = intended.ref
    names = {*intended.sets, *(intended.route.weights if intended.route else ())}
    found = {name: status_of(ports, ref, name) for name in sorted(names)}
    sets = {name: status for name, status in found.items() if status is not None}
    return Observed(now=ports.clock(), sets=sets, lying=_lying(ports, intended, sets))


def _lying(ports: Ports, intended: Intended, sets: dict[str, SetStatus]) -> dict[str, str]:
    """What workers serve instead of the recorded file. Remembered until the next time that they are asked."""
    if intended.busy is not None or intended.route is None or ports.make_checks is None:
        return {}
    asked = [name for name in intended.route.weights if name in sets and sets[name].is_ready]
    kept = ports.ledger.result(ASKED, str(intended.ref))
    now = ports.clock()
    if kept and kept["sets"] == asked and now.timestamp() - kept["at"] < ASK_EVERY.total_seconds():
        return kept["lying"]
    lying: dict[str, str] = {}
    for name in asked:
        lying |= _ask(ports, name)
    ports.ledger.record_result(
        ASKED, str(intended.ref), {"at": now.timestamp(), "sets": asked, "lying": lying}
    )
    return lying


def _ask(ports: Ports, name: str) -> dict[str, str]:
    """One set: asked as the release that made it asks. A set that cannot be asked is not called a liar."""
    known = ports.ledger.get_set(name)
    if known is None or ports.make_checks is None:
        return {}
    try:
        release = ports.ledger.get_release(known[0].release_id)
        found = ports.make_checks().prove_identity(release, [name])
    except TidegateError:
        return {}
    return {set_name: str(what) for set_name, what in found.get("failed", {}).items() if set_name == name}


def overspent(ports: Ports) -> Sequence[Difference]:
    """Organizations whose sets have cost more this month than they may. Their releases are refused; what serves goes on."""
    found: list[Difference] = []
    for org in ports.organizations.values():
        cap = org.monthly_budget_usd
        spent = month_to_date(ports, org.name) if cap is not None else None
        if cap is None or spent is None or float(spent.total.total_usd) <= cap:
            continue
        found.append(
            Difference(
                "spend.budget",
                org.name,
                f"sets of {org.name} have cost {float(spent.total.total_usd):.2f} of {cap:.2f} USD this month",
                "No release is begun. Remove what is not needed, or raise monthly_budget_usd.",
                needs_person=True,
            )
        )
    return found
