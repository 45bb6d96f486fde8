"""What a release would do, told before anything is done: plan, price, samples and time, and what it replaces.

Reads only. The digest of what was told makes a release carry out exactly this, or nothing.
"""

from dataclasses import asdict, dataclass
from typing import Any

from tidegate.domain import ModelVersion, Plan, Refused, Release, ReleaseRequest, ReleaseState
from tidegate.release.plan_reading import live_rate, read_plan
from tidegate.steps.ports import Ports

UNBORN = "r-0"
"""Stands for the id that the release will have; it names the new set, which no promise is made about."""


@dataclass(frozen=True)
class Part:
    """One part of the release, with what it is expected to take. None: it cannot be told."""

    name: str
    requests: float | None
    seconds: float | None


@dataclass(frozen=True)
class Difference:
    """One thing that the release changes."""

    name: str
    now: str
    then: str


@dataclass(frozen=True)
class Preview:
    """A plan that nobody carries out."""

    service: str
    version: str
    plan: Plan
    digest: str
    price_per_hour_usd: float
    requests_per_second: float
    parts: tuple[Part, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    def as_data(self) -> dict[str, Any]:
        return asdict(self) | {
            "plan": self.plan.model_dump(mode="json", exclude={"green_set"}),
            "plan_digest": self.digest,
        }


def preview(ports: Ports, request: ReleaseRequest) -> Preview:
    """Raises: NotFound for an unknown organization, service or version."""
    version = ports.ledger.get_version(request.org, request.model, request.version)
    plan = _plan(ports, request, version)
    expected = plan.expected
    names = dict.fromkeys(key.rpartition(".")[0] for key in expected if not key.startswith("traffic."))
    return Preview(
        service=str(request.ref),
        version=version.label,
        plan=plan,
        digest=plan.told_digest,
        price_per_hour_usd=plan.estimated_usd / ports.service(request.ref).policy.budget.release_hours,
        requests_per_second=live_rate(ports.ledger, ports.ledger.get_route(request.ref), ports.clock()),
        parts=tuple(
            Part(name, expected.get(f"{name}.requests"), expected.get(f"{name}.seconds")) for name in names
        ),
        differences=tuple(_differences(ports, request, version, plan)),
        notes=tuple(_notes(ports, request, version)),
    )


def refuse_other_plan(
    ports: Ports, request: ReleaseRequest, version: ModelVersion, active: Release | None
) -> None:
    """Before anything is recorded. Asked again when the release makes its plan: things may change until then.

    Raises: Refused, naming each field that is other than it was told.
    """
    if not request.plan_digest:
        return
    plan = active.plan if active is not None and active.plan is not None else _plan(ports, request, version)
    differs = plan.differs_from(request.plan_digest)
    if differs:
        raise Refused(
            f"The plan is not the one that was told: {plan.tell(differs)}.",
            remedy=f"Look at the plan as it is now: tidegate release {request.ref} "
            f"{request.model}:{request.version} --plan.",
            problem="plan",
            differs=", ".join(differs),
        )


def _plan(ports: Ports, request: ReleaseRequest, version: ModelVersion) -> Plan:
    now = ports.clock()
    unborn = Release(
        id=UNBORN,
        request=request.model_copy(update={"version": version.version}),
        digest=version.digest,
        state=ReleaseState.REQUESTED,
        epoch=0,
        created_at=now,
        updated_at=now,
    )
    return read_plan(ports.ledger, ports.platform(request.ref), ports.service(request.ref), unborn, now)


def _differences(
    ports: Ports, request: ReleaseRequest, version: ModelVersion, plan: Plan
) -> list[Difference]:
    """The new version beside what serves now; only what is other."""
    live = ports.ledger.version_by_digest(request.org, plan.blue_digest) if plan.blue_digest else None
    blue = ports.ledger.get_set(plan.blue_set) if plan.blue_set else None
    service = ports.service(request.ref)
    pairs = {
        "version": (live.label if live else "nothing", version.label),
        "file": (live.digest[:12] if live else "none", version.digest[:12]),
        "size in bytes": (str(live.size_bytes) if live else "0", str(version.size_bytes)),
        "tensors": (_short(live.tensor_digest) if live else "none", _short(version.tensor_digest)),
        "previous version": (plan.previous_version or "none", live.label if live else "none"),
    }
    if blue is not None:
        pairs |= {
            name: (str(getattr(blue[0], name)), str(getattr(service, name)))
            for name in ("context_tokens", "parallel", "threads", "max_memory_bytes")
        }
    return [Difference(name, now, then) for name, (now, then) in pairs.items() if now != then]


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "not known"


def _notes(ports: Ports, request: ReleaseRequest, version: ModelVersion) -> list[str]:
    """What stands in the way now, or waits for a person."""
    notes: list[str] = []
    reason = ports.ledger.quarantine_reason(request.org, version.digest)
    if reason is not None:
        said = "an override is given" if request.override_quarantine else "it is refused without an override"
        notes.append(f"this version is quarantined ({reason}); {said}")
    hold = ports.ledger.hold_of(request.ref)
    if hold is not None:
        does = "it is refused" if request.is_automatic else "a release by hand goes on"
        notes.append(f"{request.ref} is held by {hold.actor} ({hold.reason}); {does}")
    active = ports.ledger.active_release(request.ref)
    if active is not None:
        notes.append(f"release {active.id} holds the service ({active.state.value}); this one would wait")
    return notes


def preview_markdown(found: Preview) -> str:
    """For a person: what happens, what it takes, what it changes."""
    plan = found.plan
    limit = "no limit" if plan.max_usd is None else f"{plan.max_usd:.2f} USD at most"
    climb = " -> ".join(f"{step} %" for step in plan.ladder) or "no live traffic"
    lines = [
        f"# Plan: {found.version} to {found.service}",
        "",
        "Nothing was done. A release that is given this digest carries out exactly this plan, or is refused.",
        "",
        f"- digest: `{found.digest}`",
        f"- strategy: {plan.strategy}; {climb}",
        f"- gates: {', '.join(plan.gates)}",
        f"- approvals: {', '.join(plan.approvals) or 'none'}",
        f"- rollback target: {f'`{plan.blue_set}` ({plan.blue_version})' if plan.blue_set else 'none: first release'}",
        f"- price: {found.price_per_hour_usd:.4f} USD an hour, {plan.estimated_usd:.4f} USD expected, {limit}",
        f"- policy: `{plan.policy_digest[:12]}`",
        f"- live traffic now: {found.requests_per_second:.2f} requests a second",
        "",
        "| part | requests | seconds |",
        "|---|---|---|",
        *(f"| {part.name} | {_number(part.requests)} | {_number(part.seconds)} |" for part in found.parts),
        "",
        "| changes | now | then |",
        "|---|---|---|",
        *(f"| {one.name} | {one.now} | {one.then} |" for one in found.differences),
        "",
        *(f"- {note}" for note in found.notes),
    ]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
