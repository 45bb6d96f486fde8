"""How long a rollback takes: warm, and to a set that must be started first. Under client traffic, repeated.

    python -m benchmarks.rollback_time [--repeat 20]

A home of its own with the real gateway (Envoy), real llama-server sets and the real ledger. Two versions serve in turn:
each repetition rolls back from one to the other. Every phase is counted from the decision; `traffic_99` is when 99 of
100 questions through the gateway, one every few milliseconds, reached the target. Clients stream all the while.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from tidegate import steps, wiring
from tidegate.benchmark.traffic import TrafficClient
from tidegate.domain import ReleaseRequest, ReleaseState, ServiceRef
from tidegate.settings import SOURCE_ROOT, Settings
from tidegate.stack.port_choice import choose_ports
from tidegate.steps import Ports, RollbackManager, RollbackOutcome

REF = ServiceRef("swaggystacks", "support-chat")
MODELS = SOURCE_ROOT / "deployments" / "demo" / "models"
PHASES = ("published", "acknowledged", "traffic_99", "over")
TARGET_S = 1.0
"""Warm: from the decision to 99 % of new requests."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=20, help="warm rollbacks")
    parser.add_argument("--parked", type=int, default=3, help="rollbacks to a set that was stopped")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tg-back-") as folder:
        return measure(Path(folder), arguments.repeat, arguments.parked)


def measure(home: Path, repeat: int, parked: int) -> int:
    settings = Settings(
        home=home,
        ledger_url=f"sqlite:///{home / 'ledger.sqlite3'}",
        deployments_dir=SOURCE_ROOT / "deployments",
        runtime_dir=home / "run",
    )
    port = choose_ports(home, {"gateway": 18080}, "127.0.0.1")["gateway"]
    stop = threading.Event()
    threads = [
        threading.Thread(target=wiring.run_gateway_agent, args=(settings, stop), kwargs={"port": port}),
        threading.Thread(target=wiring.run_platform_agent, args=(settings, stop)),
    ]
    for thread in threads:
        thread.start()
    ports = wiring.load(settings)
    ports.gateway_url = lambda: f"http://127.0.0.1:{port}"
    wiring.provision_secrets(ports)
    try:
        release_both(ports)
        key = ports.secrets.get(f"org-{REF.org}-api-key")
        assert key is not None
        client = TrafficClient(f"{ports.gateway_url()}/{REF}/v1", key, ["What is 2 plus 3?"], rate_per_s=10)
        client.start()
        warm = [back(ports) for _ in range(repeat)]
        cold = [back(ports, is_parked=True) for _ in range(parked)]
        return report(warm, cold, client)
    finally:
        for status in ports.platforms["local"].list_owned():
            ports.platforms["local"].delete(status.name)
        stop.set()
        for thread in threads:
            thread.join()


def release_both(ports: Ports) -> None:
    """v1 through its gates; v2 as a target that has no set yet: a rollback asks for no judging."""
    for version in ("v1", "v2"):
        steps.register_model(ports, REF.org, "pipit", version, MODELS / f"pipit-{version}.gguf")
    wish = steps.request_release(
        ports, ReleaseRequest(org=REF.org, service=REF.service, model="pipit", version="v1")
    )
    ended = steps.resume(ports, wish.id)
    while ended.state is ReleaseState.HOLD:
        # A busy machine cannot judge speed; that is not what is measured here.
        steps.approve_release(ports, wish.id, "benchmark", ended.reason)
        ended = steps.resume(ports, wish.id)
    assert ended.state is ReleaseState.DONE, ended.reason
    v2 = ports.ledger.get_version(REF.org, "pipit", "v2")
    first = RollbackManager(ports).execute_rollback(
        REF, actor="benchmark", reason="a second set", to=v2.digest
    )
    assert first.is_back, first.reason


def back(ports: Ports, *, is_parked: bool = False) -> RollbackOutcome:
    """To the other version. What the last repetition left is let out of quarantine first."""
    for one in ports.ledger.list_quarantine(REF.org):
        ports.ledger.lift_quarantine(REF.org, one.digest, actor="benchmark", reason="another repetition")
    manager = RollbackManager(ports)
    here = manager.snapshot_current_state(REF)
    spare = next(one for one in here.sets if one.weight == 0)
    if is_parked:
        ports.platforms["local"].stop(spare.name)
        # Parked for a while: gateways know that it does not answer.
        while any(spare.name in one.healthy_sets for one in ports.ledger.gateways()):
            time.sleep(0.05)
    outcome = manager.execute_rollback(REF, actor="benchmark", reason="measured", to=spare.digest)
    assert outcome.is_back, outcome.reason
    return outcome


def report(warm: list[RollbackOutcome], cold: list[RollbackOutcome], client: TrafficClient) -> int:
    print(f"{'':10}{'phase':>14}{'n':>5}{'min':>9}{'median':>9}{'max':>9}   seconds after the decision")
    for name, outcomes in (("warm", warm), ("parked", cold)):
        for phase in PHASES:
            found = [
                one.phases.seconds()[phase]
                for one in outcomes
                if one.phases and phase in one.phases.seconds()
            ]
            if found:
                print(
                    f"{name:10}{phase:>14}{len(found):>5}{min(found):>9.3f}{statistics.median(found):>9.3f}"
                    f"{max(found):>9.3f}"
                )
    over = client.stop()
    print(f"clients: {over.ok} answered, {over.failed} failed, {over.truncated} truncated")
    slowest = max(one.phases.seconds().get("traffic_99", float("inf")) for one in warm if one.phases)
    is_good = slowest < TARGET_S and over.failed == over.truncated == 0
    print(f"slowest warm rollback: {slowest:.3f} s to 99 % of new requests; target {TARGET_S:g} s")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
