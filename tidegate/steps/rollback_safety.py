"""May this service be rolled back now? Each precondition with its verdict, and what to do where one is missing."""

from dataclasses import asdict, dataclass
from typing import Any

from tidegate.domain import ServiceRef, SetState, TidegateError, Verdict
from tidegate.steps.ports import Ports
from tidegate.steps.rollback_target import Target, find_target
from tidegate.steps.snapshot import SetSeen, Snapshot, status_of, take_snapshot

MOVES_TRAFFIC = frozenset({"stop", "stop_and_release", "release", "join"})


@dataclass(frozen=True)
class Precondition:
    """One thing that must hold. Only `fail` and `error` forbid the rollback."""

    name: str
    verdict: Verdict
    summary: str
    remedy: str = ""


@dataclass(frozen=True)
class SafetyReport:
    """What a rollback would do now, and whether it may. Nothing was changed to find it out."""

    snapshot: Snapshot
    target: Target | None
    preconditions: tuple[Precondition, ...]

    @property
    def ref(self) -> ServiceRef:
        return self.snapshot.ref

    @property
    def is_safe(self) -> bool:
        bad = (Verdict.FAIL, Verdict.ERROR)
        return self.target is not None and not any(one.verdict in bad for one in self.preconditions)

    @property
    def is_warm(self) -> bool:
        """Its set is ready at this moment: going back is a change of weights."""
        return any(one.name == "target.ready" and one.verdict is Verdict.PASS for one in self.preconditions)

    def as_data(self) -> dict[str, Any]:
        target = None
        if self.target is not None:
            release = self.target.release
            target = asdict(self.target) | {"release": release.id if release else None}
        return {
            "service": str(self.ref),
            "is_safe": self.is_safe,
            "is_warm": self.is_warm,
            "target": target,
            "preconditions": [asdict(one) for one in self.preconditions],
            "snapshot": self.snapshot.as_data(),
        }


def check_safety(
    ports: Ports, ref: ServiceRef, to: str | None = None, leaving: str | None = None
) -> SafetyReport:
    """Look at the target and at everything that it needs. Raises: NotFound for an unknown service."""
    snapshot = take_snapshot(ports, ref)
    try:
        target = find_target(ports, ref, to, leaving)
    except TidegateError as error:
        missing = Precondition("target.known", Verdict.FAIL, error.message, error.remedy)
        return SafetyReport(snapshot, None, (missing,))
    known = Precondition("target.known", Verdict.PASS, f"{target.label}: {target.why}")
    if target.way not in MOVES_TRAFFIC or target.digest is None:
        return SafetyReport(snapshot, target, (known,))
    found = snapshot.find(target.set_name) if target.set_name else None
    rows = [known, _ready(found, target), *_identity(found, target)]
    if found is None or not found.is_ready:
        rows.append(_artifact(ports, ref, target))
    rows.append(_gateways(snapshot, found))
    rows.append(_silent(snapshot))
    return SafetyReport(snapshot, target, tuple(rows))


def is_ready_now(ports: Ports, ref: ServiceRef, name: str, digest: str) -> bool:
    """S3, asked at this moment: the platform calls it ready, and its engine reports this file."""
    status = status_of(ports, ref, name)
    return status is not None and status.is_ready and status.digest == digest


def _ready(found: SetSeen | None, target: Target) -> Precondition:
    if found is not None and found.is_ready:
        return Precondition("target.ready", Verdict.PASS, f"{found.name} is ready: a change of weights")
    state = found.state if found else SetState.ABSENT.value
    name = found.name if found else f"a set of {target.label}"
    if state == SetState.FAILED.value:
        return Precondition(
            "target.ready",
            Verdict.FAIL,
            f"{name} has failed; a rollback that finds it so gives up and leaves traffic where it is",
            "tidegate reconcile starts it again; see why it failed: tidegate status.",
        )
    return Precondition(
        "target.ready",
        Verdict.NOT_JUDGED,
        f"{name} is {state}: it is started first, and proven ready before it gets traffic",
        "It takes as long as loading the model. Nothing serves worse meanwhile.",
    )


def _identity(found: SetSeen | None, target: Target) -> list[Precondition]:
    if found is None or not found.is_ready:
        return []
    if found.reported == target.digest:
        return [Precondition("target.identity", Verdict.PASS, f"its engine reports {target.label}")]
    says = found.reported[:12] if found.reported else "nothing"
    return [
        Precondition(
            "target.identity",
            Verdict.FAIL,
            f"{found.name} should serve {target.label} and its engine reports {says}",
            "Name another version with --to MODEL:VERSION; reconcile removes a set that lies.",
        )
    ]


def _artifact(ports: Ports, ref: ServiceRef, target: Target) -> Precondition:
    """What must be started is read from the store: its content is compared with the recorded digest now."""
    assert target.digest is not None
    try:
        is_there = ports.store.path_of(target.digest) is not None and ports.store.verify(target.digest)
    except TidegateError as error:
        return Precondition("target.artifact", Verdict.ERROR, error.message, error.remedy)
    if is_there:
        return Precondition(
            "target.artifact", Verdict.PASS, "the store holds it, and its content is unchanged"
        )
    return Precondition(
        "target.artifact",
        Verdict.FAIL,
        f"the store does not hold {target.label} as it was recorded",
        f"Register the same file again: tidegate models register {ref.org} ...",
    )


def _gateways(snapshot: Snapshot, found: SetSeen | None) -> Precondition:
    alive = snapshot.alive_gateways
    if not alive:
        return Precondition(
            "gateways.alive",
            Verdict.FAIL,
            "no gateway answers: nothing could be confirmed",
            "See: tidegate status, tidegate logs gateway.",
        )
    names = ", ".join(one.name for one in alive)
    blind = [one.name for one in alive if found and found.is_ready and found.name not in one.healthy_sets]
    if found is not None and found.weight is not None and blind:
        return Precondition(
            "gateways.alive",
            Verdict.FAIL,
            f"{', '.join(blind)} cannot reach {found.name}, which is ready",
            "Look at the network between them, then try again.",
        )
    return Precondition("gateways.alive", Verdict.PASS, f"{names} will confirm it")


def _silent(snapshot: Snapshot) -> Precondition:
    silent = [one.name for one in snapshot.gateways if not one.is_alive]
    if not silent:
        return Precondition("gateways.silent", Verdict.PASS, "every known gateway answers")
    return Precondition(
        "gateways.silent",
        Verdict.NOT_JUDGED,
        f"{', '.join(silent)} is silent: it is not waited for, and no set that it may route to is removed",
        "When it is gone for good: tidegate gateways forget NAME.",
    )
