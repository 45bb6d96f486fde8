"""What Tidegate itself adds to a release: wall time minus model load, probe, benchmark and look windows.

    python -m benchmarks.release_overhead [--releases 3]

Needs a running stack (`tidegate up`). Releases the demo models v2 and v2-fast of swaggystacks/support-chat in
turn through Prefect, as a user would, and reads the journal. Prints a table and one line of JSON.
"""

import argparse
import itertools
import json
import platform
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

from tidegate import steps, wiring
from tidegate.access import PREFECT_AUTH
from tidegate.domain import JournalEntry, Release, ReleaseRequest, ReleaseState, ServiceRef
from tidegate.stack.launching import running_stack
from tidegate.stack.prefect_api import PrefectApi
from tidegate.steps import Ports

SERVICE = ServiceRef("swaggystacks", "support-chat")
MODELS = Path(__file__).resolve().parents[1] / "deployments" / "demo" / "models"
VERSIONS = ("v2", "v2-fast")
DEADLINE_S = 240.0
# Time spent in these states is a window that the policy or the model asks for, not overhead of ours.
WINDOWS = ("provisioning", "warming", "judging", "shifting", "baking")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--releases", type=int, default=3, help="releases to measure (default 3)")
    arguments = parser.parse_args()
    ports = wiring.load()
    record = running_stack(ports.settings.home)
    if record is None:
        raise SystemExit("The stack is not up. Run: tidegate up")
    for version in VERSIONS:
        steps.register_model(ports, SERVICE.org, "pipit", version, MODELS / f"pipit-{version}.gguf")
    rows: list[dict[str, float]] = []
    with PrefectApi(f"{record.urls['prefect']}/api", ports.secrets.get(PREFECT_AUTH)) as api:
        release_one(ports, api, _other(ports))
        for _ in range(arguments.releases):
            rows.append(release_one(ports, api, _other(ports)))
            print(f"release {len(rows)}: {rows[-1]}", flush=True)
    summary = {
        name: {"median": statistics.median(values), "min": min(values), "max": max(values)}
        for name in rows[0]
        if (values := [row[name] for row in rows])
    }
    for name, value in summary.items():
        print(f"{name:<22} {value['median']:7.2f} s   ({value['min']:.2f} to {value['max']:.2f})")
    print(json.dumps({"date": datetime.now(UTC).isoformat(), "machine": platform.processor() or platform.machine(),
                      "releases": len(rows), **summary}))  # fmt: skip


def _other(ports: Ports) -> str:
    champion = ports.ledger.get_alias(SERVICE, "champion")
    return VERSIONS[1] if champion is not None and champion.version == VERSIONS[0] else VERSIONS[0]


def release_one(ports: Ports, api: PrefectApi, version: str) -> dict[str, float]:
    """Release one version through Prefect and split its wall time."""
    request = ReleaseRequest(org=SERVICE.org, service=SERVICE.service, model="pipit", version=version)
    began = datetime.now(UTC)
    run = api.create_flow_run(
        "release/release", {"request": request.model_dump()}, idempotency_key=str(began)
    )
    release = wait_over(ports, run.id, began)
    entries = ports.ledger.entries(release.id)
    wall = (entries[-1].at - began).total_seconds()
    windows = time_in(entries, WINDOWS)
    return {
        "wall": wall,
        "windows": windows,
        "start of the run": (entries[0].at - began).total_seconds(),
        "inference check": time_in_gate(entries),
        "overhead": wall - windows,
    }


def wait_over(ports: Ports, run_id: str, began: datetime) -> Release:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        newest = ports.ledger.list_releases(ref=SERVICE, limit=1)
        if newest and newest[0].created_at >= began and newest[0].is_over:
            if newest[0].state is not ReleaseState.DONE:
                raise SystemExit(f"release {newest[0].id} ended {newest[0].state.value}: {newest[0].reason}")
            return newest[0]
        time.sleep(0.05)
    raise SystemExit(f"run {run_id} did not finish within {DEADLINE_S:.0f} s")


def time_in(entries: list[JournalEntry], states: tuple[str, ...]) -> float:
    """Seconds between entering each of these states and leaving it."""
    entered = [entry for entry in entries if entry.kind == "entered"]
    return sum(
        (after.at - before.at).total_seconds()
        for before, after in itertools.pairwise(entered)
        if before.name in states
    )


def time_in_gate(entries: list[JournalEntry]) -> float:
    """Seconds of the inference gate: dispatch to the pool, start of its process, load, three answers."""
    named = {entry.name: entry.at for entry in entries if entry.kind == "observed"}
    start, end = named.get("gate:structure"), named.get("gate:inference")
    return (end - start).total_seconds() if start and end else 0.0


if __name__ == "__main__":
    main()
