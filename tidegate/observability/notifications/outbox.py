"""What the notifier needs of the ledger."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from tidegate.domain.channel import ChannelKind, ChannelRef
from tidegate.domain.deliveries import Claimed, Delivery, Outcome, Sending, Standing
from tidegate.domain.events import Event


class Outbox(Protocol):
    """Each method is one transaction, and safe to repeat after a crash in the middle."""

    def route_events(self, route: Callable[[Event], Sequence[ChannelRef]]) -> int: ...
    def waiting_channels(self) -> list[ChannelRef]: ...
    def plan_channel(
        self, ref: ChannelRef, kind: ChannelKind, decide: Callable[[Standing], Sending], since: datetime
    ) -> int: ...
    def drop_waiting(self, ref: ChannelRef, why: str) -> None: ...
    def claim_deliveries(
        self,
        claim: str,
        lease: timedelta,
        most: int,
        *,
        known_by_id: Collection[ChannelKind],
        retries: int | None = None,
    ) -> list[Claimed]: ...
    def begin_sending(self, claimed: Claimed, lease: timedelta) -> None: ...
    def finish_delivery(self, claimed: Claimed, outcome: Outcome) -> Delivery | None: ...
    def begin_test(
        self, event: Event, ref: ChannelRef, kind: ChannelKind, claim: str, lease: timedelta
    ) -> Claimed: ...
