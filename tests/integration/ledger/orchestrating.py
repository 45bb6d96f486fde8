"""Jobs of `rivals.py`: orchestrators of one service in processes of their own, with a platform in a folder.

The platform is files, so that both processes see the same sets; the gateway is a process that confirms what it reads.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tidegate.domain import (
    Evidence,
    Fenced,
    Gate,
    GatewayStatus,
    LiveBatch,
    Policy,
    Release,
    ReleaseState,
    ServiceConfig,
    SetSpec,
    SetState,
    SetStatus,
    Verdict,
)
from tidegate.domain.policy import LiveMetrics, LivePolicy, Rung, ShiftPolicy
from tidegate.ledger.ledger import Ledger
from tidegate.release import Controller, Step
from tidegate.release.step import Stop, Wait

POLL_S = 0.02
MEASURE_S = 0.25
DEADLINE_S = 240.0
NOT_ASKED = (
    "attempts",
    "truncated",
    "empty",
    "malformed",
    "stalls",
    "stops",
    "ttft_p50",
    "itl_p50",
    "length",
)
POLICY = Policy(
    shift=ShiftPolicy(ladder=(Rung(weight=50), Rung(weight=100)), look_s=0, min_requests=1, bake_s=0),
    live=LivePolicy(metrics=LiveMetrics(errors=0.2, **dict.fromkeys(NOT_ASKED)), when_thin="hold"),
)


@dataclass(frozen=True)
class FolderPlatform:
    """One file for each set; what was made and removed is told in `log`, a line each."""

    folder: Path
    name: str = "folder"

    def create(self, spec: SetSpec) -> SetStatus:
        with suppress(FileExistsError), (self.folder / f"{spec.name}.set").open("x") as made:
            made.write(spec.digest)
            self._tell(f"create {spec.name}")
        return self.status(spec.name)

    def start(self, name: str) -> SetStatus:
        return self.status(name)

    def status(self, name: str) -> SetStatus:
        path = self.folder / f"{name}.set"
        if not path.exists():
            return SetStatus.absent(name)
        # A digest that is not written yet is a set that is not ready yet.
        digest = path.read_text()
        state = SetState.READY if digest else SetState.STARTING
        return SetStatus(name=name, state=state, digest=digest or None, host="127.0.0.1", port=9)

    def delete(self, name: str) -> None:
        (self.folder / f"{name}.set").unlink(missing_ok=True)
        self._tell(f"delete {name}")

    def price_per_hour_usd(self, spec: SetSpec) -> float:
        return 0.0

    def _tell(self, line: str) -> None:
        with (self.folder / "log").open("a") as log:
            log.write(line + "\n")


class PassingChecks:
    """Everything is in order: these tests are about who may write it down."""

    required = {gate: frozenset({"c"}) for gate in Gate}  # noqa: RUF012

    def run(self, gates: Sequence[Gate], release: Release) -> list[Evidence]:
        return [Evidence(gate=gate, check="c", verdict=Verdict.PASS, summary="fine") for gate in gates]

    def send_probes(self, release: Release, set_name: str, count: int) -> int:
        return count

    def prove_identity(self, release: Release, sets: Sequence[str]) -> dict[str, Any]:
        return {"proven": list(sets), "failed": {}, "open": {}}

    def switch_under_streams(self, release: Release, switch: Callable[[], None]) -> dict[str, Any]:
        switch()
        return {"seconds": 0.0, "streams": 0, "lost": 0, "truncated": 0}

    def spent_usd(self, release: Release) -> float:
        return 0.0


def controller(
    ledger: Ledger,
    folder: str,
    owner: str,
    on_step: Callable[[Release, Step], None] = lambda release, step: None,
) -> Controller:
    return Controller(
        ledger=ledger,
        platform=FolderPlatform(Path(folder)),
        checks=PassingChecks(),
        service=ServiceConfig(policy=POLICY),
        owner=owner,
        on_step=on_step,
    )


@dataclass
class Turn:
    """One owner's time with a release: one step, and one more that comes too late."""

    ledger: Ledger
    release: str
    folder: str
    epoch: int = 0
    steps: list[str] = field(default_factory=list)

    def is_over(self) -> bool:
        return self.ledger.get_release(self.release).is_over

    def sit(self, found: Release, step: Step) -> None:
        """Before the second step: wait until somebody else has the service, and then make it all the same."""
        if isinstance(step, Wait | Stop):
            return
        self.steps.append(type(step).__name__)
        if len(self.steps) > 1:
            (Path(self.folder) / f"sits-{self.epoch}").touch()
            wait_until(lambda: self.ledger.current_epoch(found.ref) != self.epoch or self.is_over())


def contend(ledger: Ledger, release: str, folder: str, owner: str) -> dict[str, list[str]]:
    """Take turns with the other one until the release is over; tells the kinds of step that were refused."""
    refused: list[str] = []
    while not (turn := Turn(ledger, release, folder)).is_over():
        driver = controller(ledger, folder, owner, turn.sit)
        with suppress(Fenced):
            driver.take_over(release)
            turn.epoch = driver.epoch_of(release)
            driver.drive(release, frozenset(ReleaseState))
            continue
        refused += turn.steps[-1:]
        wait_for_the_other(turn)
    return {"refused": refused}


def wait_for_the_other(turn: Turn) -> None:
    """It has made its step and sits. Without this, both could push each other aside for ever."""
    ref = turn.ledger.get_release(turn.release).ref
    wait_until(
        lambda: turn.is_over() or (Path(turn.folder) / f"sits-{turn.ledger.current_epoch(ref)}").exists()
    )


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "the other orchestrator did nothing any more"
        time.sleep(POLL_S)


def healthy_traffic(name: str, now: datetime) -> LiveBatch:
    return LiveBatch(
        gateway="g",
        org="acme",
        service="chat",
        set_name=name,
        started_at=now,
        ended_at=now,
        requests=500,
        attempts=500,
    )


def gateway(ledger: Ledger, releases: list[str], folder: str) -> int:
    """Confirm whatever is wanted, until all releases are over; tells how many generations it saw."""
    seen, measured = set[int](), datetime.min.replace(tzinfo=UTC)
    while not all(ledger.get_release(release).is_over for release in releases):
        generation, now = ledger.generation(), datetime.now(UTC)
        sets = tuple(path.stem for path in Path(folder).glob("*.set"))
        seen.add(generation)
        if now - measured > timedelta(seconds=MEASURE_S):
            ledger.record_live([healthy_traffic(name, now) for name in sets])
            measured = now
        ledger.report_gateway(
            GatewayStatus(gateway="g", observed_generation=generation, seen_at=now, healthy_sets=sets)
        )
        time.sleep(POLL_S)
    return len(seen)
