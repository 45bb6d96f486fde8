"""What a message says, and that nothing of what others said acts in it."""

import json
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest

from tidegate.domain.channel import ChannelRef
from tidegate.domain.events import Event
from tidegate.observability.notifications.messages import Message, mail, webhook_body

AT = datetime(2026, 11, 26, 3, 4, 5, tzinfo=UTC)
OPS = ChannelRef("acme", "ops")


def event(number: int = 1, **fields: Any) -> Event:
    values = {"number": number, "key": f"k{number}", "kind": "hold", "severity": "warning", "org": "acme"}
    more = {"service": "chat", "topic": "release/r-1", "title": f"title {number}", "text": "why", "at": AT}
    return Event.model_validate(values | more | fields)


def message(*events: Event) -> Message:
    return Message("n-1", OPS, events or (event(),))


def parsed(one: Message) -> Any:
    made = mail(one, "tidegate@example.org", ["ada@example.org", "bo@example.org"], AT)
    return message_from_bytes(made.as_bytes(), policy=default)


def test_one_event_says_what_where_when_why_and_what_to_do():
    one = message(event(remedy="Look.", release_id="r-1", data={"failed_checks": ["quality.score"]}))
    assert one.subject == "[tidegate] WARNING: title 1"
    for part in ("title 1", "why", "2026-11-26 03:04:05 UTC", "acme/chat", "r-1", "quality.score", "Look."):
        assert part in one.text


def test_a_digest_counts_its_events_and_leads_with_the_worst():
    one = message(*map(event, range(1, 30)), event(40, severity="critical", title="burning"))
    assert one.subject == "[tidegate] 30 events, CRITICAL: burning"
    assert all(f"title {number}" in one.text for number in range(1, 30))


def test_a_mail_has_one_identity_and_the_thread_of_its_topic():
    first, later = parsed(message()), parsed(Message("n-2", OPS, (event(2),)))
    assert (first["Message-ID"], later["Message-ID"]) == ("<n-1@example.org>", "<n-2@example.org>")
    assert first["References"] == later["References"] == later["In-Reply-To"]
    assert parsed(message(event(3, topic="other")))["References"] != first["References"]
    assert parsed(message(event(1), event(3, topic="other")))["References"] is None
    assert first["To"] == "ada@example.org, bo@example.org"
    assert (first["Auto-Submitted"], first["List-Id"]) == ("auto-generated", "<ops.acme.tidegate>")
    assert "why" in first.get_body(("plain",)).get_content()


@pytest.mark.parametrize("hostile", ["x\r\nBcc: evil@example.org", "x\nSubject: y", "\x1b[2J\u202eevil\x00"])
def test_what_others_said_is_never_a_header_or_a_control_code(hostile: str):
    one = message(event(title=hostile, text=hostile, remedy=hostile))
    made = parsed(one)
    assert made["Bcc"] is None
    assert made.get_all("Subject") == [one.subject]
    assert not any(code in one.text + one.subject for code in "\x1b\u202e\x00\r")


def test_what_others_said_is_never_markup():
    html = parsed(message(event(title="<script>alert(1)</script>", text="<img src=x>")))
    content = html.get_body(("html",)).get_content()
    assert "<script>" not in content
    assert "<img" not in content
    assert "&lt;script&gt;" in content


def test_a_line_that_is_a_dot_ends_no_mail():
    made = mail(message(event(text="before\n.\nafter")), "t@example.org", ["a@example.org"], AT).as_bytes()
    assert b"after" in made


def test_a_webhook_gets_the_same_bytes_at_every_try():
    one = message(event(data={"digest": "a" * 64}))
    assert webhook_body(one) == webhook_body(Message("n-1", OPS, one.events, attempt=5))
    told = json.loads(webhook_body(one))
    assert (told["version"], told["id"], told["channel"]) == (1, "n-1", "acme/ops")
    assert told["events"][0]["kind"] == "hold"
    assert "trouble" not in told["events"][0]
