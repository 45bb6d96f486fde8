"""Events as messages: one text for chats and desktops, a mail with threads, a JSON body for webhooks. Pure.

Texts of events hold what models, files and people said: nothing of it acts as markup, a header or a control code.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from typing import Any

from tidegate.domain.channel import ChannelRef
from tidegate.domain.events import Event, EventKind, Severity
from tidegate.domain.plain import plain, plain_lines

BODY_VERSION = 1
MOST_IN_FULL = 20
"""Events of a digest that are told with their text; of the rest the titles are."""
MARKS = {Severity.INFO: "info", Severity.WARNING: "WARNING", Severity.CRITICAL: "CRITICAL"}


@dataclass(frozen=True)
class Message:
    """What one delivery says."""

    delivery_id: str
    channel: ChannelRef
    events: tuple[Event, ...]
    attempt: int = 1

    @property
    def severity(self) -> Severity:
        return max((event.severity for event in self.events), key=lambda one: one.rank)

    @property
    def subject(self) -> str:
        """One line."""
        first = self.events[0]
        if len(self.events) == 1:
            over = "RESOLVED " if first.is_resolved else ""
            return f"[tidegate] {over}{MARKS[self.severity]}: {plain(first.title, 180)}"
        worst = max(self.events, key=lambda one: one.severity.rank)
        return f"[tidegate] {len(self.events)} events, {MARKS[self.severity]}: {plain(worst.title, 150)}"

    @property
    def text(self) -> str:
        """The whole of it as plain text."""
        parts = [_told(event) for event in self.events[:MOST_IN_FULL]]
        rest = [f"- {_headline(event)}" for event in self.events[MOST_IN_FULL:]]
        return "\n\n".join([*parts, "\n".join(rest)] if rest else parts)


def _headline(event: Event) -> str:
    over = "resolved: " if event.is_resolved else ""
    return f"{MARKS[event.severity]} {over}{plain(event.title)}"


def _told(event: Event) -> str:
    lines = [_headline(event)]
    if event.text:
        lines.append(plain_lines(event.text))
    lines.append(f"When: {_moment(event.at)}   Where: {plain(event.subject)}")
    if event.release_id:
        lines.append(f"Release: {plain(event.release_id)}")
    if failed := event.data.get("failed_checks"):
        lines.append(f"Failed checks: {plain(', '.join(map(str, failed)))}")
    if event.remedy:
        lines.append(f"What to do: {plain_lines(event.remedy)}")
    return "\n".join(lines)


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def webhook_body(message: Message) -> bytes:
    """What a webhook gets: the same bytes at every try, so that the same id is the same message."""
    content: dict[str, Any] = {
        "version": BODY_VERSION,
        "id": message.delivery_id,
        "channel": str(message.channel),
        "severity": message.severity.value,
        "subject": message.subject,
        "events": [_as_data(event) for event in message.events],
    }
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _as_data(event: Event) -> dict[str, Any]:
    return event.model_dump(mode="json", exclude={"number", "group", "trouble"})


def mail(
    message: Message, sender: str, recipients: Sequence[str], at: datetime, *, domain: str | None = None
) -> EmailMessage:
    """A mail that its reader's program puts beside the earlier ones of the same topic.

    Its Message-ID follows from the delivery: a copy of it is the same mail to every program that looks.
    """
    host = domain or sender.rpartition("@")[2]
    made = EmailMessage(policy=SMTP)
    made["Subject"] = message.subject
    made["From"] = Address("Tidegate", addr_spec=sender)
    made["To"] = tuple(Address(addr_spec=one) for one in recipients)
    made["Date"] = format_datetime(at.astimezone(UTC))
    made["Message-ID"] = f"<{message.delivery_id}@{host}>"
    if topic := thread_of(message.events):
        root = f"<topic-{hashlib.sha256(topic.encode()).hexdigest()[:24]}@{host}>"
        made["In-Reply-To"] = root
        made["References"] = root
    made["List-Id"] = f"<{message.channel.name}.{message.channel.org}.tidegate>"
    made["Auto-Submitted"] = "auto-generated"
    made["X-Tidegate-Severity"] = message.severity.value
    made["X-Tidegate-Events"] = ",".join(dict.fromkeys(event.kind.value for event in message.events))
    if message.severity is Severity.CRITICAL:
        made["Importance"] = "high"
    made.set_content(message.text + "\n", cte="quoted-printable")
    made.add_alternative(_html(message), subtype="html", cte="quoted-printable")
    return made


def thread_of(events: Sequence[Event]) -> str:
    """The one topic of these events; a digest of several has no thread."""
    topics = {event.topic for event in events}
    return topics.pop() if len(topics) == 1 else ""


_COLOURS = {Severity.INFO: "#2b6cb0", Severity.WARNING: "#b7791f", Severity.CRITICAL: "#c53030"}


def _html(message: Message) -> str:
    blocks = [_html_event(event) for event in message.events[:MOST_IN_FULL]]
    rest = [f"<li>{escape(_headline(event))}</li>" for event in message.events[MOST_IN_FULL:]]
    more = f"<ul>{''.join(rest)}</ul>" if rest else ""
    return (
        '<!doctype html><html><body style="font-family:sans-serif;font-size:14px;color:#1a202c">'
        f"{''.join(blocks)}{more}"
        f'<p style="color:#718096;font-size:12px">Tidegate, channel {escape(str(message.channel))}, '
        f"message {escape(message.delivery_id)}</p></body></html>"
    )


def _html_event(event: Event) -> str:
    headline, *lines = _told(event).split("\n")
    colour = "#2f855a" if event.is_resolved else _COLOURS[event.severity]
    body = "<br>".join(escape(line) for line in lines)
    return (
        f'<div style="border-left:4px solid {colour};padding:4px 12px;margin:12px 0">'
        f"<strong>{escape(headline)}</strong><br>{body}</div>"
    )


def trial_event(ref: ChannelRef, key: str, actor: str, at: datetime) -> Event:
    """What `tidegate notify test` sends."""
    return Event(
        key=key,
        kind=EventKind.TEST,
        severity=Severity.INFO,
        org=ref.org,
        topic=key,
        title=f"Test of channel {ref}",
        text=f"{actor} asked for this message. When you read it, the channel works.",
        at=at,
    )
