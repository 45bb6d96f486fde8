"""What `decide` looks at: the journal folded (`View`) and the world as read just now (`Observation`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tidegate.domain import Gate, JournalEntry, Plan, Release, ReleaseState, Route, SetStatus, Verdict
from tidegate.release.live import LiveJudgement


@dataclass(frozen=True)
class View:
    """What the journal says: the release, the entries since it entered its state, and gate attempts."""

    release: Release
    entered_at: datetime
    data: Mapping[str, Any]
    observed: Mapping[str, JournalEntry]
    facts: Mapping[str, JournalEntry]
    intents: frozenset[str]
    gate_attempts: Mapping[str, int]
    abort: JournalEntry | None
    approval: JournalEntry | None
    probe_rounds: int = 0
    identity_rounds: int = 0
    """Times that the present state asked which files are served."""
    moved_at: datetime | None = None
    """When live traffic first began to leave the old set; None: it has all of it."""
    parked_since: datetime | None = None
    """When it was first without capacity; trying again in between does not begin a new wait."""

    @property
    def state(self) -> ReleaseState:
        return self.release.state

    @property
    def plan(self) -> Plan:
        assert self.release.plan is not None, "states after REQUESTED always have a plan"
        return self.release.plan


@dataclass(frozen=True)
class Observation:
    """What the world says right now. Everything in it was read, nothing is remembered."""

    now: datetime
    lock_epoch: int
    green: SetStatus
    blue: SetStatus | None
    route: Route | None
    route_confirmed: bool
    champion_digest: str | None
    gates: Mapping[Gate, Verdict] = field(default_factory=dict[Gate, Verdict])
    gate_reasons: Mapping[Gate, tuple[str, ...]] = field(default_factory=dict[Gate, tuple[str, ...]])
    measured_gates: frozenset[Gate] = frozenset()
    """Gates of which no evidence is missing: a policy may decide about them when their samples do not."""
    healthy_sets: frozenset[str] = frozenset()
    active_requests: Mapping[str, int] = field(default_factory=dict[str, int])
    live: LiveJudgement | None = None
    """What live requests since the present weights show; None: nothing was confirmed yet."""
    spent_usd: float = 0.0
    """What the sets of this release have cost so far."""
    evidence_digest: str = ""
    """Hash of all rows of evidence: an approval was given for exactly these."""
    silent: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Set -> gateways that are silent and may still send to it."""
    recorded_sets: tuple[str, ...] = ()
    """Sets of the service that are neither deleted nor left to reconcile."""
    left_sets: frozenset[str] = frozenset()
    already_live: bool = False

    def weight(self, set_name: str | None) -> int:
        return self.route.weights.get(set_name, 0) if self.route and set_name else 0

    def is_routed(self, set_name: str) -> bool:
        return self.route is not None and set_name in self.route.weights

    def is_elsewhere(self, set_name: str, status: SetStatus) -> bool:
        """It was started again and listens at another address than gateways were told."""
        if self.route is None or not status.is_ready:
            return False
        told = next((one for one in self.route.upstreams if one.set_name == set_name), None)
        return told is not None and (told.host, told.port) != (status.host, status.port)
