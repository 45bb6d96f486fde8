"""Messages on their way: what was decided, who carries one, what became of it. Plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from tidegate.domain.channel import ChannelKind, ChannelRef
from tidegate.domain.events import Event, Severity


class DeliveryState(StrEnum):
    WAITING = "waiting"
    """For its time: now, or after a failed try."""
    CLAIMED = "claimed"
    """A notifier has it and has sent nothing: when that dies, another one takes it."""
    SENDING = "sending"
    """Its bytes may be on their way: when the notifier dies now, nobody can know whether they arrived."""
    SENT = "sent"
    DEAD = "dead"
    """Given up: `tidegate notify retry` sends it again."""
    UNCONFIRMED = "unconfirmed"
    """Perhaps sent. Not sent again by itself, because the channel could not tell that it is the same message."""


OVER = frozenset({DeliveryState.SENT, DeliveryState.DEAD, DeliveryState.UNCONFIRMED})


class Delivery(BaseModel):
    """One message to one channel, about one event or several."""

    model_config = ConfigDict(frozen=True)

    id: str
    org: str
    channel: str
    channel_kind: ChannelKind
    state: DeliveryState
    severity: Severity
    title: str
    events: int = Field(description="How many it tells of.")
    attempts: int
    event_at: datetime = Field(description="When the first of its events happened.")
    created_at: datetime
    not_before: datetime
    sending_at: datetime | None = None
    ended_at: datetime | None = None
    error: str = ""
    receipt: str = Field(default="", description="What the channel answered, for example an SMTP queue id.")

    @property
    def ref(self) -> ChannelRef:
        return ChannelRef(self.org, self.channel)

    @property
    def delay_s(self) -> float | None:
        """From the event to the channel's answer."""
        return (self.ended_at - self.event_at).total_seconds() if self.ended_at else None


@dataclass(frozen=True)
class Claimed:
    """A delivery that is this notifier's until its lease ends; `claim` proves that."""

    delivery: Delivery
    events: tuple[Event, ...]
    claim: str


@dataclass(frozen=True)
class Told:
    """The last word of a channel about one trouble."""

    at: datetime
    severity: Severity
    is_resolved: bool
    number: int = 0
    """Of the event that was the word."""


@dataclass(frozen=True)
class Standing:
    """What a channel's next message depends on: what waits, oldest first, and what it was told lately."""

    waiting: tuple[Event, ...]
    messages: tuple[datetime, ...] = ()
    """When its latest messages were made, oldest first."""
    told: Mapping[str, Told] = field(default_factory=dict[str, Told])


@dataclass(frozen=True)
class Bundle:
    """Events that go out as one message."""

    events: tuple[Event, ...]

    @property
    def id_parts(self) -> str:
        """Keys, not numbers of rows: a ledger that came back from a backup gives out numbers a second time, and a
        receiver that knows messages by their ids would take what is new for what it has."""
        return "\n".join(event.key for event in self.events)

    @property
    def severity(self) -> Severity:
        return max((event.severity for event in self.events), key=lambda one: one.rank)

    @property
    def is_urgent(self) -> bool:
        return any(event.is_urgent for event in self.events)


@dataclass(frozen=True)
class Sending:
    """What a channel is to do now. What is named in neither goes on waiting."""

    bundles: tuple[Bundle, ...] = ()
    dropped: tuple[Event, ...] = ()
    """Not told: the same trouble was told within the channel's window."""


@dataclass(frozen=True)
class NextTry:
    """After a failure: when to try again; None gives up."""

    at: datetime | None
    error: str


@dataclass(frozen=True)
class Arrived:
    """The channel took it."""

    receipt: str = ""


@dataclass(frozen=True)
class Unsure:
    """The channel may have it, and did not say so."""

    error: str


Outcome = Arrived | NextTry | Unsure
