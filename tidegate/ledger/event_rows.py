"""Events as rows. Other parts of the ledger call `add_event` inside the transaction that changes what it tells of."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from tidegate.domain.deliveries import Delivery
from tidegate.domain.events import Event
from tidegate.ledger.engine import to_json
from tidegate.ledger.notification_tables import DeliveryRow, EventRow
from tidegate.ledger.part import upsert
from tidegate.ledger.tables import CounterRow

NOTIFIERS = "notifiers"
_KEPT = frozenset(Event.model_fields) - {"number", "data", "group"}


def add_event(session: Session, event: Event | None, *, routed_at: datetime | None = None) -> None:
    """One that is there already stays as it is: an event happens once."""
    if event is None:
        return
    values = {name: getattr(event, name) for name in _KEPT}
    values |= {"kind": event.kind.value, "severity": event.severity.value, "data": to_json(event.data)}
    upsert(session, EventRow, {**values, "group_key": event.group, "routed_at": routed_at}, ("key",))


def take_turns(session: Session) -> None:
    """One notifier plans or claims at a time: two that saw the same bucket would both take its last token, and two
    that saw the same channel free would both send on it. SQLite has one writer anyway."""
    upsert(session, CounterRow, {"name": NOTIFIERS, "value": 0}, ("name",))
    session.scalars(select(CounterRow).where(CounterRow.name == NOTIFIERS).with_for_update()).one()


def event_of(row: EventRow) -> Event:
    """A row as the value that it was made from."""
    return Event.model_validate({name: getattr(row, name) for name in Event.model_fields})


def delivery_of(row: DeliveryRow) -> Delivery:
    return Delivery.model_validate({name: getattr(row, name) for name in Delivery.model_fields})
