"""Where ids and the time come from when nobody passes others in."""

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: sorts like the number it stands for, and has no letters that look like digits."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_release_id(now_ns: Callable[[], int] = time.time_ns) -> str:
    """`r-` + milliseconds since 1970 (9 digits, good until the year 3084) + 35 random bits (7 digits).

    Ids of later milliseconds sort higher. No dots, because names of sets and clusters are made from it.
    """
    return f"r-{_base32(now_ns() // 1_000_000, 9)}{_base32(secrets.randbits(35), 7)}"


def _base32(value: int, digits: int) -> str:
    return "".join(ALPHABET[(value >> (5 * place)) & 31] for place in reversed(range(digits)))
