"""Channels in an organization's file: what is refused, and who is told of what."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from tidegate.domain.channel import Channel, ChannelRef
from tidegate.domain.errors import InvalidInput
from tidegate.domain.events import Event, EventKind, Severity

MAIL = {"host": "mail.example.org", "sender": "tidegate@example.org"}


def event(**fields: Any) -> Event:
    values = {"key": "k", "kind": "hold", "severity": "warning", "org": "acme", "service": "chat"}
    more = {"topic": "t", "title": "x", "at": datetime(2026, 11, 26, tzinfo=UTC)}
    return Event.model_validate(values | more | fields)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "chat"}, "needs an `address`"),
        ({"kind": "email", "address": "ops-mail"}, "`mail` says who carries it"),
        ({"kind": "chat", "address": "chat-url", "mail": MAIL}, "`mail` says who carries it"),
        ({"kind": "chat", "address": "chat-url", "signing_key": "some-key"}, "only webhooks are signed"),
        ({"kind": "chat", "address": "prefect-secret:chat"}, "only flows read prefect-secret"),
        ({"kind": "email", "address": "ops-mail", "mail": {**MAIL, "username": "u"}}, "belong together"),
        (
            {
                "kind": "email",
                "address": "ops-mail",
                "mail": {**MAIL, "username": "u", "password": "mail-password", "security": "none"},
            },
            "not sent in clear",
        ),
        (
            {"kind": "chat", "address": "chat-url", "quiet_hours": {"start": "22:00", "end": "22:00"}},
            "start and end are the same",
        ),
        (
            {
                "kind": "chat",
                "address": "chat-url",
                "quiet_hours": {"start": "22:00", "end": "07:00", "timezone": "Moon/Base"},
            },
            "is no time zone",
        ),
    ],
)
def test_a_channel_that_cannot_work_is_refused_when_it_is_read(fields: dict[str, Any], said: str):
    with pytest.raises(ValidationError, match=said):
        Channel.model_validate(fields)


def test_every_secret_of_a_channel_is_named_by_its_field():
    mail = {**MAIL, "username": "u", "password": "mail-password"}
    one = Channel.model_validate({"kind": "email", "address": "ops-mail", "mail": mail})
    assert one.secrets == {"address": "ops-mail", "mail.password": "mail-password"}


@pytest.mark.parametrize(
    ("channel", "happened", "is_told"),
    [
        ({}, {}, True),
        ({}, {"org": "bolt"}, False),
        ({}, {"org": None}, False),
        ({"installation": True}, {"org": None, "service": None}, True),
        ({"events": ["drift"]}, {}, False),
        ({"events": ["hold"]}, {}, True),
        ({"min_severity": "critical"}, {}, False),
        ({"min_severity": "critical"}, {"severity": Severity.CRITICAL}, True),
        ({"services": ["search-*"]}, {}, False),
        ({"services": ["search-*"]}, {"service": None}, True),
        ({}, {"kind": EventKind.TEST}, False),
    ],
)
def test_a_channel_is_told_what_it_asks_for_of_its_own_organization(
    channel: dict[str, Any], happened: dict[str, Any], is_told: bool
):
    one = Channel.model_validate({"kind": "chat", "address": "chat-url", **channel})
    assert (one.refuses("acme", event(**happened)) == "") is is_told


def test_a_channel_is_named_by_organization_and_name():
    assert str(ChannelRef.parse("acme/on-call")) == "acme/on-call"
    for text in ("acme", "/x", "acme/"):
        with pytest.raises(InvalidInput, match="ORGANIZATION/CHANNEL"):
            ChannelRef.parse(text)
