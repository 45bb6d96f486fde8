"""The outbox: events become parts of channels, parts become messages. Each step is one transaction and can be repeated.

What is sent when is decided elsewhere (`decide`, `route`); here stands only that nothing is lost or doubled.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from tidegate.domain.channel import ChannelKind, ChannelRef
from tidegate.domain.deliveries import Bundle, Claimed, DeliveryState, Sending, Standing, Told
from tidegate.domain.events import Event, Severity
from tidegate.ledger.event_rows import add_event, delivery_of, event_of, take_turns
from tidegate.ledger.notification_tables import DeliveryRow, EventRow, PartRow
from tidegate.ledger.part import Part, upsert

MOST_AT_ONCE = 500
WAITING, TAKEN, DROPPED = "waiting", "taken", "dropped"


class OutboxPart(Part):
    """Several notifiers may work on it at once: planning takes turns, and a message has one owner at a time."""

    def record_events(self, events: Sequence[Event]) -> None:
        """Events that no other change of the ledger causes, for example alerts of a monitor. All or none."""
        with self._database.write() as session:
            for event in events:
                add_event(session, event)

    def route_events(self, route: Callable[[Event], Sequence[ChannelRef]]) -> int:
        """Give every new event to the channels that want it; returns how many were new."""
        wanted = select(EventRow).where(EventRow.routed_at.is_(None)).order_by(EventRow.number)
        with self._database.read() as session:
            if session.scalars(wanted.limit(1)).first() is None:
                return 0
        now = self._clock()
        with self._database.write() as session:
            take_turns(session)
            rows = list(session.scalars(wanted.limit(MOST_AT_ONCE)))
            for row in rows:
                for ref in route(event_of(row)):
                    _add_part(session, row.number, ref)
                row.routed_at = now
            return len(rows)

    def waiting_channels(self) -> list[ChannelRef]:
        """Channels with events that are in no message yet."""
        wanted = select(PartRow.org, PartRow.channel).where(PartRow.state == WAITING).distinct()
        with self._database.read() as session:
            return [ChannelRef(org, channel) for org, channel in session.execute(wanted)]

    def plan_channel(
        self, ref: ChannelRef, kind: ChannelKind, decide: Callable[[Standing], Sending], since: datetime
    ) -> int:
        """Make the messages that are due now; returns how many. `since`: messages before it no longer matter."""
        with self._database.read() as session:
            if not _changes(decide(_standing(session, ref, since))):
                return 0
        now = self._clock()
        with self._database.write() as session:
            take_turns(session)
            sending = decide(_standing(session, ref, since))
            _settle(
                session,
                ref,
                sending.dropped,
                DROPPED,
                why="the same trouble, or later news of it, was told lately",
            )
            for bundle in sending.bundles:
                made = _new_delivery(ref, kind, bundle, now)
                session.add(made)
                session.flush()
                _settle(session, ref, bundle.events, TAKEN, delivery_id=made.id)
            return len(sending.bundles)

    def drop_waiting(self, ref: ChannelRef, why: str) -> None:
        """The channel is gone: what waited for it is told to nobody there."""
        own = (PartRow.org == ref.org, PartRow.channel == ref.name, PartRow.state == WAITING)
        with self._database.write() as session:
            session.execute(update(PartRow).where(*own).values(state=DROPPED, why=why))

    def begin_test(
        self, event: Event, ref: ChannelRef, kind: ChannelKind, claim: str, lease: timedelta
    ) -> Claimed:
        """A message of its own for one channel, past everything that makes messages wait; the caller's at once."""
        now = self._clock()
        with self._database.write() as session:
            add_event(session, event, routed_at=now)
            row = session.scalars(select(EventRow).where(EventRow.key == event.key)).one()
            stored = event_of(row)
            made = _new_delivery(ref, kind, Bundle((stored,)), now)
            made.state, made.claim, made.lease_until = DeliveryState.CLAIMED.value, claim, now + lease
            made.attempts = 1
            session.add(made)
            session.flush()
            _add_part(session, row.number, ref)
            _settle(session, ref, (stored,), TAKEN, delivery_id=made.id)
            return Claimed(delivery_of(made), (stored,), claim)

    def outbox_counts(self) -> dict[tuple[str, str, str], int]:
        """(organization, channel, state) -> messages, of all times: rows are never deleted."""
        wanted = select(DeliveryRow.org, DeliveryRow.channel, DeliveryRow.state, func.count()).group_by(
            DeliveryRow.org, DeliveryRow.channel, DeliveryRow.state
        )
        with self._database.read() as session:
            return {(org, channel, state): count for org, channel, state, count in session.execute(wanted)}

    def oldest_undelivered(self) -> datetime | None:
        """When the oldest event happened that some channel still has to be told of, quiet hours included."""
        open_states = (DeliveryState.WAITING, DeliveryState.CLAIMED, DeliveryState.SENDING)
        unrouted = select(func.min(EventRow.at)).where(EventRow.routed_at.is_(None))
        waiting = select(func.min(EventRow.at)).join(PartRow).where(PartRow.state == WAITING)
        under_way = select(func.min(DeliveryRow.event_at)).where(DeliveryRow.state.in_(open_states))
        with self._database.read() as session:
            found = [session.scalar(one) for one in (unrouted, waiting, under_way)]
        return min((one for one in found if one is not None), default=None)


def _changes(sending: Sending) -> bool:
    return bool(sending.bundles or sending.dropped)


def _add_part(session: Session, number: int, ref: ChannelRef) -> None:
    values = {"event_number": number, "org": ref.org, "channel": ref.name, "state": WAITING, "why": ""}
    upsert(session, PartRow, {**values, "delivery_id": None}, ("event_number", "org", "channel"))


def _settle(
    session: Session,
    ref: ChannelRef,
    events: Sequence[Event],
    state: str,
    *,
    why: str = "",
    delivery_id: str | None = None,
) -> None:
    if not events:
        return
    own = (PartRow.org == ref.org, PartRow.channel == ref.name)
    numbers = [event.number for event in events]
    changed = update(PartRow).where(*own, PartRow.event_number.in_(numbers), PartRow.state == WAITING)
    session.execute(changed.values(state=state, why=why, delivery_id=delivery_id))


def _standing(session: Session, ref: ChannelRef, since: datetime) -> Standing:
    messages = (
        select(DeliveryRow.created_at)
        .where(DeliveryRow.org == ref.org, DeliveryRow.channel == ref.name, DeliveryRow.created_at >= since)
        .order_by(DeliveryRow.created_at)
    )
    events = _waiting(session, ref)
    return Standing(events, tuple(session.scalars(messages)), _told(session, ref, events))


def _waiting(session: Session, ref: ChannelRef) -> tuple[Event, ...]:
    """Oldest first. However much waits for a morning, what is urgent is seen, and with it all that was said before of
    the same trouble."""
    own = (PartRow.org == ref.org, PartRow.channel == ref.name, PartRow.state == WAITING)
    wanted = select(EventRow).join(PartRow).where(*own).order_by(EventRow.number).limit(MOST_AT_ONCE)
    rows = {row.number: row for row in session.scalars(wanted)}
    if len(rows) == MOST_AT_ONCE:
        is_urgent = (EventRow.severity == Severity.CRITICAL.value, EventRow.is_resolved.is_(False))
        urgent = list(session.scalars(wanted.where(*is_urgent)))
        troubles = {row.trouble for row in urgent if row.trouble}
        before = session.scalars(wanted.where(EventRow.trouble.in_(troubles))) if troubles else ()
        rows |= {row.number: row for row in (*urgent, *before)}
    return tuple(event_of(rows[number]) for number in sorted(rows))


def _told(session: Session, ref: ChannelRef, events: Sequence[Event]) -> dict[str, Told]:
    troubles = {event.trouble for event in events if event.trouble}
    if not troubles:
        return {}
    own = (PartRow.org == ref.org, PartRow.channel == ref.name, PartRow.state == TAKEN)
    latest = (
        select(func.max(EventRow.number))
        .join(PartRow)
        .where(*own, EventRow.trouble.in_(troubles))
        .group_by(EventRow.trouble)
    )
    rows = session.scalars(select(EventRow).where(EventRow.number.in_(latest)))
    return {row.trouble: Told(row.at, Severity(row.severity), row.is_resolved, row.number) for row in rows}


def _new_delivery(ref: ChannelRef, kind: ChannelKind, bundle: Bundle, now: datetime) -> DeliveryRow:
    first = bundle.events[0]
    more = f" (and {len(bundle.events) - 1} more)" if len(bundle.events) > 1 else ""
    return DeliveryRow(
        id=f"n-{hashlib.sha256(f'{ref}/{bundle.id_parts}'.encode()).hexdigest()[:16]}",
        org=ref.org,
        channel=ref.name,
        channel_kind=kind,
        state=DeliveryState.WAITING.value,
        severity=bundle.severity.value,
        urgency=int(bundle.is_urgent),
        title=first.title + more,
        events=len(bundle.events),
        event_at=min(event.at for event in bundle.events),
        created_at=now,
        not_before=now,
        attempts=0,
        claim=None,
        lease_until=None,
        sending_at=None,
        ended_at=None,
        error="",
        receipt="",
    )
