"""From a state of the small world to what the real `decide` gets: the folded journal and an observation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from tests.model.state import FILES, KEY, NEW, OLD, UNROUTED, State, Weights, is_confirmed
from tidegate.domain import (
    Evidence,
    Gate,
    JournalEntry,
    Mirror,
    ModelVersion,
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
    Upstream,
    Verdict,
    set_name,
)
from tidegate.release import Observation, View, fold_view
from tidegate.release.live import LiveJudgement

REF = ServiceRef("swaggystacks", "support-chat")
NAMES = (
    set_name(REF, FILES[0], "r-0"),
    set_name(REF, FILES[1], "r-old"),
    set_name(REF, FILES[2], "r-older"),
    set_name(REF, FILES[3], "r-1"),
    set_name(REF, FILES[4], "r-oldest"),
)
"""Names of sets as the real planner gives them."""
NOW = datetime(2026, 11, 21, tzinfo=UTC)
AGES = (0.0, 20.0, 1_000.0, 100_000.0)
"""Seconds of each class of age. Every deadline of a policy here lies between two of them."""
LONG_AGO = NOW - timedelta(days=3650)
ELAPSED = NOW - timedelta(seconds=60)
"""When a mark was set whose short time has passed."""
SET_STATES = {
    "r": SetState.READY,
    "s": SetState.STARTING,
    "f": SetState.FAILED,
    "x": SetState.STOPPED,
    "a": SetState.ABSENT,
    "p": SetState.PENDING,
}
PROBED_OUT = 10_000
"""Rounds of probes after which none is due any more."""


@dataclass
class Seeing:
    """Builds views and observations. `plans` holds every plan that the real planner made, by name."""

    policy: Policy
    plans: dict[str, Plan] = field(default_factory=dict)
    service: ServiceConfig = field(init=False)
    _releases: dict[object, Release] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.service = ServiceConfig(policy=self.policy)

    def key(self, state: State) -> tuple[object, ...]:
        """Everything that the answer of `decide` may depend on."""
        silent = tuple(weight != UNROUTED for weight in state.silent)
        is_clearing = state.state in ("retiring", "rolling_back", "parked")
        return (
            *state[:KEY],
            is_confirmed(state),
            silent if is_clearing else (),
            state.streams if is_clearing else "",
            state.gateway if state.state == "warming" else (),
        )

    def release(self, state: State) -> Release:
        trigger = state.wish if state.number else "manual"
        version = "v1" if trigger == "rollback" else "v2"
        key = (state.number, state.state, state.has_lock, trigger, version)
        known = self._releases.get((key, state.plan))
        if known is None:
            known = _release(*key).model_copy(update={"plan": self.plans.get(state.plan)})
            self._releases[key, state.plan] = known
        return known

    def view(self, state: State) -> View:
        return fold_view(self.release(state), list(self._entries(state)))

    def _entries(self, state: State) -> list[JournalEntry]:
        """A journal that says the same as the state."""
        rows: list[JournalEntry] = []
        if state.plan:
            rows.append(entry("entered", "planned", at=LONG_AGO if state.overdue else NOW))
            rows.append(entry("entered", "warming", {"restarts": 0}, at=NOW))
        for gate, _, attempts in state.verdicts:
            rows += [entry("observed", f"gate:{gate}")] * attempts
        if state.is_intended and state.plan:
            rows.append(entry("intent", f"create:{self.plans[state.plan].green_set}"))
        rows += [entry("intent", f"delete:{NAMES[int(number)]}") for number in state.doomed]
        if state.parked >= 0 and state.state == "provisioning":
            rows.append(entry("entered", "parked", at=_ago(state.parked)))
        if state.state == "parked" and state.parked != state.age:
            rows.append(entry("entered", "parked", at=_ago(state.parked)))
        if state.abort:
            rows.append(entry("abort", "stop", {"actor": "ada", "trigger": state.abort}))
        rows.append(entry("entered", state.state, dict(state.data), at=_ago(state.age)))
        if state.approval and state.plan:
            rows.append(self._approval(state))
        for name, value in state.observed:
            rows += self._mark(name, value)
        return rows

    def _approval(self, state: State) -> JournalEntry:
        is_void = state.approval != "given"
        told = {
            "actor": "ada",
            "plan_digest": _digest(self.plans[state.plan]),
            "evidence_digest": "before" if is_void else "now",
        }
        return entry("note", "approve", told)

    def _mark(self, name: str, value: object) -> list[JournalEntry]:
        match name:
            case "identity":
                proven, failed, rounds = value  # type: ignore[misc]
                told = {"proven": list(proven), "failed": dict.fromkeys(failed, "another file")}
                return [entry("observed", "identity", told)] * rounds
            case "probes":
                return [entry("observed", "probes")] * PROBED_OUT
            case _:
                return [entry("observed", name, at=ELAPSED if value == "elapsed" else NOW)]

    def observation(self, state: State) -> Observation:
        plan = self.plans.get(state.plan)
        green = NAMES.index(plan.green_set) if plan else NEW
        blue = NAMES.index(plan.blue_set) if plan and plan.blue_set else None
        verdicts = {Gate(gate): Verdict(verdict) for gate, verdict, _ in state.verdicts}
        return Observation(
            now=NOW,
            lock_epoch=1 if state.has_lock else 0,
            green=status(state, green) if plan else SetStatus.absent(""),
            blue=status(state, blue) if blue is not None else None,
            route=route(state.weights),
            route_confirmed=is_confirmed(state),
            champion_digest=FILES[("v2", "v1", "v0").index(state.champion)] if state.champion else None,
            gates=verdicts,
            gate_reasons={},
            measured_gates=frozenset(),
            healthy_sets=frozenset(
                name
                for name, letter, weight in zip(NAMES, state.sets, state.gateway, strict=False)
                if letter == "r" and weight != UNROUTED
            ),
            active_requests={name: 1 for i, name in enumerate(NAMES) if str(i) in state.streams},
            live=self._look(state),
            spent_usd=1e9 if state.overspent else 0.0,
            evidence_digest="now",
            already_live=self._is_live(state),
            silent={
                name: ("g2",) for name, weight in zip(NAMES, state.silent, strict=False) if weight != UNROUTED
            },
            recorded_sets=tuple(name for i, name in enumerate(NAMES) if state.recorded[i] == "w"),
            left_sets=frozenset(name for i, name in enumerate(NAMES) if state.recorded[i] == "l"),
        )

    def _is_live(self, state: State) -> bool:
        """As the observer sees it: the wanted file has the alias and all traffic, and no plan was made yet."""
        wanted = self.release(state).request.version
        if state.plan or state.champion != wanted:
            return False
        return any(
            weight == 100 and letter == "r" and FILES[i] == file_of(wanted)
            for i, (weight, letter) in enumerate(zip(state.weights, state.sets, strict=False))
        )

    def _look(self, state: State) -> LiveJudgement | None:
        """Live requests since the weights were confirmed: none, good, harmful, or many that do not decide."""
        if not any(name == "weights" for name, _ in state.observed):
            return None
        verdict, requests = {
            "none": (Verdict.NOT_JUDGED, 0),
            "good": (Verdict.PASS, 50),
            "harm": (Verdict.FAIL, 50),
            "unsure": (Verdict.NOT_JUDGED, 50),
        }[state.look]
        row = Evidence(gate=Gate.LIVE, check="live.errors", verdict=verdict, summary=state.look)
        return LiveJudgement(verdict, state.look, (row,), requests=requests)


def _ago(age: int) -> datetime:
    return NOW - timedelta(seconds=AGES[age])


_DIGESTS: dict[int, tuple[Plan, str]] = {}


def _digest(plan: Plan) -> str:
    if id(plan) not in _DIGESTS:
        _DIGESTS[id(plan)] = (plan, plan.digest)
    return _DIGESTS[id(plan)][1]


def entry(kind: str, name: str, data: Mapping[str, object] | None = None, at: datetime = NOW) -> JournalEntry:
    return _plain(kind, name, at) if not data else _row(kind, name, data, at)


@cache
def _plain(kind: str, name: str, at: datetime) -> JournalEntry:
    return _row(kind, name, {}, at)


def _row(kind: str, name: str, data: Mapping[str, object], at: datetime) -> JournalEntry:
    return JournalEntry.model_construct(
        seq=0, release_id="r", epoch=1, kind=kind, name=name, data=dict(data or {}), at=at
    )


@cache
def _release(number: int, state: str, has_lock: bool, trigger: str, version: str) -> Release:
    return Release(
        id=f"r-{number}",
        request=ReleaseRequest(
            org=REF.org,
            service=REF.service,
            model="pipit",
            version=version,
            trigger=trigger,
            requested_by="bob",
        ),
        digest=file_of(version),
        state=ReleaseState(state),
        epoch=1 if has_lock else 0,
        reason="why",
        created_at=NOW,
        updated_at=NOW,
    )


@cache
def route(weights: Weights) -> Route | None:
    named = {NAMES[i]: weight for i, weight in enumerate(weights[:-1]) if weight != UNROUTED}
    if not named:
        return None
    upstreams = tuple(
        Upstream(set_name=name, host="h", port=1, digest=FILES[NAMES.index(name)], release_id="r")
        for name in named
    )
    mirror = Mirror(set_name=NAMES[NEW], percent=20) if weights[-1] else None
    return Route(org=REF.org, service=REF.service, upstreams=upstreams, weights=named, mirror=mirror)


def status(state: State, number: int) -> SetStatus:
    is_restarted = state.restarted and state.sets[number] in "rs" and number == NEW
    return _status(number, state.sets[number], is_restarted)


@cache
def _status(number: int, letter: str, is_restarted: bool) -> SetStatus:
    is_ready = letter == "r"
    return SetStatus(
        name=NAMES[number],
        state=SET_STATES[letter],
        digest=FILES[number] if is_ready else None,
        host="h" if is_ready else None,
        port=1 if is_ready else None,
        restarts=1 if is_restarted else 0,
    )


@cache
def spec(number: int) -> SetSpec:
    return SetSpec(
        name=NAMES[number],
        org=REF.org,
        service=REF.service,
        release_id="r",
        digest=FILES[number],
        artifact_path="/x",
    )


@cache
def version(label: str) -> ModelVersion:
    return ModelVersion(
        org=REF.org,
        name="pipit",
        version=label,
        digest=file_of(label),
        size_bytes=1,
        path="/x",
        registered_at=NOW,
    )


def file_of(label: str) -> str:
    return {"v2": FILES[NEW], "v1": FILES[OLD], "v0": FILES[2]}[label]
