"""What carries a message away: one small protocol, and the words for what goes wrong. Never an address in any of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tidegate.domain import Secret
from tidegate.domain.channel import Channel
from tidegate.observability.notifications.messages import Message

CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 5.0, 15.0
MAX_ERROR = 300


@dataclass(frozen=True)
class Post:
    """A message with the channel that it goes to, and its secrets by field (`address`, `mail.password`, ...)."""

    message: Message
    channel: Channel
    secrets: Mapping[str, Secret]

    @property
    def address(self) -> str:
        return self.secrets["address"].reveal()


class Sender(Protocol):
    """Carries messages of one kind of channel."""

    def send(self, post: Post, begin: Callable[[], None]) -> str:
        """Returns what the channel answered. Calls `begin` once, right before the first byte that cannot be taken
        back: what it raises (another owner has the message) goes through, and nothing is sent then.

        Raises: SendFailed; Unanswered when it may have arrived.
        """
        ...


class SendFailed(Exception):
    """The channel did not take it. `is_final`: trying again cannot help until somebody changes something."""

    def __init__(self, reason: str, *, is_final: bool = False, retry_after_s: float | None = None):
        super().__init__(reason)
        self.is_final = is_final
        self.retry_after_s = retry_after_s


class Unanswered(Exception):
    """It went out, and no answer came: nobody knows whether it arrived."""


def without(text: str, post: Post) -> str:
    """What somebody else's code said, on one line and without any part of an address or a secret in it."""
    for secret in post.secrets.values():
        for part in _pieces(secret.reveal()):
            text = text.replace(part, "***")
    return " ".join(text.split())[:MAX_ERROR]


def _pieces(secret: str) -> list[str]:
    """The whole secret and its parts that are long enough to mean something, the longest first."""
    pieces = {secret}
    for separator in ("/", "@", ":", "?", "&", "=", ",", " "):
        pieces |= {piece for whole in tuple(pieces) for piece in whole.split(separator)}
    return sorted((piece for piece in pieces if len(piece) >= 4), key=len, reverse=True)
