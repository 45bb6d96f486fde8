"""Where an organization wants to be told, of what, and when: `notifications` of its file. Addresses are references."""

from datetime import datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tidegate.domain.errors import InvalidInput
from tidegate.domain.events import Event, EventKind, Severity
from tidegate.domain.secret_reference import Place, SecretRef, SecretReference

ChannelKind = Literal["email", "webhook", "chat", "desktop"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class QuietHours(_Part):
    """Every day from `start` to `end`, by the clock on the wall there. Critical events are told all the same."""

    start: time = Field(description="For example 22:00.")
    end: time = Field(description="For example 07:00; before `start` it is the next day's.")
    timezone: str = Field(default="UTC", description="A name of the tz database, for example Europe/Berlin.")

    @field_validator("start", "end")
    @classmethod
    def _is_local(cls, value: time) -> time:
        if value.tzinfo is not None:
            raise ValueError("give hours and minutes, and the zone in `timezone`")
        return value

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("is no time zone; for example Europe/Berlin or UTC") from error
        return value

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.start == self.end:
            raise ValueError("start and end are the same; leave quiet_hours out, or give a real span")
        return self

    def holds(self, at: datetime) -> bool:
        now = at.astimezone(ZoneInfo(self.timezone)).time()
        if self.start < self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end

    def ends_after(self, at: datetime) -> datetime:
        """The first `end` after this time. A clock that is put forward over it ends them where it lands."""
        zone = ZoneInfo(self.timezone)
        day = at.astimezone(zone).date()
        for later in range(3):
            # Through UTC: what compares and differs is moments, not faces of clocks.
            end = datetime.combine(day + timedelta(days=later), self.end, zone).astimezone(at.tzinfo)
            if end > at:
                return end
        raise AssertionError("every three days have an end of quiet hours")


class Rate(_Part):
    """A bucket of messages: full at first, one more at a steady pace."""

    burst: int = Field(default=10, ge=1, le=1000, description="Messages that may go out at once.")
    per_hour: float = Field(default=60, gt=0, le=100_000, description="Messages that are added in an hour.")


class Digest(_Part):
    """After so many messages within so many minutes, what follows comes as one message at the end of that time."""

    after: int = Field(default=5, ge=1, le=1000)
    minutes: float = Field(default=10, gt=0, le=7 * 24 * 60)

    @property
    def window(self) -> timedelta:
        return timedelta(minutes=self.minutes)


class MailServer(_Part):
    """Who carries the organization's mail."""

    host: str = Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:-]+$")
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "ssl", "none"] = Field(
        default="starttls", description="`none` is for a relay on this machine: then there is no password."
    )
    sender: str = Field(pattern=r"^[^@\s<>]+@[^@\s<>]+$", max_length=254, description="Address in From.")
    username: str | None = Field(default=None, max_length=254)
    password: SecretRef | None = Field(default=None, description="Reference to the password of `username`.")

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if self.password is not None and self.security == "none":
            raise ValueError("a password is not sent in clear; set security to starttls or ssl")
        return self


class Channel(_Part):
    """One place that is told. Its address is a secret of its own: URLs of chats and webhooks hold tokens."""

    kind: ChannelKind
    address: SecretRef | None = Field(
        default=None,
        description="Reference to the address: recipients with commas, a URL, or a URL of Apprise for chats.",
    )
    events: tuple[EventKind, ...] = Field(
        default=tuple(kind for kind in EventKind if kind is not EventKind.TEST), min_length=1
    )
    min_severity: Severity = Severity.INFO
    services: tuple[str, ...] = Field(
        default=("*",), min_length=1, description="Shell patterns of its services."
    )
    installation: bool = Field(
        default=False,
        description="Also told what concerns no organization: backups, disks, the machinery itself.",
    )
    quiet_hours: QuietHours | None = None
    rate: Rate = Rate()
    digest: Digest = Digest()
    repeat_after_minutes: float = Field(
        default=60, ge=0, le=7 * 24 * 60, description="The same trouble is told again only after this time."
    )
    mail: MailServer | None = Field(default=None, description="Needed for email.")
    signing_key: SecretRef | None = Field(
        default=None, description="Reference to the key of a webhook's signatures; by default one is made."
    )
    allow_private: bool = Field(
        default=False, description="May be at an address inside your network: otherwise that is refused."
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.address is None and self.kind != "desktop":
            raise ValueError(f"a channel of kind {self.kind} needs an `address`")
        if (self.mail is not None) != (self.kind == "email"):
            raise ValueError("`mail` says who carries it: email needs it, and nothing else has it")
        if self.signing_key is not None and self.kind != "webhook":
            raise ValueError("only webhooks are signed: leave `signing_key` out")
        for reference in self.secrets.values():
            if SecretReference.parse(reference).place is Place.PREFECT:
                raise ValueError(f"the notifier cannot read '{reference}': only flows read prefect-secret")
        return self

    @property
    def secrets(self) -> dict[str, str]:
        """Field -> reference of every secret that it names."""
        named = {
            "address": self.address,
            "signing_key": self.signing_key,
            "mail.password": self.mail.password if self.mail else None,
        }
        return {field: reference for field, reference in named.items() if reference is not None}

    @property
    def repeat_after(self) -> timedelta:
        return timedelta(minutes=self.repeat_after_minutes)

    def refuses(self, org: str, event: Event) -> str:
        """Why this channel of `org` is not told of the event; empty when it is."""
        if event.org is None and not self.installation:
            return "it concerns the installation"
        if event.org not in (None, org):
            return "it is another organization's"
        if event.kind not in self.events:
            return f"{event.kind} is not among its events"
        if event.severity.rank < self.min_severity.rank:
            return f"{event.severity} is below {self.min_severity}"
        if event.service and not any(fnmatchcase(event.service, one) for one in self.services):
            return f"{event.service} is not among its services"
        return ""


class ChannelRef(NamedTuple):
    """A channel by organization and name."""

    org: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `org/channel`. Raises: InvalidInput."""
        org, slash, name = text.partition("/")
        if not slash or not org or not name:
            raise InvalidInput(
                f"'{text}' is not a channel.",
                remedy="Write it as ORGANIZATION/CHANNEL, for example swaggystacks/on-call.",
                field="channel",
            )
        return cls(org, name)

    def __str__(self) -> str:
        return f"{self.org}/{self.name}"
