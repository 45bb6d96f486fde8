"""The loop that empties the outbox: route new events, make the messages that are due, carry them away.

It may be killed at any instruction. What it had claimed is taken up by the next one when the lease ends.
"""

import logging
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from tidegate.domain import TidegateError
from tidegate.domain.channel import ChannelRef
from tidegate.domain.deliveries import Claimed, Delivery
from tidegate.domain.error_tracking import FORGET, NoteError
from tidegate.domain.events import Event
from tidegate.observability.notifications.deciding import decide, horizon
from tidegate.observability.notifications.delivering import KNOWN_BY_ID, LEASE, Courier, Organizations
from tidegate.observability.notifications.outbox import Outbox

log = logging.getLogger(__name__)
POLL_S = 0.5
"""An urgent event waits at most this long for its turn: three transactions later it is on its way."""
MOST_UNDER_WAY, MOST_RETRIES = 64, 32
"""A channel that hangs keeps one of them until its sender gives up. Those that failed before leave room for others."""
STOP_TIMEOUT_S = 25.0


@dataclass(frozen=True)
class Round:
    """What one look at the outbox did."""

    routed: int = 0
    planned: int = 0
    started: int = 0

    @property
    def is_quiet(self) -> bool:
        return not (self.routed or self.planned or self.started)


class Notifier:
    """Any number of them may run at once, here or elsewhere."""

    def __init__(
        self,
        outbox: Outbox,
        courier: Courier,
        organizations: Organizations,
        clock: Callable[[], datetime],
        new_claim: Callable[[], str] = lambda: secrets.token_hex(8),
        note: NoteError = FORGET,
    ):
        self._outbox = outbox
        self._courier = courier
        self._organizations = organizations
        self._clock = clock
        self._new_claim = new_claim
        self._note = note

    def run(self, stop: threading.Event, poll_s: float = POLL_S) -> None:
        """Until `stop` is set; what is being sent then is finished first."""
        with ThreadPoolExecutor(MOST_UNDER_WAY, thread_name_prefix="courier") as pool:
            under_way: set[Future[Delivery | None]] = set()
            while not stop.is_set():
                under_way = {one for one in under_way if not self._has_ended(one)}
                try:
                    self.advance(
                        partial(_submit, pool, under_way, self._courier), MOST_UNDER_WAY - len(under_way)
                    )
                except TidegateError as error:
                    log.warning("the outbox: %s", error)
                    self._note(error, "notifier")
                stop.wait(poll_s)
            wait(under_way, timeout=STOP_TIMEOUT_S)
            for one in under_way:
                self._has_ended(one)
        self._note.flush()

    def advance(self, start: Callable[[Claimed], object], most: int = MOST_UNDER_WAY) -> Round:
        """One look. `start` has each claimed message carried away."""
        routed = self._outbox.route_events(self.route)
        planned = sum(self._plan(ref) for ref in self._outbox.waiting_channels())
        claimed = (
            self._outbox.claim_deliveries(
                self._new_claim(),
                LEASE,
                most,
                known_by_id=KNOWN_BY_ID,
                retries=max(most - (MOST_UNDER_WAY - MOST_RETRIES), 0),
            )
            if most > 0
            else []
        )
        for one in claimed:
            start(one)
        return Round(routed, planned, len(claimed))

    def route(self, event: Event) -> list[ChannelRef]:
        """The channels that are told of it."""
        return [
            ChannelRef(org.name, name)
            for org in self._organizations().values()
            for name, channel in org.notifications.items()
            if not channel.refuses(org.name, event)
        ]

    def _has_ended(self, one: Future[Delivery | None]) -> bool:
        """Tells of defects of ours; the message comes back when its lease ends."""
        if not one.done():
            return False
        error = one.exception()
        if error is not None:
            log.error("a message could not be handled: %s", type(error).__name__, exc_info=error)
            self._note(error, "notifier delivery")
        return True

    def _plan(self, ref: ChannelRef) -> int:
        channel = self._courier.channel(ref)
        if channel is None:
            self._outbox.drop_waiting(ref, "the channel is no longer configured")
            return 0
        now = self._clock()
        return self._outbox.plan_channel(
            ref, channel.kind, lambda standing: decide(channel, standing, now), now - horizon(channel)
        )


def _submit(
    pool: ThreadPoolExecutor, under_way: set[Future[Delivery | None]], courier: Courier, claimed: Claimed
) -> None:
    under_way.add(pool.submit(courier.deliver, claimed))
