"""Keys that sign the request tokens of one organization, as one secret: a line each, the newest first.

    k2 <secret>
    k1 <secret> <seconds since 1970 until which it still verifies>

One secret holds them all, so that a rotation is one atomic replacement. Pure.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from tidegate.domain import InvalidInput, Secret

MIN_KEY_CHARS = 32


@dataclass(frozen=True)
class RequestKey:
    """One key. `until` is None for the present one."""

    id: str
    secret: Secret
    until: datetime | None = None


@dataclass(frozen=True)
class RequestKeys:
    """The present key and those that were replaced but still verify."""

    keys: tuple[RequestKey, ...]

    @classmethod
    def parse(cls, text: Secret) -> Self:
        """Raises: InvalidInput, without the text."""
        keys = tuple(_key(line.split()) for line in text.reveal().splitlines() if line.strip())
        if not keys or keys[0].until is not None or len({key.id for key in keys}) != len(keys):
            raise _unreadable()
        return cls(keys)

    @property
    def present(self) -> RequestKey:
        """The key that signs."""
        return self.keys[0]

    def verifying(self, now: datetime) -> tuple[RequestKey, ...]:
        return tuple(key for key in self.keys if key.until is None or now < key.until)

    def rotated(self, random_text: str, now: datetime, overlap: timedelta) -> Self:
        """With a new present key; the former one verifies until `overlap` is over, so that no token dies early."""
        newest = max(int(key.id[1:]) for key in self.keys)
        former = RequestKey(self.present.id, self.present.secret, now + overlap)
        kept = [key for key in (former, *self.keys[1:]) if key.until is not None and now < key.until]
        return type(self)((RequestKey(f"k{newest + 1}", Secret(random_text)), *kept))

    def as_secret(self) -> Secret:
        """The text that `parse` reads."""
        return Secret("\n".join(_line(key) for key in self.keys))


def _line(key: RequestKey) -> str:
    until = f" {int(key.until.timestamp())}" if key.until else ""
    return f"{key.id} {key.secret.reveal()}{until}"


def _key(parts: list[str]) -> RequestKey:
    is_named = parts[0][:1] == "k" and parts[0][1:].isdecimal()
    if len(parts) not in (2, 3) or not is_named or len(parts[1]) < MIN_KEY_CHARS:
        raise _unreadable()
    if len(parts) == 2:
        return RequestKey(parts[0], Secret(parts[1]))
    if not parts[2].isdecimal():
        raise _unreadable()
    return RequestKey(parts[0], Secret(parts[1]), datetime.fromtimestamp(int(parts[2]), UTC))


def _unreadable() -> InvalidInput:
    return InvalidInput(
        "The keys for request tokens cannot be read.",
        remedy=f"Each line is: kN SECRET [UNTIL], with at least {MIN_KEY_CHARS} characters of secret, newest first.",
        field="secret",
    )
