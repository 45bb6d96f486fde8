"""Level-triggered repair: finishes releases whose owner died, and brings reality to what the ledger says.

One sweep looks at everything anew and remembers nothing but its findings, so that any number of sweeps, at once or one
after the other, come to the same.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tidegate.correlation import bind
from tidegate.domain import (
    Fenced,
    Release,
    ReleaseState,
    ServiceRef,
    TidegateError,
    owner_of_set,
)
from tidegate.domain.standing import Finding
from tidegate.domain.totals import RECONCILED
from tidegate.steps.differences import LOST, Difference, Intended, Repair, compare, silent_gateways
from tidegate.steps.pipeline import resume
from tidegate.steps.ports import Ports
from tidegate.steps.reality import overspent, read_intended, read_observed
from tidegate.steps.repairs import RECONCILE, assert_addresses, go_back, repair
from tidegate.steps.rollback import is_abandoned

__all__ = ["ReconcileReport", "assert_addresses", "reconcile", "report_markdown"]

MOST_AT_ONCE = 64
MAX_REASON = 500
log = logging.getLogger("tidegate.reconcile")
OWN_KINDS = ("gateway.", "set.", "weights.", "alias.", "spend.")


@dataclass
class ReconcileReport:
    """What was looked at and done. `problems` need a person."""

    resumed: list[str] = field(default_factory=list[str])
    left_to_owner: list[str] = field(default_factory=list[str])
    awaiting: list[str] = field(default_factory=list[str])
    readdressed: list[str] = field(default_factory=list[str])
    repaired: list[str] = field(default_factory=list[str])
    orphans: list[str] = field(default_factory=list[str])
    drift: list[str] = field(default_factory=list[str])
    problems: list[str] = field(default_factory=list[str])

    @property
    def is_quiet(self) -> bool:
        return not (
            self.resumed or self.readdressed or self.repaired or self.orphans or self.drift or self.problems
        )

    def add(self, other: "ReconcileReport") -> None:
        """Take over what happened to releases in a part of the same sweep."""
        self.resumed += other.resumed
        self.left_to_owner += other.left_to_owner
        self.awaiting += other.awaiting
        self.problems += other.problems

    @property
    def done(self) -> list[str]:
        return [*self.resumed, *self.readdressed, *self.repaired, *self.orphans]


Resume = Callable[[Release, ReconcileReport], None]


def reconcile(ports: Ports, resume_abandoned: Resume | None = None) -> ReconcileReport:
    """One sweep over every service; one that fails does not keep the others from being repaired.

    `resume_abandoned` says how a release under way is treated: by default it is watched, and driven to its end here.
    """
    report = ReconcileReport()
    active = ports.ledger.list_releases(only_active=True, limit=500)
    if resume_abandoned is None:
        _resume_all(ports, active, report)
    else:
        for release in active:
            resume_abandoned(release, report)
    seen: dict[tuple[str, str], Difference] = {}
    unread: set[ServiceRef] = set()
    for ref in _services(ports):
        try:
            _tend(ports, ref, report, seen)
        except Fenced:
            # A release began in the middle of the look: it owns everything now.
            unread.add(ref)
        except TidegateError as error:
            ports.note_error(error, "reconcile", ref=ref)
            unread.add(ref)
            report.problems.append(f"{ref}: {error}")
    for found in (*silent_gateways(ports.ledger.gateways(), ports.clock()), *overspent(ports)):
        _note(ports, None, found, report, seen)
    _resolve(ports, seen, unread)
    _sweep_orphans(ports, report)
    ports.ledger.note_last(RECONCILED, (), ports.clock().timestamp())
    return report


def _resume_all(ports: Ports, active: Sequence[Release], report: ReconcileReport) -> None:
    """At once: the next dead owner's release must not wait for the end of the first one's, which may take an hour."""
    if not active:
        return

    def look(release: Release) -> ReconcileReport:
        return resume_if_abandoned(ports, release, ReconcileReport())

    with ThreadPoolExecutor(min(len(active), MOST_AT_ONCE), thread_name_prefix="resume") as threads:
        parts = list(threads.map(look, active))
    for part in parts:
        report.add(part)


def resume_if_abandoned(ports: Ports, release: Release, report: ReconcileReport) -> ReconcileReport:
    """Its owner says every two seconds that it lives; a silent one is fenced off by our higher epoch.

    Watched, not only looked at: the automation on a crashed run comes seconds after the death, and the next sweep
    later than the lease ends.
    """
    if is_abandoned(ports, release):
        take_over(ports, release, report)
    else:
        report.left_to_owner.append(release.id)
    return report


def take_over(ports: Ports, release: Release, report: ReconcileReport) -> None:
    """Drive it as its new owner, as far as it goes without a person."""
    try:
        outcome = resume(ports, release.id)
    except Fenced:
        report.left_to_owner.append(release.id)
    except TidegateError as error:
        ports.note_error(error, "reconcile", ref=release.ref, release_id=release.id)
        report.problems.append(f"{release.id}: {error}")
    else:
        if outcome.state is release.state is ReleaseState.AWAIT_APPROVAL:
            report.awaiting.append(f"{release.id}: {outcome.reason}")
            return
        if outcome.state is not release.state:
            report.resumed.append(f"{release.id}: {release.state.value} -> {outcome.state.value}")
        if outcome.state in (ReleaseState.HOLD, ReleaseState.PARKED):
            report.problems.append(f"{release.id} is {outcome.state.value}: {outcome.reason}")


def _services(ports: Ports) -> list[ServiceRef]:
    """Every service that has a route or a set, and is configured here."""
    routed = {ServiceRef(route.org, route.service) for route in ports.ledger.list_routes()}
    owning = {ServiceRef(spec.org, spec.service) for spec, _ in ports.ledger.list_sets()}
    return sorted(routed | owning)


def _tend(
    ports: Ports, ref: ServiceRef, report: ReconcileReport, seen: dict[tuple[str, str], Difference]
) -> None:
    with bind(org=ref.org, service=ref.service):
        intended = read_intended(ports, ref)
        observed = read_observed(ports, intended)
        for found in compare(intended, ports.ledger.gateways(), observed):
            noted = _note(ports, ref, found, report, seen)
            try:
                _put_right(ports, intended, found, noted, report)
            except Fenced:
                raise
            except TidegateError as error:
                log.warning("reconcile: %s: %s", found.subject, error.message, exc_info=error)
                ports.note_error(error, "reconcile", ref=ref)
                report.problems.append(f"{found.subject}: {error}")


def _put_right(
    ports: Ports, intended: Intended, found: Difference, noted: Finding, report: ReconcileReport
) -> None:
    done = repair(ports, intended, found)
    if found.kind == LOST and intended.busy is None and intended.weight(found.set_name) > 0:
        stood_s = (noted.last_seen - noted.first_seen).total_seconds()
        patience_s = ports.service(intended.ref).policy.deadlines.rollback_wait_s
        if stood_s > patience_s:
            done = go_back(ports, intended.ref, f"{found.summary}, for {stood_s:.0f} s", "set_lost")
    if done:
        log.info("reconcile: %s: %s", found.subject, done)
        ports.ledger.note_deed(
            "reconcile.repaired",
            actor=RECONCILE,
            ref=intended.ref,
            subject=found.set_name,
            reason=done[:MAX_REASON],
            evidence={"difference": found.kind, "seen": found.summary[:MAX_REASON], "by": ports.owner},
        )
        (report.readdressed if found.repair is Repair.READDRESS else report.repaired).append(done)


def _note(
    ports: Ports,
    ref: ServiceRef | None,
    found: Difference,
    report: ReconcileReport,
    seen: dict[tuple[str, str], Difference],
) -> Finding:
    seen[found.kind, found.subject] = found
    if found.repair is not Repair.READDRESS:
        report.drift.append(f"{found.kind}: {found.summary}")
    if found.needs_person:
        report.problems.append(f"{found.summary}. {found.remedy}".strip())
    return ports.ledger.note_finding(
        found.kind,
        found.subject,
        found.summary,
        remedy=found.remedy,
        ref=ref,
        data={"repair": found.repair.value},
    )


def _resolve(ports: Ports, seen: Iterable[tuple[str, str]], unread: set[ServiceRef]) -> None:
    """What stood and was not seen again is over; what could not be looked at goes on standing."""
    now = set(seen)
    for finding in ports.ledger.findings():
        own = finding.kind.startswith(OWN_KINDS) and (finding.kind, finding.subject) not in now
        is_unread = finding.org and finding.service and ServiceRef(finding.org, finding.service) in unread
        if own and not is_unread:
            ports.ledger.resolve_finding(finding.kind, finding.subject)


def _sweep_orphans(ports: Ports, report: ReconcileReport) -> None:
    """S5: a set on a platform that no journal knows, or that was deleted, is removed. The platform is asked first:
    a set that is recorded meanwhile is then known."""
    for platform in ports.platforms.values():
        try:
            owned = platform.list_owned()
            known = {spec.name for spec, state in ports.ledger.list_sets() if state != "deleted"}
            for status in owned:
                if status.name not in known:
                    platform.delete(status.name)
                    ports.ledger.note_deed(
                        "orphan.removed",
                        actor=RECONCILE,
                        ref=owner_of_set(status.name),
                        subject=status.name,
                        evidence={"platform": platform.name, "state": status.state.value, "by": ports.owner},
                    )
                    report.orphans.append(f"{platform.name}: {status.name}")
        except TidegateError as error:
            ports.note_error(error, "sweep of orphans")
            report.problems.append(f"{platform.name}: {error}")


def report_markdown(report: ReconcileReport) -> str:
    """What a person wants to know of one sweep."""
    sections = {
        "Needs a person": report.problems,
        "Releases finished for a dead owner": report.resumed,
        "Differences between what is wanted and what is": report.drift,
        "Put right": report.repaired,
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
