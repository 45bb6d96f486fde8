"""Keys that the engines of public sets ask for: derived from one secret of the organization, never stored.

A set's key is an HMAC of its name under the organization's engine key. Whoever holds that one secret (the platform's
process, the agents of gateways) has the key of every set, of sets too that are made later; one set's key tells nothing
about another's. The secret is lines of `kN SECRET`, the newest first: a set keeps the one that it was made with, so
that a rotation breaks no running set.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Self

from tidegate.domain.errors import InvalidInput
from tidegate.domain.secret import Secret

MIN_SECRET_CHARS = 32
PREFIX = "tg_engine_"
"""So that a key that leaked can be found by scanners."""
_PURPOSE = "tidegate engine key 1"
_CREDENTIAL = re.compile(r"engine-(k[0-9]{1,3})-(.+)")


@dataclass(frozen=True)
class EngineKeys:
    """The secrets of one organization by their ids, the newest first."""

    roots: tuple[tuple[str, Secret], ...]

    @classmethod
    def parse(cls, text: Secret) -> Self:
        """Raises: InvalidInput, without the text."""
        roots = tuple(_root(line.split()) for line in text.reveal().splitlines() if line.strip())
        if not roots or len(dict(roots)) != len(roots):
            raise _unreadable()
        return cls(roots)

    @property
    def newest(self) -> str:
        """The id for sets that are made now."""
        return self.roots[0][0]

    def key_of(self, set_name: str, key_id: str) -> Secret | None:
        """The key of one set; None when the secret of that id was taken away."""
        root = dict(self.roots).get(key_id)
        if root is None:
            return None
        message = f"{_PURPOSE}|{set_name}".encode()
        digest = hmac.new(root.reveal().encode(), message, hashlib.sha256).digest()
        return Secret(PREFIX + base64.urlsafe_b64encode(digest).decode().rstrip("="))


def engine_credential(key_id: str, set_name: str) -> str:
    """How a route names the key that a gateway presents to a set; the name tells everything but the secret."""
    return f"engine-{key_id}-{set_name}"


def parse_engine_credential(name: str) -> tuple[str, str] | None:
    """Id and set of such a name; None for the name of another credential."""
    match = _CREDENTIAL.fullmatch(name)
    return (match[1], match[2]) if match else None


def _root(parts: list[str]) -> tuple[str, Secret]:
    if len(parts) != 2 or not re.fullmatch(r"k[0-9]{1,3}", parts[0]) or len(parts[1]) < MIN_SECRET_CHARS:
        raise _unreadable()
    return parts[0], Secret(parts[1])


def _unreadable() -> InvalidInput:
    return InvalidInput(
        "The organization's engine keys cannot be read.",
        remedy=f"Each line is: kN SECRET, with at least {MIN_SECRET_CHARS} characters of secret, newest first.",
        field="secret",
    )
