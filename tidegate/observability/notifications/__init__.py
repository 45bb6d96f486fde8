"""Tells people: mail, webhooks, chats, desktops. The outbox is the ledger's; what is sent when is decided here."""

from tidegate.observability.notifications.delivering import Courier, Organizations, Secrets, try_channel
from tidegate.observability.notifications.notifier import Notifier
from tidegate.observability.notifications.outbox import Outbox
from tidegate.observability.notifications.sending import Post, Sender, SendFailed, Unanswered

__all__ = [
    "Courier",
    "Notifier",
    "Organizations",
    "Outbox",
    "Post",
    "Secrets",
    "SendFailed",
    "Sender",
    "Unanswered",
    "try_channel",
]
