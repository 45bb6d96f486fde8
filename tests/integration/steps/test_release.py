"""Releases on real processes: llama-server sets, Envoy, SQLite. Only Prefect is left out here."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from installation import SUPPORT, Installation

from tidegate import steps
from tidegate.benchmark.traffic import TrafficClient
from tidegate.domain import Gate, Release, ReleaseRequest, ReleaseState, SetState, Verdict
from tidegate.domain.names import ServiceRef
from tidegate.release import Step
from tidegate.release.step import PutWeights
from tidegate.steps.reconcile import reconcile

RESEARCH = ServiceRef("scientiacapital", "research-desk")
MIN_PROCESSES, MAX_PROCESSES = 20, 90


def traffic(installation: Installation, ref: ServiceRef) -> TrafficClient:
    key = installation.ports.secrets.get(f"org-{ref.org}-api-key")
    assert key is not None
    url = f"{installation.url}/{ref.org}/{ref.service}/v1"
    return TrafficClient(url, key, ["What is the capital of France?", "What is 2 plus 3?"], rate_per_s=30)


@pytest.fixture(scope="module")
def live(installation: Installation) -> Installation:
    """The support service with v1 live."""
    for file, version in (
        ("pipit-v1", "v1"),
        ("pipit-v2", "v2"),
        ("pipit-v3-regressed", "v3"),
        ("pipit-v2-fast", "fast"),
    ):
        installation.register(SUPPORT, file, version)
    assert installation.release(SUPPORT, "pipit", "v1").state is ReleaseState.DONE
    return installation


def live_version(installation: Installation, ref: ServiceRef = SUPPORT) -> dict[str, int]:
    route = installation.ports.ledger.get_route(ref)
    assert route is not None
    named = {}
    for upstream in route.upstreams:
        version = installation.ports.ledger.version_by_digest(ref.org, upstream.digest)
        assert version is not None
        if route.weights[upstream.set_name]:
            named[version.version] = route.weights[upstream.set_name]
    return named


UNTIMED: dict[str, float | None] = {"ttft_p50": None, "itl_p50": None}
"""All at once leaves no old set to compare with: what was usual before says nothing on a machine that others use."""
UNHURRIED = {"when_not_judged": "pass"}
"""A machine that is busy with other tests measures itself; what these tests ask comes after that."""
TIMED = {"ttft_p50": 1.0, "itl_p50": 1.0}


def shifted(installation: Installation, release: Release) -> list[int]:
    """Shares that the release gave to its new set while it was judged by live traffic."""
    entries = installation.ports.ledger.entries(release.id)
    return [entry.data["weight"] for entry in entries if entry.name == "shifting"]


def test_promotion_refusal_lost_set_and_rollback_cost_clients_nothing(live: Installation) -> None:
    """One story under load, because each part starts where the former ended."""
    client = traffic(live, SUPPORT)
    client.start()
    try:
        live.want(
            SUPPORT,
            {
                "performance": UNHURRIED,
                "shift": {"strategy": "all_at_once"},
                "live": {"metrics": UNTIMED},
            },
        )
        at_once = live.release(SUPPORT, "pipit", "v2")
        assert at_once.state is ReleaseState.DONE, at_once.reason
        assert shifted(live, at_once) == [100]
        assert live_version(live) == {"v2": 100}
        live.want(SUPPORT, {"shift": {"strategy": "linear", "linear_step": 50}, "live": {"metrics": TIMED}})

        refused = live.release(SUPPORT, "pipit", "v3")
        assert refused.state is ReleaseState.ROLLED_BACK
        assert "capital" in refused.reason
        assert "shifting" not in {entry.name for entry in live.ports.ledger.entries(refused.id)}
        rows = live.ports.ledger.evidence(refused.id, Gate.QUALITY)
        assert {row.check for row in rows if row.verdict is Verdict.FAIL} >= {"quality.topics"}
        assert live.release(SUPPORT, "pipit", "v3").state is ReleaseState.REJECTED, "quarantined"
        unharmed = client.snapshot()
        assert (unharmed.failed, unharmed.truncated) == (0, 0), unharmed.failures

        lost = release_and_kill_its_set(live)
        assert lost.state is ReleaseState.ROLLED_BACK
        assert shifted(live, lost) == [50], "the steps of a linear release, of which it saw the first"
        assert live.ports.ledger.quarantine_reason("swaggystacks", lost.digest) is None
        assert live_version(live) == {"v2": 100}

        # By name: so soon after a way back, a wish without one means the same harm and changes nothing.
        first = live.ports.ledger.get_version("swaggystacks", "pipit", "v1").digest
        manager = steps.RollbackManager(live.ports)
        back = manager.execute_rollback(SUPPORT, actor="ada", reason="try the way back", to=first)
        assert back.is_back, back
        assert live_version(live) == {"v1": 100}
    finally:
        over = client.stop()
    killed = lost.plan.green_set if lost.plan else ""
    unexplained = [ended for ended in over.failures if ended.set_name not in (killed, None)]
    assert not unexplained
    assert over.ok > 200


def release_and_kill_its_set(live: Installation):
    """Release a good version; its engine is killed when half of the traffic is on it."""
    killed: list[str] = []

    def kill(release: object, step: Step) -> None:
        if isinstance(step, PutWeights) and 50 in step.weights.values() and not killed:
            platform = live.ports.platforms["local"]
            green = live.ports.ledger.get_release(release.id).plan.green_set  # type: ignore[attr-defined, union-attr]
            killed.append(green)
            platform.crash(green)  # type: ignore[attr-defined]

    live.ports.on_step = kill
    try:
        return live.release(SUPPORT, "pipit", "fast")
    finally:
        live.ports.on_step = lambda release, step: None
        assert killed


def another_good_version(live: Installation) -> str:
    """As good as any, and not what serves. A rollback away from it is what other tests do to it."""
    version = "v2" if live_version(live) == {"fast": 100} else "fast"
    digest = live.ports.ledger.get_version(SUPPORT.org, "pipit", version).digest
    if live.ports.ledger.quarantine_reason(SUPPORT.org, digest) is not None:
        live.ports.ledger.lift_quarantine(SUPPORT.org, digest, actor="ada", reason="is sound")
    return version


def run_in_processes(
    installation: Installation, ref: ServiceRef, model: str, version: str, *, steps: int, processes: int
) -> list[int]:
    """Exit codes of the processes that each made so many steps of the release and were killed."""
    script = Path(__file__).with_name("release_process.py")
    wish = [
        str(installation.settings.home),
        installation.url,
        *ref,
        model,
        version,
        str(steps),
        str(processes),
    ]
    done = subprocess.run(
        [sys.executable, str(script), *wish], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.splitlines() if line.lstrip("-").isdigit()]


def test_killed_after_every_single_step_the_same_request_finishes_the_same_release(
    installation: Installation,
) -> None:
    """SIGKILL after every step: each process makes one step of the release and is killed before the next."""
    installation.register(RESEARCH, "tern-v1", "v1")
    codes = run_in_processes(installation, RESEARCH, "tern", "v1", steps=1, processes=MAX_PROCESSES)
    assert codes == [-9] * (len(codes) - 1) + [0]
    held = installation.ports.ledger.list_releases(ref=RESEARCH)[0]
    assert held.state is ReleaseState.AWAIT_APPROVAL, "this organization's policy wants a person's word"
    steps.approve_release(installation.ports, held.id, "noor", "read the answers")
    codes = codes[:-1] + run_in_processes(
        installation, RESEARCH, "tern", "v1", steps=1, processes=MAX_PROCESSES
    )
    assert len(codes) > MIN_PROCESSES, "a release has more steps than that"
    assert codes == [-9] * (len(codes) - 1) + [0]
    assert len(installation.ports.ledger.list_releases(ref=RESEARCH)) == 1, "always the same release"
    assert installation.ports.ledger.list_releases(ref=RESEARCH)[0].state is ReleaseState.DONE
    assert live_version(installation, RESEARCH) == {"v1": 100}
    mine = [
        s
        for s in installation.ports.platforms["local"].list_owned()
        if s.name.startswith("scientiacapital--")
    ]
    assert [status.state for status in mine] == [SetState.READY], "one set, created once"


def test_reconcile_finishes_a_release_whose_owner_died(
    installation: Installation, live: Installation
) -> None:
    """Needs no request: the silent owner is fenced off and its release driven to the end."""
    target = another_good_version(live)
    assert run_in_processes(live, SUPPORT, "pipit", target, steps=9, processes=1) == [-9]
    active = live.ports.ledger.active_release(SUPPORT)
    if active is None:
        pytest.fail("the release was over before its process was killed")
    # At once: its owner died a moment ago, and nobody comes back to look again.
    ports = live.load()
    report = reconcile(ports)
    assert any(active.id in line for line in report.resumed), report
    assert live.ports.ledger.get_release(active.id).is_over


def test_reconcile_leaves_a_release_to_an_owner_that_lives(
    installation: Installation, live: Installation
) -> None:
    request = ReleaseRequest(org=SUPPORT.org, service=SUPPORT.service, model="pipit", version="v1")
    wish = steps.request_release(live.ports, request)
    assert live.ports.ledger.acquire_lock(SUPPORT, wish.id)
    over = threading.Event()

    def live_on() -> None:
        while not over.wait(0.2):
            live.ports.ledger.heartbeat(wish.id, "another process")

    live.ports.ledger.heartbeat(wish.id, "another process")
    owner = threading.Thread(target=live_on)
    owner.start()
    try:
        assert wish.id in reconcile(live.load()).left_to_owner
    finally:
        over.set()
        owner.join()
    steps.stop_release(live.ports, wish.id, "ada", "the test is over")
    assert steps.resume(live.ports, wish.id).state is ReleaseState.REJECTED


def test_sampled_requests_proofs_of_every_file_and_a_rehearsal_lead_to_a_release(live: Installation) -> None:
    """Clients' own requests are sampled and replayed, and the way back is rehearsed before the commit."""
    live.want(
        SUPPORT,
        {
            "performance": UNHURRIED,
            "replay": {"pairs": 40, "max_slowdown": 50, "floor_ms": 5000},
            "shift": {
                "strategy": "shadow_then_canary",
                "shadow_percent": 100,
                "shadow_s": 2,
                "shadow_margin": 0.2,
                "rehearse": True,
                "max_switch_s": 60,
                "ladder": [50, 100],
                "step_deadline_s": 300,
            },
        },
    )
    client = traffic(live, SUPPORT)
    client.start()
    try:
        deadline = time.monotonic() + 300
        while len(kept := live.ports.ledger.captured(SUPPORT)) < 40:
            assert time.monotonic() < deadline, f"{len(kept)} of {client.snapshot()} were sampled"
            time.sleep(0.1)
        assert not any(b"capital" in one.sealed for one in kept)
        done = live.release(SUPPORT, "pipit", another_good_version(live))
    finally:
        over = client.stop()
    assert done.state is ReleaseState.DONE, done.reason
    assert (over.failed, over.truncated) == (0, 0), over.failures

    rows = {row.check: row for row in live.ports.ledger.evidence(done.id)}
    assert rows["replay.errors"].samples == 40
    assert (rows["shadow.errors"].samples or 0) >= 20, "copies of clients' requests, before any client"
    for check in ("rehearsal.back", "rehearsal.forth"):
        assert rows[check].data["lost"] == rows[check].data["truncated"] == 0, rows[check]
        assert rows[check].data["streams"] > 0
    proofs = [entry.data for entry in live.ports.ledger.entries(done.id) if entry.name == "identity"]
    assert len(proofs) >= 3, "at two steps, and before anything is removed"
    assert not any(proof["failed"] or proof["open"] for proof in proofs)
