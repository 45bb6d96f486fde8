"""Level-triggered repair: finishes releases whose owner died and asserts what should be served."""

from dataclasses import dataclass, field

from tidegate.domain import (
    Fenced,
    Release,
    ReleaseState,
    ServiceRef,
    SetStatus,
    TidegateError,
    Upstream,
)
from tidegate.steps.pipeline import resume
from tidegate.steps.ports import Ports
from tidegate.steps.rollback import is_abandoned


@dataclass
class ReconcileReport:
    """What was looked at and done. `problems` need a person."""

    resumed: list[str] = field(default_factory=list[str])
    left_to_owner: list[str] = field(default_factory=list[str])
    awaiting: list[str] = field(default_factory=list[str])
    readdressed: list[str] = field(default_factory=list[str])
    orphans: list[str] = field(default_factory=list[str])
    problems: list[str] = field(default_factory=list[str])

    @property
    def is_quiet(self) -> bool:
        return not (self.resumed or self.readdressed or self.orphans or self.problems)


def reconcile(ports: Ports) -> ReconcileReport:
    """One sweep over every service; one that fails does not keep the others from being repaired."""
    report = ReconcileReport()
    for release in ports.ledger.list_releases(only_active=True):
        _resume_if_abandoned(ports, release, report)
    for route in ports.ledger.list_routes():
        ref = ServiceRef(route.org, route.service)
        try:
            if assert_addresses(ports, ref):
                report.readdressed.append(str(ref))
        except TidegateError as error:
            report.problems.append(f"{ref}: {error}")
    _sweep_orphans(ports, report)
    return report


def _resume_if_abandoned(ports: Ports, release: Release, report: ReconcileReport) -> None:
    """Its owner says every two seconds that it lives; a silent one is fenced off by our higher epoch.

    Watched, not only looked at: the automation on a crashed run comes seconds after the death, and the next sweep
    a minute later.
    """
    if not is_abandoned(ports, release):
        report.left_to_owner.append(release.id)
        return
    try:
        outcome = resume(ports, release.id)
    except Fenced:
        report.left_to_owner.append(release.id)
    except TidegateError as error:
        report.problems.append(f"{release.id}: {error}")
    else:
        if outcome.state is release.state is ReleaseState.AWAIT_APPROVAL:
            report.awaiting.append(f"{release.id}: {outcome.reason}")
            return
        report.resumed.append(f"{release.id}: {release.state.value} -> {outcome.state.value}")
        if outcome.state in (ReleaseState.HOLD, ReleaseState.PARKED):
            report.problems.append(f"{release.id} is {outcome.state.value}: {outcome.reason}")


def assert_addresses(ports: Ports, ref: ServiceRef) -> bool:
    """A set that was started again may listen elsewhere: publish the same weights with its present address.

    Written with the service's present epoch, and only when nobody else wrote meanwhile: weights are not ours.
    """
    route = ports.ledger.get_route(ref)
    if route is None or not route.upstreams:
        return False
    platform = ports.platform(ref)
    fresh = [_with_address(upstream, platform.status(upstream.set_name)) for upstream in route.upstreams]
    if tuple(fresh) == route.upstreams:
        return False
    wanted = route.model_copy(update={"upstreams": tuple(fresh)})
    ports.ledger.put_route(
        wanted, epoch=ports.ledger.current_epoch(ref), expected_generation=route.generation
    )
    return True


def _with_address(upstream: Upstream, status: SetStatus) -> Upstream:
    """Where the set is reached now; what it serves stays as it was routed."""
    if not status.is_ready:
        return upstream
    address = {
        "host": status.host,
        "port": status.port,
        "tls": status.tls,
        "path_prefix": status.path_prefix,
        "credential": status.credential,
    }
    return upstream.model_copy(update=address)


def _sweep_orphans(ports: Ports, report: ReconcileReport) -> None:
    """S5: a set on a platform that no journal knows, or that was deleted, is removed."""
    known = {spec.name for spec, state in ports.ledger.list_sets() if state != "deleted"}
    for platform in ports.platforms.values():
        for status in platform.list_owned():
            if status.name not in known:
                platform.delete(status.name)
                report.orphans.append(f"{platform.name}: {status.name}")


def report_markdown(report: ReconcileReport) -> str:
    """What a person wants to know of one sweep."""
    sections = {
        "Needs a person": report.problems,
        "Releases finished for a dead owner": report.resumed,
        "Services published at a new address": report.readdressed,
        "Sets without an owner, removed": report.orphans,
        "Left to their living owner": report.left_to_owner,
        "Waiting for an approval": report.awaiting,
    }
    parts = ["# Reconcile", ""]
    for title, lines in sections.items():
        if lines:
            parts += [f"## {title}", "", *(f"- {line}" for line in lines), ""]
    return "\n".join(parts)
