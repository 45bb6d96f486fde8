"""Rollbacks and repairs on real processes: llama-server sets, Envoy, SQLite, under clients' traffic."""

import threading
from collections.abc import Iterator

import pytest
from installation import SUPPORT, Installation

from tidegate import steps
from tidegate.benchmark.traffic import TrafficClient
from tidegate.domain import Release, ReleaseRequest, ReleaseState, SetState
from tidegate.release import Step
from tidegate.release.step import PutWeights
from tidegate.steps import RollbackManager
from tidegate.steps.alerts import AlertGroup, receive
from tidegate.steps.reconcile import reconcile
from tidegate.steps.reconcile_watch import ReconcileWatch, Sweep

MOST_QUESTIONS = 8


def release(made: Installation, version: str) -> Release:
    """To its end: what a busy machine could not judge is let through by a person."""
    ended = made.release(SUPPORT, "pipit", version)
    for _ in range(MOST_QUESTIONS):
        if ended.state is not ReleaseState.HOLD:
            break
        steps.approve_release(made.ports, ended.id, "ada", f"too busy: {ended.reason}")
        steps.resume(made.ports, ended.id)
        ended = made.ports.ledger.get_release(ended.id)
    return ended


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation of its own: v2 serves the support service, and the set of v1 is warm."""
    made = Installation(tmp_path_factory.mktemp("back"))
    for file, version in (("pipit-v1", "v1"), ("pipit-v2", "v2"), ("pipit-v2-fast", "fast")):
        made.register(SUPPORT, file, version)
    assert release(made, "v1").state is ReleaseState.DONE
    # A target needs no judging, so v2 gets there in seconds; what that leaves behind is lifted.
    manager = RollbackManager(made.ports)
    assert manager.execute_rollback(SUPPORT, actor="ada", reason="begin", to=digest_of(made, "v2")).is_back
    made.ports.ledger.lift_quarantine(SUPPORT.org, digest_of(made, "v1"), actor="ada", reason="is sound")
    made.ports.ledger.lift_hold(SUPPORT, actor="ada", reason="the test begins")
    yield made
    made.close()


@pytest.fixture
def clients(live: Installation) -> Iterator[TrafficClient]:
    """Clients that must not notice anything."""
    key = live.ports.secrets.get(f"org-{SUPPORT.org}-api-key")
    assert key is not None
    client = TrafficClient(
        f"{live.url}/{SUPPORT.org}/{SUPPORT.service}/v1", key, ["What is 2 plus 3?"], rate_per_s=15
    )
    client.start()
    yield client
    over = client.stop()
    assert (over.failed, over.truncated) == (0, 0), over.failures
    assert over.ok > 0


def digest_of(live: Installation, version: str) -> str:
    return live.ports.ledger.get_version(SUPPORT.org, "pipit", version).digest


def test_warm_twice_at_once_then_parked_then_repaired(live: Installation, clients: TrafficClient) -> None:
    """One story, because each part starts where the former ended."""
    going_back_twice_at_once_is_one_rollback(live)
    a_version_without_a_set_is_started_first(live)
    drift_is_found_and_put_right(live)


def going_back_twice_at_once_is_one_rollback(live: Installation) -> None:
    v1 = digest_of(live, "v1")
    before = RollbackManager(live.ports).verify_rollback_safety(SUPPORT, v1)
    assert before.is_safe, before.preconditions
    assert before.is_warm
    outcomes = []

    def go(actor: str) -> None:
        manager = RollbackManager(live.load())
        outcomes.append(manager.execute_rollback(SUPPORT, actor=actor, reason="wrong prices", to=v1))

    threads = [threading.Thread(target=go, args=(name,)) for name in ("ada", "noor")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.release for one in outcomes}) == 1
    assert all(one.is_back and one.after.champion == "pipit:v1" for one in outcomes), outcomes
    phases = outcomes[0].phases
    assert phases.decided <= phases.published <= phases.acknowledged <= phases.over
    assert any(one.phases.traffic for one in outcomes), "new requests were seen to arrive"
    assert live.ports.ledger.hold_of(SUPPORT) is not None
    again = RollbackManager(live.ports).execute_rollback(SUPPORT, actor="ada", reason="once more")
    assert (again.way, again.after.champion) == ("none", "pipit:v1")


def a_version_without_a_set_is_started_first(live: Installation) -> None:
    """Its set was removed: made anew from the store, and proven before it gets traffic."""
    live.ports.ledger.lift_quarantine(SUPPORT.org, digest_of(live, "v2"), actor="ada", reason="was fine")
    gone = [
        one for one in RollbackManager(live.ports).snapshot_current_state(SUPPORT).sets if one.weight == 0
    ]
    for one in gone:
        live.ports.platforms["local"].stop(one.name)
        while any(one.name in gateway.healthy_sets for gateway in live.ports.ledger.gateways()):
            threading.Event().wait(0.05)
    manager = RollbackManager(live.ports)
    safety = manager.verify_rollback_safety(SUPPORT, digest_of(live, "v2"))
    assert (safety.is_safe, safety.is_warm) == (True, False), safety.preconditions
    outcome = manager.execute_rollback(SUPPORT, actor="ada", reason="v2 was right", to=digest_of(live, "v2"))
    assert outcome.is_back, outcome
    assert outcome.after.champion == "pipit:v2"
    entered = [e.name for e in live.ports.ledger.entries(str(outcome.release)) if e.kind == "entered"]
    assert entered.index("provisioning") < entered.index("shifting") < entered.index("committing")


def drift_is_found_and_put_right(live: Installation) -> None:
    """A lost spare set, an alias somebody moved, and weights that no release left: sweeps put all of it right."""
    ledger, platform = live.ports.ledger, live.ports.platforms["local"]
    route = ledger.get_route(SUPPORT)
    assert route is not None
    epoch = ledger.current_epoch(SUPPORT)
    v1 = ledger.get_version(SUPPORT.org, "pipit", "v1")
    ledger.set_alias(SUPPORT, "champion", v1, actor="someone", reason="by hand", epoch=epoch)
    (serving,) = [name for name, weight in route.weights.items() if weight == 100]
    for name in set(route.weights) - {serving}:
        platform.stop(name)
    drifted = route.model_copy(update={"weights": dict.fromkeys(route.weights, 50)})
    if len(route.weights) == 2:
        ledger.put_route(drifted, epoch=epoch)
    report = reconcile(live.load())
    assert any("champion" in line for line in report.repaired), report
    kinds = {finding.kind for finding in ledger.findings(only_open=False)}
    assert "alias.drift" in kinds
    champion = ledger.get_alias(SUPPORT, "champion")
    assert champion is not None
    assert champion.version == "v2"
    now = ledger.get_route(SUPPORT)
    assert now is not None
    assert now.weights[serving] == 100
    assert platform.status(serving).state is SetState.READY
    reconcile(live.load())
    assert not [one for one in ledger.findings() if one.kind in ("alias.drift", "weights.drift")]


def test_an_alert_stops_the_release_that_it_names_and_traffic_stays(
    live: Installation, clients: TrafficClient
) -> None:
    """A fast release at half of the traffic; its owner is in the middle of it."""
    answers = []

    def alarm(release: object, step: Step) -> None:
        if isinstance(step, PutWeights) and 50 in step.weights.values() and not answers:
            alert = {
                "status": "firing",
                "labels": {"alertname": "Slow", "tidegate_service": str(SUPPORT)},
                "startsAt": live.ports.clock().isoformat(),
                "fingerprint": "f-1",
            }
            group = AlertGroup.model_validate({"version": "4", "alerts": [alert]})
            answers.extend(receive(live.load(), group))

    live.ports.on_step = alarm
    try:
        ended = release(live, "fast")
    finally:
        live.ports.on_step = lambda release, step: None
    assert [one.action for one in answers] == ["rolled_back"]
    assert answers[0].release == ended.id
    assert ended.state is ReleaseState.ROLLED_BACK
    assert "alert Slow" in ended.reason
    assert RollbackManager(live.ports).snapshot_current_state(SUPPORT).champion == "pipit:v2"


def test_two_reconcilers_finish_the_release_of_a_dead_owner_once(live: Installation) -> None:
    """Its owner said its last word; both loops see it, one drives it, and nobody is harmed."""
    request = ReleaseRequest(org=SUPPORT.org, service=SUPPORT.service, model="pipit", version="fast")
    wish = steps.request_release(live.ports, request)
    assert live.ports.ledger.acquire_lock(SUPPORT, wish.id)
    steps.stop_release(live.ports, wish.id, "ada", "enough for this test")
    stop = threading.Event()
    sweeps: list[Sweep] = []

    def tell(sweep: Sweep) -> None:
        sweeps.append(sweep)
        if live.ports.ledger.get_release(wish.id).is_over:
            stop.set()

    loops = [
        threading.Thread(target=ReconcileWatch(live.load(), stop, interval_s=0.1, tell=tell).run)
        for _ in range(2)
    ]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()
    entries = live.ports.ledger.entries(wish.id)
    ends = [one for one in entries if one.kind == "entered" and one.name in ("rejected", "rolled_back")]
    assert len(ends) == 1, [(one.kind, one.name) for one in entries]
    assert not [sweep.error for sweep in sweeps if sweep.error]
