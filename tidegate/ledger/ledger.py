"""`Ledger`: the registry, the journal and the router in one database."""

from types import TracebackType
from typing import Self

from tidegate.domain.audit import Interface
from tidegate.ledger.api_keys import ApiKeysPart
from tidegate.ledger.audit import AuditPart
from tidegate.ledger.captured import CapturedPart
from tidegate.ledger.deliveries import DeliveriesPart
from tidegate.ledger.engine import Database
from tidegate.ledger.errors import ErrorsPart
from tidegate.ledger.health import HealthPart
from tidegate.ledger.identity import new_release_id, utc_now
from tidegate.ledger.journal import JournalPart
from tidegate.ledger.live import LivePart
from tidegate.ledger.measurements import MeasurementsPart
from tidegate.ledger.outbox import OutboxPart
from tidegate.ledger.overview import OverviewPart
from tidegate.ledger.part import Clock, NewId
from tidegate.ledger.proofs import ProofsPart
from tidegate.ledger.recorded import RecordedPart
from tidegate.ledger.registry import RegistryPart
from tidegate.ledger.routes import RoutesPart
from tidegate.ledger.sets import SetsPart
from tidegate.ledger.standing import StandingPart
from tidegate.ledger.totals import TotalsPart


class Ledger(
    RegistryPart,
    JournalPart,
    SetsPart,
    RoutesPart,
    RecordedPart,
    MeasurementsPart,
    ApiKeysPart,
    ProofsPart,
    LivePart,
    StandingPart,
    CapturedPart,
    ErrorsPart,
    AuditPart,
    OutboxPart,
    DeliveriesPart,
    TotalsPart,
    OverviewPart,
    HealthPart,
):
    """Implements the ports `Registry`, `Journal` and `Router`; safe to share between threads.

    Every error that leaves it is of `tidegate.domain.errors`: `Transient` when the database is locked or
    cannot be reached, `NeedsOperator` when its file or schema is not usable.
    """

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Clock = utc_now,
        new_id: NewId = new_release_id,
        interface: Interface = Interface.CLI,
    ) -> Self:
        """Connect, and bring the schema up to date when it is not; several processes may do so at once.

        `url` is `sqlite:////absolute/path` or `postgresql+psycopg://user:password@host/database`. `interface` says in
        the audit log from where this process is asked.
        """
        return cls(Database.open(url), clock, new_id, interface)

    def close(self) -> None:
        """Give all connections back. The ledger must not be used afterwards."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
