"""What looks: one function for each kind of check, thin, over the ports. What it means is judged in `observability.health`."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tidegate import wiring
from tidegate.domain import NeedsOperator, Place, Route, SecretReference, ServiceRef, SetStatus, TidegateError
from tidegate.domain.audit import Anchor
from tidegate.domain.health import Health, Judgement, Part
from tidegate.ledger import Ledger
from tidegate.ledger.migrations import HEAD
from tidegate.observability.health import CHECKS, Check, Thresholds
from tidegate.observability.health import judging as judge
from tidegate.observability.health import judging_host as judge_host
from tidegate.stack.prefect_api import PrefectApi
from tidegate.steps.ports import Ports
from tidegate.watching.expiring import expiring
from tidegate.watching.host import see_gpus, see_host
from tidegate.watching.processes import judge_processes

POOLS = ("control", "gpu")
LATE = timedelta(seconds=30)
"""A run that should have begun so long ago waits."""
MOST_LATE_RUNS = 200
INTEGRITY_S = 50.0

Connect = Callable[[], AbstractContextManager[PrefectApi]]


def build_checks(ports: Ports, connect: Connect, limits: Thresholds) -> list[Check]:
    """Every kind, in the order in which they are shown."""
    ledger = ports.ledger
    assert isinstance(ledger, Ledger), "load() opens it"
    looks = _Looks(ports, ledger, connect, limits)
    return [Check(name, getattr(looks, name.replace("-", "_"))) for name in CHECKS]


class _Looks:
    """A method for each kind, of its name."""

    def __init__(self, ports: Ports, ledger: Ledger, connect: Connect, limits: Thresholds):
        self._ports = ports
        self._ledger = ledger
        self._connect = connect
        self._limits = limits
        self._audit_end: Anchor | None = None

    def host(self) -> Judgement:
        return judge_host.judge_host(see_host(self._ports.settings.home), self._limits.host)

    def gpu(self) -> Judgement:
        return judge_host.judge_gpus(see_gpus(), self._limits.gpu)

    def processes(self) -> Judgement:
        return judge_processes(self._ports.settings)

    def ledger(self) -> Judgement:
        try:
            seen = judge.LedgerSeen(self._ledger.schema_revision(), HEAD, self._ledger.write_latency_s())
        except TidegateError as error:
            # Not to be answered is what this check is there to see.
            return Judgement(Health.FAILED, error.message, error.remedy)
        return judge.judge_ledger(seen, self._limits.ledger)

    def ledger_integrity(self) -> Judgement:
        try:
            problems = self._ledger.integrity_problems(INTEGRITY_S)
        except NeedsOperator as error:
            # A file that is damaged enough cannot even be asked. It is no less seen for that.
            problems = [error.message]
        return judge.judge_integrity(problems)

    def prefect(self) -> Judgement:
        with self._connect() as api:
            if not api.is_healthy():
                return judge.judge_prefect(judge.PrefectSeen(is_healthy=False), self._limits.queues)
            seen = judge.PrefectSeen(True, len(api.deployments()), self._waiting(api))
        return judge.judge_prefect(seen, self._limits.queues)

    def _waiting(self, api: PrefectApi) -> dict[str, float]:
        """Pool -> for how long its oldest late run waits."""
        now = self._ports.clock()
        where = {
            "flow_runs": {
                "state": {"type": {"any_": ["SCHEDULED"]}},
                "expected_start_time": {"before_": (now - LATE).isoformat()},
            },
            "sort": "EXPECTED_START_TIME_ASC",
        }
        waiting: dict[str, float] = {}
        for run in api.find_runs(where, most=MOST_LATE_RUNS):
            pool, wanted = run.get("work_pool_name"), run.get("expected_start_time")
            if pool and wanted:
                at = datetime.fromisoformat(str(wanted)).astimezone(UTC)
                waiting[str(pool)] = max(waiting.get(str(pool), 0.0), (now - at).total_seconds())
        return waiting

    def workers(self) -> Judgement:
        with self._connect() as api:
            if not api.is_healthy():
                return Judgement(
                    Health.UNKNOWN,
                    "the Prefect server, which knows them, does not answer",
                    "See: tidegate logs prefect.",
                )
            pools = {*POOLS, *api.work_pools()}
            seen = {pool: [(one.name, one.is_online) for one in api.workers(pool)] for pool in pools}
        return judge.judge_workers(seen)

    def gateways(self) -> Judgement:
        return judge.judge_gateways(
            self._ledger.gateways(),
            self._ledger.generation(),
            self._ledger.newest_route_at(),
            self._ports.clock(),
            self._limits.gateways,
        )

    def platforms(self) -> Judgement:
        return Judgement.of(_platform(name, self._ports) for name in sorted(self._ports.platforms))

    def credentials(self) -> Judgement:
        parts = [
            _credential(self._ports, org, platform)
            for org in self._ports.organizations
            for platform in sorted({one.platform for one in self._ports.organizations[org].services.values()})
        ]
        return Judgement.of(parts)

    def sets(self) -> Judgement:
        routed: list[judge.RoutedSet] = []
        unserved: list[str] = []
        for ref in self._services():
            route = self._ledger.get_route(ref)
            if route is None or not route.upstreams:
                unserved.append(str(ref))
            else:
                routed += self._routed(ref, route)
        return judge.judge_sets(routed, unserved)

    def _routed(self, ref: ServiceRef, route: Route) -> Iterator[judge.RoutedSet]:
        for upstream in route.upstreams:
            status, trouble = self._status(ref, upstream.set_name)
            weight = route.weights.get(upstream.set_name, 0)
            yield judge.RoutedSet(str(ref), upstream.set_name, weight, upstream.digest, status, trouble)

    def _status(self, ref: ServiceRef, name: str) -> tuple[SetStatus | None, str]:
        try:
            return self._ports.platform(ref).status(name), ""
        except TidegateError as error:
            return None, error.message

    def store(self) -> Judgement:
        """The files of what is live where sets read them from the store of this host."""
        live: list[tuple[str, str, bool]] = []
        sizes = [0]
        for ref in self._services():
            champion = self._ledger.get_alias(ref, "champion")
            if champion is None or self._ports.service(ref).platform != "local":
                continue
            path = self._ports.store.path_of(champion.digest)
            live.append((str(ref), champion.digest, path is not None))
            sizes.append(Path(path).stat().st_size if path else 0)
        folder = self._ports.settings.store_dir
        free = see_host(_nearest(folder)).disk_free_bytes
        seen = judge_host.StoreSeen(str(folder), _is_writable(folder), free, max(sizes), tuple(live))
        return judge_host.judge_store(seen)

    def expiry(self) -> Judgement:
        found, looked_at = expiring(self._ports, self._ledger)
        return judge.judge_expiry(found, looked_at, self._ports.clock(), self._limits.expiry)

    def backups(self) -> Judgement:
        marks = self._ledger.backup_marks()
        failures = tuple(one for one in self._ledger.findings() if one.kind.startswith("backup."))
        return judge_host.judge_backups(
            marks.get("made"), marks.get("verified"), failures, self._ports.clock(), self._limits.backups
        )

    def notifications(self) -> Judgement:
        oldest, counts = self._ledger.oldest_undelivered(), self._ledger.outbox_counts()
        return judge.judge_notifications(oldest, counts, self._ports.clock(), self._limits.queues)

    def audit(self) -> Judgement:
        """With the end that the last look saw as an anchor, kept where nobody who writes to the ledger writes: in this
        process. A log that was cut at its end since then is whole in itself."""
        seen = self._ledger.verify_audit([self._audit_end] if self._audit_end else [])
        if seen.is_whole:
            self._audit_end = seen.newest
        return judge.judge_audit(seen)

    def _services(self) -> Iterator[ServiceRef]:
        for org in self._ports.organizations.values():
            for service in org.services:
                yield ServiceRef(org.name, service)


def _platform(name: str, ports: Ports) -> Part:
    try:
        owned = ports.platforms[name].list_owned()
    except TidegateError as error:
        return Part(name, Health.FAILED, f"cannot be asked: {error.message}", error.remedy)
    return Part(name, Health.OK, f"answers; {len(owned)} sets of ours")


def _credential(ports: Ports, org: str, platform: str) -> Part:
    """Asked of the platform itself. What is kept in Prefect's blocks only flows can read: nobody knows here."""
    name = f"{org} at {platform}"
    organization = ports.organizations[org]
    reference = organization.credentials.get(platform, "")
    if reference and SecretReference.parse(reference).place is Place.PREFECT:
        return Part(
            name,
            Health.UNKNOWN,
            "kept in Prefect, which only flows can read",
            "A release checks it at its first gate.",
        )
    if platform not in ports.platforms:
        return Part(
            name, Health.FAILED, "the platform is not available here", "Correct `platform` of its services."
        )
    try:
        ports.platforms[platform].verify_credential(org, wiring.credential_of(ports, organization, platform))
    except TidegateError as error:
        health = Health.UNKNOWN if error.is_retryable else Health.FAILED
        return Part(name, health, error.message, error.remedy)
    return Part(name, Health.OK, "verified with the platform")


def _nearest(folder: Path) -> Path:
    """The folder, or the one in which it will be made."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _is_writable(folder: Path) -> bool:
    """No file is written to see it: other processes read this folder."""
    return os.access(_nearest(folder), os.W_OK | os.X_OK)
