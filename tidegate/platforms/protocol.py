"""What Tidegate asks of a platform. Every vendor folder implements exactly this."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from tidegate.domain import Charge, Secret, SetSpec, SetStatus


class Bills(Protocol):
    """A platform that costs money tells what it charged. Platforms without this cost nothing."""

    def charges(self, org: str, since: datetime, until: datetime) -> Sequence[Charge]:
        """What was billed for the organization's account, by resource and hour. Raises: Refused, Transient."""
        ...


class Platform(Protocol):
    """Where sets run. Each call carries its own time limit; errors are the domain's.

    `create` must begin by looking for the name: after a lost reply or a crash, asking again adopts the
    set that exists. Unknown states are `unknown`, never `ready`.
    """

    name: str

    def verify_credential(self, org: str, credential: Secret | None) -> None:
        """Ask the platform whether this credential may act for the organization.

        Raises: Refused when it may not, Transient when the platform cannot be asked.
        """
        ...

    def create(self, spec: SetSpec) -> SetStatus:
        """Start the set, or adopt the one of that name. Returns at once; it is seldom ready yet.

        Raises: CapacityShortage, Refused, Transient.
        """
        ...

    def status(self, name: str) -> SetStatus:
        """State of a set right now; `absent` when there is none of that name."""
        ...

    def wait_ready(self, name: str, timeout_s: float) -> SetStatus:
        """Wait until the set is ready, failed or absent, or the time is over; returns the last status."""
        ...

    def invoke(self, name: str, path: str, body: Mapping[str, object], timeout_s: float) -> dict[str, object]:
        """One JSON call to the set itself, past the gateway (for identity proofs).

        Raises: NotFound when the set is absent, Transient when it cannot answer.
        """
        ...

    def metrics(self, name: str) -> dict[str, float]:
        """The engine's own gauges and counters plus `memory_bytes` and `cpu_seconds`; empty when unavailable."""
        ...

    def logs(self, name: str, lines: int = 50) -> str:
        """Tail of the set's log, kept after it stopped."""
        ...

    def stop(self, name: str) -> None:
        """End its processes; the set stays known as `stopped`. No error when it is already stopped."""
        ...

    def start(self, name: str) -> SetStatus:
        """Start a stopped or failed set again from its stored spec. Raises: NotFound."""
        ...

    def delete(self, name: str) -> None:
        """Stop and forget. No error when it is absent already."""
        ...

    def list_owned(self) -> list[SetStatus]:
        """Every set of ours on this platform, whoever started it: for adoption and orphan sweeping."""
        ...

    def price_per_hour_usd(self, spec: SetSpec) -> float: ...
