"""Messages under way: claimed with a lease, marked before the first byte goes out, and marked again when they arrived.

A message whose owner died before `begin_sending` is taken by another. After it nobody can know whether it arrived:
it is sent again only where the receiver knows it by its id.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from tidegate.domain import Fenced, InvalidInput, NotFound
from tidegate.domain.channel import ChannelKind, ChannelRef
from tidegate.domain.deliveries import OVER, Arrived, Claimed, Delivery, DeliveryState, NextTry, Outcome
from tidegate.ledger.event_rows import delivery_of, event_of, take_turns
from tidegate.ledger.notification_tables import DeliveryRow, EventRow, PartRow
from tidegate.ledger.part import Part
from tidegate.ledger.standing import end_finding, put_finding

State = DeliveryState
HELD = (State.CLAIMED, State.SENDING)
MOST_CLAIMS = 20
"""A message whose every owner dies is what kills them."""
FAILING = "notification.failing"
"""The finding of a channel that lost a message, or may have: the channel itself cannot tell of it."""
TRIES_BEFORE_A_FINDING = 3
LONGEST_WAIT = timedelta(hours=2)
"""No try is put off for longer. A time beyond that was written by a clock that was wrong: it is due now."""
LOST = "the notifier ended while it was being sent; whether it arrived is not known"


class DeliveriesPart(Part):
    """At most one message of a channel is under way at a time: their order is the order of what happened."""

    def claim_deliveries(
        self,
        claim: str,
        lease: timedelta,
        most: int,
        *,
        known_by_id: Collection[ChannelKind],
        retries: int | None = None,
    ) -> list[Claimed]:
        """Take what is due, the most urgent first. `known_by_id`: kinds of channels whose receivers know a message
        by its id, so that one of which nobody knows whether it arrived may be sent again. `retries`: at most so many
        that failed before, so that channels that hang leave room for those that work."""
        now = self._clock()
        due = _due(now)
        is_over = or_(DeliveryRow.lease_until <= now, DeliveryRow.lease_until > now + 2 * lease)
        left = (DeliveryRow.state.in_(HELD), is_over)
        with self._database.read() as session:
            if not session.scalars(select(DeliveryRow.id).where(*due).limit(1)).first() and not (
                session.scalars(select(DeliveryRow.id).where(*left).limit(1)).first()
            ):
                return []
        with self._database.write() as session:
            take_turns(session)
            for row in session.scalars(select(DeliveryRow).where(*left).with_for_update()):
                _take_back(row, now, known_by_id)
                session.flush()
                _note_trouble(session, row, now)
            again = most if retries is None else retries
            return [_claim(session, row, claim, now + lease) for row in _next_rows(session, now, most, again)]

    def begin_sending(self, claimed: Claimed, lease: timedelta) -> None:
        """Called right before the first byte that has an effect. Raises: Fenced when it is somebody else's now: then
        nothing may be sent."""
        now = self._clock()
        own = (DeliveryRow.id == claimed.delivery.id, DeliveryRow.claim == claimed.claim)
        begun = (
            update(DeliveryRow)
            .where(*own, DeliveryRow.state == State.CLAIMED.value, DeliveryRow.lease_until > now)
            .values(state=State.SENDING.value, sending_at=now, lease_until=now + lease)
            .returning(DeliveryRow.id)
        )
        with self._database.write() as session:
            if session.scalars(begun).one_or_none() is None:
                raise Fenced(
                    f"Message {claimed.delivery.id} is no longer this notifier's; nothing was sent.",
                    remedy="Nothing: whoever has it now sends it.",
                    delivery=claimed.delivery.id,
                )

    def finish_delivery(self, claimed: Claimed, outcome: Outcome) -> Delivery | None:
        """Write down what became of it; None when it is somebody else's by now. One that was given up as lost while
        its owner was only slow is corrected."""
        now = self._clock()
        mine = (DeliveryRow.id == claimed.delivery.id, DeliveryRow.claim == claimed.claim)
        with self._database.write() as session:
            row = session.scalars(select(DeliveryRow).where(*mine).with_for_update()).one_or_none()
            if row is None or State(row.state) not in (*HELD, State.UNCONFIRMED):
                return None
            _finish(row, outcome, now)
            session.flush()
            if row.state == State.SENT.value:
                end_finding(session, now, FAILING, f"{row.org}/{row.channel}")
            _note_trouble(session, row, now)
            return delivery_of(row)

    def deliveries(
        self,
        *,
        org: str | None = None,
        channel: str | None = None,
        state: DeliveryState | None = None,
        limit: int = 50,
    ) -> list[Delivery]:
        """Newest first."""
        wanted = select(DeliveryRow).order_by(DeliveryRow.created_at.desc(), DeliveryRow.id).limit(limit)
        if org is not None:
            wanted = wanted.where(DeliveryRow.org == org)
        if channel is not None:
            wanted = wanted.where(DeliveryRow.channel == channel)
        if state is not None:
            wanted = wanted.where(DeliveryRow.state == state.value)
        with self._database.read() as session:
            return [delivery_of(row) for row in session.scalars(wanted)]

    def retry_delivery(self, id_or_prefix: str) -> Delivery:
        """Send a message that was given up, whose arrival is not known, or that waits for its next try, now, as its same
        self.

        Raises: NotFound; InvalidInput for a prefix of several, and for one that arrived or is under way."""
        now = self._clock()
        found = select(DeliveryRow).where(DeliveryRow.id.startswith(id_or_prefix, autoescape=True)).limit(2)
        with self._database.write() as session:
            rows = list(session.scalars(found.with_for_update()))
            if not rows:
                raise NotFound(
                    f"There is no message {id_or_prefix}.", remedy="List them: tidegate notify history."
                )
            row = rows[0]
            if len(rows) > 1:
                raise InvalidInput(
                    f"Several messages begin with {id_or_prefix}.", remedy="Give more of its id.", field="id"
                )
            waits_for_a_try = row.state == State.WAITING.value and row.attempts > 0
            if not waits_for_a_try and State(row.state) not in OVER - {State.SENT}:
                raise InvalidInput(
                    f"Message {row.id} is {row.state}: there is nothing to repeat.",
                    remedy="Repeat those that are dead or unconfirmed, or wait for their next try.",
                    field="id",
                )
            row.state, row.claim, row.not_before, row.attempts = State.WAITING.value, None, now, 0
            row.sending_at = row.ended_at = None
            session.flush()
            return delivery_of(row)


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    is_time = or_(DeliveryRow.not_before <= now, DeliveryRow.not_before > now + LONGEST_WAIT)
    return DeliveryRow.state == State.WAITING.value, is_time


def _next_rows(session: Session, now: datetime, most: int, retries: int) -> list[DeliveryRow]:
    """One of each channel, unless one of it is under way."""
    busy = {
        ChannelRef(org, channel)
        for org, channel in session.execute(
            select(DeliveryRow.org, DeliveryRow.channel).where(DeliveryRow.state.in_(HELD))
        )
    }
    due = (
        select(DeliveryRow)
        .where(*_due(now))
        .order_by(DeliveryRow.urgency.desc(), DeliveryRow.created_at, DeliveryRow.event_at, DeliveryRow.id)
        .with_for_update(skip_locked=True)
    )
    chosen: dict[ChannelRef, DeliveryRow] = {}
    for row in session.scalars(due):
        ref = ChannelRef(row.org, row.channel)
        if ref in busy or ref in chosen or len(chosen) == most:
            continue
        if row.attempts and not retries:
            continue
        chosen[ref] = row
        retries -= bool(row.attempts)
    return list(chosen.values())


def _claim(session: Session, row: DeliveryRow, claim: str, until: datetime) -> Claimed:
    row.state, row.claim, row.lease_until = State.CLAIMED.value, claim, until
    row.attempts += 1
    session.flush()
    events = select(EventRow).join(PartRow).where(PartRow.delivery_id == row.id).order_by(EventRow.number)
    return Claimed(delivery_of(row), tuple(event_of(one) for one in session.scalars(events)), claim)


def _take_back(row: DeliveryRow, now: datetime, known_by_id: Collection[ChannelKind]) -> None:
    was_sending = row.state == State.SENDING.value
    if was_sending and row.channel_kind not in known_by_id:
        # The claim stays: an owner that is only slow may still say that it arrived.
        row.state, row.ended_at, row.error = State.UNCONFIRMED.value, now, LOST
        return
    if row.attempts >= MOST_CLAIMS:
        row.state, row.ended_at, row.error = State.DEAD.value, now, "every notifier that took it ended"
        return
    row.state, row.not_before, row.claim = State.WAITING.value, now, None


def _note_trouble(session: Session, row: DeliveryRow, now: datetime) -> None:
    """In the transaction that finds it: no crash hides that somebody does not know, or may not."""
    ref, state = f"{row.org}/{row.channel}", State(row.state)
    if state in (State.DEAD, State.UNCONFIRMED):
        said = f"Message {row.id} to {ref} is {row.state}: {row.error}."
        remedy = f"Mend the channel, then: tidegate notify retry {row.id}."
    elif state is State.WAITING and row.error and row.attempts >= TRIES_BEFORE_A_FINDING:
        said = f"Message {row.id} to {ref} failed {row.attempts} times: {row.error}."
        remedy = "Mend the channel: it is tried again by itself. See: tidegate notify history."
    else:
        return
    put_finding(session, now, FAILING, ref, said, remedy=remedy)


def _finish(row: DeliveryRow, outcome: Outcome, now: datetime) -> None:
    row.lease_until = None
    if isinstance(outcome, Arrived):
        row.state, row.ended_at, row.receipt, row.error = State.SENT.value, now, outcome.receipt, ""
    elif isinstance(outcome, NextTry):
        row.error = outcome.error
        if outcome.at is None:
            row.state, row.ended_at = State.DEAD.value, now
        else:
            row.state, row.not_before, row.sending_at = State.WAITING.value, outcome.at, None
    else:
        row.state, row.ended_at, row.error = State.UNCONFIRMED.value, now, outcome.error
