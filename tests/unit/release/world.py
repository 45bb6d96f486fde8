"""A whole world in memory: ledger, platform, gateways and checks, with a clock that only moves when told.

Time passes in `World.sleep`; faults are plain switches. Every change of traffic and capacity is recorded in
`World.history`, where the invariants are checked.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tidegate.domain import (
    CapacityShortage,
    Evidence,
    Fenced,
    Gate,
    GatewayStatus,
    JournalEntry,
    LiveBatch,
    ModelVersion,
    NotFound,
    Plan,
    Policy,
    Release,
    ReleaseRequest,
    ReleaseState,
    Route,
    ServiceConfig,
    ServiceRef,
    SetSpec,
    SetState,
    SetStatus,
    Verdict,
)
from tidegate.domain.policy import DeadlinePolicy, LiveMetrics, LivePolicy, ShiftPolicy
from tidegate.release import Controller
from tidegate.release.machine import ALL_GATES
from tidegate.release.observer import evidence_digest

REF = ServiceRef("swaggystacks", "support-chat")
START = datetime(2026, 11, 21, tzinfo=UTC)
POLICY = Policy(
    shift=ShiftPolicy(
        ladder=(10, 50, 100), look_s=1, min_requests=5, bake_s=1, step_deadline_s=30, drain_s=2
    ),
    live=LivePolicy(
        metrics=LiveMetrics(
            errors=0.2,
            attempts=0.2,
            truncated=None,
            empty=None,
            malformed=None,
            stalls=None,
            stops=None,
            ttft_p50=None,
            itl_p50=None,
            length=None,
        )
    ),
    deadlines=DeadlinePolicy(provision_s=30, warm_s=10, park_s=60, rollback_wait_s=10),
)

ADDRESS = {"tls": True, "path_prefix": "/lb/ab12", "credential": "fake-credential"}
"""Of every ready set, beside host and port."""


def _nothing() -> None:
    return


@dataclass
class FakeSet:
    spec: SetSpec
    state: SetState = SetState.STARTING
    restarts: int = 0


def _apart(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _apart(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_apart(one) for one in value]
    return replace(value) if isinstance(value, FakeSet) else value


@dataclass
class World:
    """Ledger, Platform and Checks in one object: the controller gets it three times."""

    policy: Policy = POLICY
    verdicts: dict[Gate, list[Verdict]] = field(default_factory=dict)
    now: datetime = START
    name: str = "fake"
    required: dict[Gate, frozenset[str]] = field(
        default_factory=lambda: {gate: frozenset({"c"}) for gate in Gate}
    )
    traffic_per_s: int = 400
    failing: dict[str, float] = field(default_factory=dict)
    capacity: int = 8
    gateway_lag_s: float = 0.05
    gateway_alive: bool = True
    on_tick: Callable[[], None] = _nothing
    samples: int = 0
    spent: float = 0.0
    startable: bool = True
    lying: dict[str, str] = field(default_factory=dict)
    held: str = ""
    silent: tuple[GatewayStatus, ...] = ()

    def __post_init__(self) -> None:
        self.releases: dict[str, Release] = {}
        self.journal: dict[str, list[JournalEntry]] = {}
        self.rows: dict[str, dict[tuple[Gate, str], Evidence]] = {}
        self.locks: dict[ServiceRef, tuple[str | None, int]] = {}
        self.recorded: dict[str, tuple[SetSpec, str]] = {}
        self.sets: dict[str, FakeSet] = {}
        self.aliases: dict[str, ModelVersion | None] = {}
        self.quarantined: dict[str, str] = {}
        self.versions: list[ModelVersion] = []
        self.route: Route | None = None
        self.last_generation = 0
        self.observed = (0, START)
        self.pending: list[tuple[datetime, int]] = []
        self.batches: list[LiveBatch] = []
        self.due: dict[str, float] = {}
        self.history: list[str] = []
        self.gates_run: list[Gate] = []
        self.proofs: list[tuple[str, ...]] = []

    # ---- time and traffic

    def clock(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Clients send for this long; gateways catch up; sets finish loading. A gateway reports second by second."""
        while seconds > 1:
            self.sleep(1)
            seconds -= 1
        self.now += timedelta(seconds=seconds)
        due = [generation for at, generation in self.pending if at <= self.now]
        if due and self.gateway_alive:
            self.observed = (max(due), self.now)
        if self.route and self.route.generation == self.observed[0]:
            for name, weight in self.route.weights.items():
                self.count(name, round(self.traffic_per_s * seconds * weight / 100 + 0.49), since_s=seconds)
        for fake in self.sets.values():
            if fake.state is SetState.STARTING:
                fake.state = SetState.READY

    def count(self, name: str, requests: int, *, is_probe: bool = False, since_s: float = 0) -> None:
        """What a gateway measures of requests that came in these seconds."""
        due = self.due.get(name, 0.0) + requests * self.failing.get(name, 0.0)
        self.due[name] = due - int(due)
        self.batches.append(
            LiveBatch(
                gateway="g", org=REF.org, service=REF.service, set_name=name, is_probe=is_probe,
                started_at=self.now - timedelta(seconds=since_s), ended_at=self.now, requests=requests, failed=int(due),
                attempts=requests, attempts_failed=int(due),
            )
        )  # fmt: skip

    def live(
        self, set_name: str, since: datetime, until: datetime | None = None, *, slices: object = ()
    ) -> list[LiveBatch]:
        return [
            batch
            for batch in self.batches
            if batch.set_name == set_name
            and batch.started_at >= since
            and (until is None or batch.ended_at <= until)
        ]

    def tick(self) -> None:
        """Called by every effect and journal write before it happens: the place where a process can be killed."""
        self.on_tick()

    def left_by_kills(self, act: Callable[[], object]) -> list["World"]:
        """Act, and give the worlds that are left when the process is killed right before each of its ticks."""
        left: list[World] = []
        self.on_tick = lambda: left.append(self.copy())
        act()
        self.on_tick = _nothing
        return left

    def copy(self) -> "World":
        """A world that goes on apart from this one. Values are shared: only what holds them changes."""
        made = copy.copy(self)
        vars(made).update({name: _apart(value) for name, value in vars(self).items()}, on_tick=_nothing)
        return made

    # ---- registry

    def add_version(self, version: str, digest: str) -> ModelVersion:
        made = ModelVersion(
            org=REF.org,
            name="pipit",
            version=version,
            digest=digest,
            size_bytes=1,
            path="/x",
            registered_at=START,
        )
        self.versions.append(made)
        return made

    def get_version(self, org: str, name: str, version: str) -> ModelVersion:
        for known in self.versions:
            if known.version == version:
                return known
        raise NotFound(version)

    def get_alias(self, ref: ServiceRef, alias: str) -> ModelVersion | None:
        return self.aliases.get(alias)

    def set_alias(
        self, ref: ServiceRef, alias: str, version: Any, *, actor: str, reason: str, epoch: int
    ) -> None:
        self.tick()
        self._fence(epoch)
        self.aliases[alias] = version

    def quarantine(
        self, org: str, digest: str, *, reason: str, release_id: str, epoch: int | None = None
    ) -> None:
        if epoch is not None:
            self._fence(epoch)
        self.quarantined[digest] = reason

    def quarantine_reason(self, org: str, digest: str) -> str | None:
        return self.quarantined.get(digest)

    def hold_service(
        self,
        ref: ServiceRef,
        *,
        reason: str,
        actor: str,
        release_id: str | None = None,
        epoch: int | None = None,
    ) -> None:
        self.tick()
        if epoch is not None:
            self._fence(epoch)
        self.held = reason

    # ---- journal

    def request_release(self, request: ReleaseRequest, digest: str, *, key: str) -> Release:
        for release in self.releases.values():
            if (
                release.digest == digest
                and release.request.trigger == request.trigger
                and not release.is_over
            ):
                return release
        made = Release(
            id=f"r-{len(self.releases) + 1}",
            request=request,
            digest=digest,
            state=ReleaseState.REQUESTED,
            epoch=0,
            created_at=self.now,
            updated_at=self.now,
        )
        self.releases[made.id] = made
        self.journal[made.id] = []
        self._write(made.id, 0, "entered", "requested", {"reason": "requested"})
        return made

    def get_release(self, release_id: str) -> Release:
        return self.releases[release_id]

    def acquire_lock(self, ref: ServiceRef, release_id: str) -> int | None:
        holder, epoch = self.locks.get(ref, (None, 0))
        if holder not in (None, release_id) and not self.releases[holder].is_over:  # type: ignore[index]
            return None
        self.tick()
        self.locks[ref] = (release_id, epoch + 1)
        self.releases[release_id] = self.releases[release_id].model_copy(update={"epoch": epoch + 1})
        return epoch + 1

    def release_lock(self, ref: ServiceRef, release_id: str, epoch: int) -> None:
        self.tick()
        if self.locks.get(ref) == (release_id, epoch):
            self.locks[ref] = (None, epoch)

    def current_epoch(self, ref: ServiceRef) -> int:
        return self.locks.get(ref, (None, 0))[1]

    def append(
        self, release_id: str, epoch: int, kind: Any, name: str, data: Any = None, *, plan: Plan | None = None
    ) -> JournalEntry:
        self.tick()
        if kind not in ("abort", "note"):
            self._fence(epoch)
        return self._write(release_id, epoch, kind, name, data or {}, plan)

    def _write(
        self,
        release_id: str,
        epoch: int,
        kind: Any,
        name: str,
        data: dict[str, Any],
        plan: Plan | None = None,
    ) -> JournalEntry:
        rows = self.journal[release_id]
        entry = JournalEntry(
            seq=len(rows) + 1,
            release_id=release_id,
            epoch=epoch,
            kind=kind,
            name=name,
            data=data,
            at=self.now,
        )
        rows.append(entry)
        if kind == "entered":
            change: dict[str, Any] = {"state": ReleaseState(name), "reason": data.get("reason", "")}
            if plan is not None:
                change["plan"] = plan
            self.releases[release_id] = self.releases[release_id].model_copy(update=change)
        return entry

    def entries(self, release_id: str) -> list[JournalEntry]:
        return list(self.journal[release_id])

    def add_evidence(
        self,
        release_id: str | None,
        rows: Sequence[Evidence],
        *,
        digest: str,
        policy_digest: str,
        epoch: int | None = None,
    ) -> None:
        self.tick()
        if epoch is not None:
            self._fence(epoch)
        assert release_id is not None
        self.rows.setdefault(release_id, {}).update({(row.gate, row.check): row for row in rows})

    def evidence(self, release_id: str, gate: Gate | None = None) -> list[Evidence]:
        return list(self.rows.get(release_id, {}).values())

    def heartbeat(self, release_id: str, owner: str, epoch: int = 0) -> None:
        return

    def record_set(self, spec: SetSpec, *, platform: str, epoch: int, state: str) -> None:
        self.tick()
        self._fence(epoch)
        self.recorded[spec.name] = (spec, state)

    def get_set(self, name: str) -> tuple[SetSpec, str] | None:
        return self.recorded.get(name)

    def list_sets(self, ref: ServiceRef | None = None) -> list[tuple[SetSpec, str]]:
        return [pair for pair in self.recorded.values() if pair[1] != "deleted"]

    def set_state(self, name: str, state: str, *, epoch: int) -> None:
        self.tick()
        self._fence(epoch)
        if name in self.recorded:
            self.recorded[name] = (self.recorded[name][0], state)

    def _fence(self, epoch: int) -> None:
        if epoch != self.current_epoch(REF):
            raise Fenced(f"epoch {epoch} is not {self.current_epoch(REF)}")

    # ---- router

    def get_route(self, ref: ServiceRef) -> Route | None:
        return self.route

    def put_route(self, route: Route, *, epoch: int, expected_generation: int | None = None) -> int:
        self.tick()
        self._fence(epoch)
        self._check_weights(route)
        self.last_generation += 1
        self.route = route.model_copy(update={"generation": self.last_generation, "epoch": epoch})
        self.pending.append((self.now + timedelta(seconds=self.gateway_lag_s), self.last_generation))
        self.history.append(f"weights {dict(route.weights)}")
        return self.last_generation

    def _check_weights(self, route: Route) -> None:
        """S1 and S3: weight goes only to sets that are ready now."""
        for name, weight in route.weights.items():
            before = self.route.weights.get(name, 0) if self.route else 0
            if weight > before:
                assert self.sets[name].state is SetState.READY, (
                    f"weight {weight} put on {name}, which is not ready"
                )
        for upstream in route.upstreams:
            assert upstream.model_dump(include=set(ADDRESS)) == ADDRESS, "an address was routed in part"

    def gateways(self) -> list[GatewayStatus]:
        if not self.gateway_alive:
            return []
        healthy = tuple(n for n, fake in self.sets.items() if fake.state is SetState.READY)
        return [
            GatewayStatus(
                gateway="g", observed_generation=self.observed[0], seen_at=self.now, healthy_sets=healthy
            ),
            *self.silent,
        ]

    # ---- platform

    def create(self, spec: SetSpec) -> SetStatus:
        self.tick()
        if spec.name not in self.sets:
            if len(self.sets) >= self.capacity:
                raise CapacityShortage("no room")
            self.sets[spec.name] = FakeSet(spec)
            self.history.append(f"create {spec.name}")
        return self.status(spec.name)

    def start(self, name: str) -> SetStatus:
        self.tick()
        if self.startable:
            self.sets[name].state = SetState.STARTING
        return self.status(name)

    def status(self, name: str) -> SetStatus:
        fake = self.sets.get(name)
        if fake is None:
            return SetStatus.absent(name)
        ready = fake.state is SetState.READY
        return SetStatus(
            name=name,
            state=fake.state,
            digest=fake.spec.digest if ready else None,
            host="127.0.0.1" if ready else None,
            port=9000 if ready else None,
            **(ADDRESS if ready else {}),
            restarts=fake.restarts,
        )

    def delete(self, name: str) -> None:
        """S2: never a set that carries weight, never the last ready one."""
        self.tick()
        weight = self.route.weights.get(name, 0) if self.route else 0
        assert weight == 0, f"S2: {name} was removed with {weight} % of the traffic"
        ready = [other for other, fake in self.sets.items() if fake.state is SetState.READY and other != name]
        had_traffic = self.route is not None and any(self.route.weights.values())
        assert ready or not had_traffic, f"S2: {name} was the last ready set"
        self.sets.pop(name, None)
        self.history.append(f"delete {name}")

    def price_per_hour_usd(self, spec: SetSpec) -> float:
        return 0.0

    # ---- checks

    def run(self, gates: Sequence[Gate], release: Release) -> list[Evidence]:
        """Verdicts come from the script of the gate; when it is used up, `pass`."""
        self.tick()
        rows = []
        for gate in gates:
            self.gates_run.append(gate)
            script = self.verdicts.get(gate, [])
            verdict = script.pop(0) if script else Verdict.PASS
            rows.append(
                Evidence(
                    gate=gate,
                    check="c",
                    verdict=verdict,
                    summary=f"{gate.value} says {verdict.value}",
                    data={"samples": self.samples},
                )
            )
        return rows

    def send_probes(self, release: Release, sets: Sequence[str], count: int) -> int:
        self.tick()
        for name in sets:
            self.count(name, count, is_probe=True)
        return count

    def prove_identity(self, release: Release, sets: Sequence[str]) -> dict[str, Any]:
        """Every set that answers serves what the platform started, unless a test says that it lies."""
        self.tick()
        self.proofs.append(tuple(sets))
        ready = [name for name in sets if name in self.sets and self.sets[name].state is SetState.READY]
        failed = {name: self.lying[name] for name in ready if name in self.lying}
        away = {name: "it is not ready" for name in sets if name not in ready}
        return {"proven": [name for name in ready if name not in failed], "failed": failed, "open": away}

    def switch_under_streams(self, release: Release, switch: Any) -> dict[str, Any]:
        switch()
        self.sleep(2 * self.gateway_lag_s)
        return {"seconds": 2 * self.gateway_lag_s, "streams": 4, "lost": 0, "truncated": 0}

    def spent_usd(self, release: Release) -> float:
        return self.spent

    # ---- what a test does

    def controller(self, on_step: Any = None) -> Controller:
        return Controller(
            ledger=self,  # type: ignore[arg-type]
            platform=self,
            checks=self,
            service=ServiceConfig(policy=self.policy),
            owner="test",
            clock=self.clock,
            sleep=self.sleep,
            on_step=on_step or (lambda release, step: None),
        )

    def request(self, version: str, trigger: str = "manual") -> Release:
        known = self.get_version(REF.org, "pipit", version)
        wish = ReleaseRequest(
            org=REF.org, service=REF.service, model="pipit", version=version, trigger=trigger
        )
        return self.request_release(wish, known.digest, key="k")

    def release(self, version: str, trigger: str = "manual", on_step: Any = None) -> Release:
        """Request a release and drive it as far as it goes."""
        return self.drive(self.request(version, trigger).id, on_step)

    def drive(self, release_id: str, on_step: Any = None) -> Release:
        controller = self.controller(on_step)
        controller.take_over(release_id)
        return controller.drive(release_id, frozenset(ReleaseState))

    def approve(self, release_id: str, actor: str = "ada", **changes: str) -> Release:
        """Say yes to exactly what is there now, and let the release go on."""
        self.answer(release_id, actor, **changes)
        return self.drive(release_id)

    def answer(self, release_id: str, actor: str = "ada", **changes: str) -> None:
        """Say yes while nobody drives the release."""
        release = self.releases[release_id]
        assert release.plan is not None
        given = {
            "actor": actor,
            "plan_digest": release.plan.digest,
            "evidence_digest": evidence_digest(self.evidence(release_id)),
        }
        self.append(release_id, release.epoch, "note", "approve", given | changes)

    def serving(self) -> dict[str, int]:
        """Weights above zero by version."""
        if self.route is None:
            return {}
        digests = {version.digest: version.version for version in self.versions}
        by_set = {upstream.set_name: digests[upstream.digest] for upstream in self.route.upstreams}
        return {by_set[name]: weight for name, weight in self.route.weights.items() if weight}


def world_with(*versions: str, **changes: Any) -> World:
    """A world that knows these versions."""
    world = World(**changes)
    for number, version in enumerate(versions):
        world.add_version(version, str(number + 1) * 64)
    return world


GATES = ALL_GATES
