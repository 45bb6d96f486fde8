"""The steps a release can take: each is one outside effect or one journal write. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.domain import Evidence, Gate, Mirror, ReleaseState


@dataclass(frozen=True)
class AcquireLock:
    """Take the service with a new epoch."""


@dataclass(frozen=True)
class MakePlan:
    """Compute the plan and enter PLANNED with it."""


@dataclass(frozen=True)
class Enter:
    """Journal write: the release is in another state. `rows` are what live traffic showed, where that decided it: they
    are stored first, so that no state rests on rows that are not there."""

    state: ReleaseState
    reason: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    rows: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Intend:
    """Journal write: an effect on the platform is about to be made."""

    name: str


@dataclass(frozen=True)
class Observe:
    """Journal write: something was read back."""

    name: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class RunGates:
    """Run the checks of these gates and store their evidence rows."""

    gates: tuple[Gate, ...]


@dataclass(frozen=True)
class CreateSet:
    """Create (or find by name) the new set."""


@dataclass(frozen=True)
class StartSet:
    """Start a set that does not run; one that is gone is made anew from its recorded spec."""

    name: str


@dataclass(frozen=True)
class DeleteSet:
    name: str


@dataclass(frozen=True)
class LeaveSet:
    """A gateway that is silent may still send to it: it stays, marked for `reconcile` to remove later."""

    name: str


@dataclass(frozen=True)
class PutWeights:
    """Publish exactly these sets and weights as a new generation, and who gets copies of live requests."""

    weights: Mapping[str, int]
    mirror: Mirror | None = None


@dataclass(frozen=True)
class Rehearse:
    """Publish these weights while streams of our own run through the switch; what they met is journalled as `name`."""

    name: str
    weights: Mapping[str, int]


@dataclass(frozen=True)
class ProveIdentity:
    """Ask every worker of these sets which file it serves."""

    sets: tuple[str, ...]


@dataclass(frozen=True)
class MoveAlias:
    """Point `champion` at green (`forward`) or back at blue."""

    forward: bool


@dataclass(frozen=True)
class Quarantine:
    digest: str
    reason: str


@dataclass(frozen=True)
class HoldService:
    """Nothing is released to the service by itself any more, until a person says so."""

    reason: str


@dataclass(frozen=True)
class SendProbes:
    """Send this many probe requests to the new set through the gateways: live traffic is too thin to judge."""

    count: int


@dataclass(frozen=True)
class Wait:
    """Nothing to do but look again."""

    reason: str
    seconds: float = 0.1


@dataclass(frozen=True)
class Stop:
    """Nothing more to do in this process: terminal, or a person or a timer must come first."""

    reason: str


Step = (
    AcquireLock | MakePlan | Enter | Intend | Observe | RunGates | CreateSet | StartSet | DeleteSet | LeaveSet
    | PutWeights | Rehearse | ProveIdentity | MoveAlias | Quarantine | HoldService | SendProbes | Wait | Stop
)  # fmt: skip
