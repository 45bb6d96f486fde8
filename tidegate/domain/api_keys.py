"""API keys of the gateway's clients. Only their digests are kept; the clear text exists once, at creation."""

import hashlib
import re
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from tidegate.domain.errors import InvalidInput
from tidegate.domain.secret import Secret

API_KEY_PATTERN = r"[!-~]{8,512}"
KEY_NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"
LOCAL_KEY_NAME = "local"
"""The key of an organization that this installation keeps in its secret store, for its own demo and examples."""

_ID_LENGTH = 12


class ApiKeyState(StrEnum):
    LIVE = "live"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ApiKey(BaseModel):
    """What is known of a key. Keys of one name are generations of one client: rotation makes the next."""

    model_config = ConfigDict(frozen=True)

    org: str
    name: str
    digest: str = Field(description="SHA-256 of the key, in hexadecimal.")
    created_at: datetime
    created_by: str = ""
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def id(self) -> str:
        """Enough of the digest to tell keys of one name apart; it helps nobody to guess a key."""
        return self.digest[:_ID_LENGTH]

    def state(self, now: datetime) -> ApiKeyState:
        if self.revoked_at is not None:
            return ApiKeyState.REVOKED
        is_over = self.expires_at is not None and self.expires_at <= now
        return ApiKeyState.EXPIRED if is_over else ApiKeyState.LIVE


def key_digest(key: Secret, owner: str = "") -> str:
    """What is stored instead of a key. No salt and no slow hash: a key of 256 random bits cannot be guessed.

    Raises: InvalidInput, without the text, when it could not stand in a header.
    """
    text = key.reveal()
    if not re.fullmatch(API_KEY_PATTERN, text):
        raise InvalidInput(
            f"The API key{f' of {owner}' if owner else ''} is not usable in a header.",
            remedy="Use 8 to 512 visible ASCII characters without spaces.",
            field="key",
        )
    return hashlib.sha256(text.encode()).hexdigest()
