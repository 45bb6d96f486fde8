"""Runs the checks of the gates for a release. Quality and inference go to the GPU runner, the rest runs here."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tidegate.benchmark import PERFORMANCE_CHECKS
from tidegate.domain import Evidence, Gate, Release, Transient
from tidegate.probes import IDENTITY_CHECKS, PROBE_CHECKS, probe_endpoint
from tidegate.quality import QUALITY_CHECKS
from tidegate.replay.judge import REPLAY_CHECKS
from tidegate.replay.shadow import SHADOW_CHECKS
from tidegate.steps.artifacts import check_structure, file_subject, prompts_of, service_bank
from tidegate.steps.authorization import AUTHORIZATION_CHECKS, check_authorization
from tidegate.steps.costs import release_cost
from tidegate.steps.identity import WORKERS_CHECK, IdentityRound, workers_row
from tidegate.steps.live_probes import LiveProbes
from tidegate.steps.performance import PerformanceCheck, is_stopped
from tidegate.steps.ports import GpuJob, GpuRunner, GpuWork, Ports
from tidegate.steps.rehearsal import REHEARSAL_CHECKS, Rehearsal, rehearsal_rows
from tidegate.steps.replay_gate import ReplayGate
from tidegate.steps.shadow import ShadowCheck
from tidegate.steps.targets import probe_target
from tidegate.validation import INFERENCE_CHECKS, STRUCTURE_CHECKS

REQUIRED: Mapping[Gate, frozenset[str]] = {
    Gate.AUTHORIZATION: AUTHORIZATION_CHECKS,
    Gate.STRUCTURE: STRUCTURE_CHECKS,
    Gate.INFERENCE: INFERENCE_CHECKS,
    Gate.IDENTITY: IDENTITY_CHECKS | {WORKERS_CHECK},
    Gate.PROBES: PROBE_CHECKS,
    Gate.PERFORMANCE: PERFORMANCE_CHECKS,
    Gate.QUALITY: QUALITY_CHECKS,
    Gate.REPLAY: REPLAY_CHECKS,
    Gate.SHADOW: SHADOW_CHECKS,
    Gate.REHEARSAL: REHEARSAL_CHECKS,
}
log = logging.getLogger(__name__)
ON_REQUEST = frozenset({Gate.REPLAY, Gate.SHADOW, Gate.REHEARSAL})
"""Gates of releases whose policy wants them. The others are of every release."""
SPENT_KNOWN_S = 30.0
"""A bill is asked for so often: it changes by the hour, and a release is looked at many times a second."""
GPU_GATES: Mapping[Gate, GpuWork] = {Gate.INFERENCE: "inference", Gate.QUALITY: "quality"}


class ReleaseChecks:
    """The `Checks` port of the controller."""

    required: Mapping[Gate, frozenset[str]] = REQUIRED

    def __init__(self, ports: Ports, gpu: GpuRunner):
        self._ports = ports
        self._gpu = gpu
        self._spent: dict[str, tuple[float, float]] = {}
        self._probes = LiveProbes(ports)

    def run(self, gates: Sequence[Gate], release: Release) -> list[Evidence]:
        """Rows of these gates. One after the other: a bank that is asked meanwhile would slow one arm of the
        benchmark and not the other."""
        rows = self._run_here(gates, release)
        for gate in gates:
            if gate in GPU_GATES and not is_stopped(self._ports, release):
                rows += evidence_of(self._start(gate, release).wait())
        return [row for row in rows if row.gate in gates]

    def _start(self, gate: Gate, release: Release) -> GpuJob:
        """An owner that took over finds the work its predecessor began; a judged gate is asked anew. The attempt
        names the release: what an earlier one of the same file found was found under the policy of its time."""
        entries = self._ports.ledger.entries(release.id)
        attempt = sum(
            1 for entry in entries if entry.kind == "observed" and entry.name == f"gate:{gate.value}"
        )
        subject = release.id if gate is Gate.QUALITY else file_subject(release.ref, release.digest)
        return self._gpu.start(GPU_GATES[gate], subject, f"{release.id}-{attempt}")

    def send_probes(self, release: Release, sets: Sequence[str], count: int) -> int:
        return self._probes.send(release, sets, self._prompts(release), count)

    def prove_identity(self, release: Release, sets: Sequence[str]) -> dict[str, Any]:
        return IdentityRound(self._ports, release).prove(sets)

    def switch_under_streams(self, release: Release, switch: Callable[[], None]) -> dict[str, Any]:
        return Rehearsal(self._ports, release).switch(switch)

    def spent_usd(self, release: Release) -> float:
        """As the platforms bill it, and at the most that it can be where they did not yet."""
        at, known = self._spent.get(release.id, (-SPENT_KNOWN_S, 0.0))
        now = time.monotonic()
        if release.id not in self._spent or now - at >= SPENT_KNOWN_S:
            known = self._asked_usd(release, known)
            self._spent[release.id] = now, known
        return known

    def _asked_usd(self, release: Release, known: float) -> float:
        """What was known, while a vendor cannot be asked: harm must be acted upon all the same."""
        try:
            cost = release_cost(self._ports, release) if self._ports.bills else None
        except Transient as error:
            log.warning("cost of %s: %s", release.id, error.message)
            return known
        return float(cost.total_usd) if cost is not None else 0.0

    def _run_here(self, gates: Sequence[Gate], release: Release) -> list[Evidence]:
        rows: list[Evidence] = []
        if Gate.AUTHORIZATION in gates:
            rows += check_authorization(self._ports, release)
        if Gate.STRUCTURE in gates:
            rows += self._structure(release)
        if Gate.IDENTITY in gates or Gate.PROBES in gates:
            rows += self._probe(release)
        if Gate.IDENTITY in gates and release.plan is not None:
            green = release.plan.green_set
            rows.append(workers_row(self.prove_identity(release, [green]), green))
        if Gate.PERFORMANCE in gates:
            rows += PerformanceCheck(self._ports, release).rows()
        return rows + self._run_on_request(gates, release)

    def _run_on_request(self, gates: Sequence[Gate], release: Release) -> list[Evidence]:
        rows: list[Evidence] = []
        if Gate.REPLAY in gates:
            rows += ReplayGate(self._ports, release).rows()
        if Gate.SHADOW in gates:
            rows += ShadowCheck(self._ports, release).rows()
        if Gate.REHEARSAL in gates:
            rows += rehearsal_rows(self._ports, release)
        return rows

    def _structure(self, release: Release) -> list[Evidence]:
        return list(check_structure(self._ports, release.ref, release.digest).evidence)

    def _probe(self, release: Release) -> list[Evidence]:
        assert release.plan is not None
        recorded = self._ports.ledger.get_set(release.plan.green_set)
        owner = recorded[0].release_id if recorded else release.id
        return probe_endpoint(probe_target(self._ports, release, release.plan.green_set, owner))

    def _prompts(self, release: Release) -> tuple[str, ...]:
        return prompts_of(service_bank(self._ports, release.ref))


def evidence_of(result: dict[str, Any]) -> list[Evidence]:
    """The rows in a GPU result."""
    return [Evidence.model_validate(row) for row in result.get("evidence", [])]
