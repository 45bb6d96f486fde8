"""RunPod's rate-limit headers, as values.

`RateLimit: "minute";r=12;t=34, "hour";...` says how many requests are left (r) and when the window ends
(t, seconds); `RateLimit-Policy: "minute";q=60;w=60, ...` says how large the windows are. `Retry-After`
holds seconds, or a date when a proxy wrote it.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

ITEM = re.compile(r'^\s*"?(?P<name>[^";]*)"?\s*(?P<rest>(?:;.*)?)$')
MAX_SECONDS = 7 * 86400.0


@dataclass(frozen=True)
class Window:
    """One limit: what is left of it and when it starts anew."""

    name: str
    remaining: int | None = None
    resets_in_s: float | None = None
    quota: int | None = None
    length_s: float | None = None

    @property
    def is_used_up(self) -> bool:
        return self.remaining is not None and self.remaining <= 0


@dataclass(frozen=True)
class RateLimits:
    """All limits that one reply told."""

    windows: tuple[Window, ...] = ()

    @property
    def wait_s(self) -> float:
        """How long the next request should wait: until every window that is used up has ended."""
        return max(
            (window.resets_in_s or 0.0 for window in self.windows if window.is_used_up),
            default=0.0,
        )


def parse_rate_limits(limit: str | None, policy: str | None = None) -> RateLimits:
    """Never fails: what cannot be read is left out, because a header must not stop a release."""
    left, sizes = _items(limit), _items(policy)
    names = dict.fromkeys([*left, *sizes])
    return RateLimits(
        tuple(
            Window(
                name=name,
                remaining=_whole(left.get(name, {}).get("r")),
                resets_in_s=_seconds(left.get(name, {}).get("t")),
                quota=_whole(sizes.get(name, {}).get("q")),
                length_s=_seconds(sizes.get(name, {}).get("w")),
            )
            for name in names
        )
    )


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait, from a number or a date; None when absent or unreadable."""
    if value is None:
        return None
    seconds = _seconds(value.strip())
    if seconds is not None:
        return seconds
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, min((at - (now or datetime.now(UTC))).total_seconds(), MAX_SECONDS))


def _items(header: str | None) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for item in (header or "").split(","):
        match = ITEM.match(item)
        if not match or not match["name"].strip():
            continue
        pairs = (part.partition("=") for part in match["rest"].split(";") if "=" in part)
        found[match["name"].strip()] = {key.strip().lower(): value.strip() for key, _, value in pairs}
    return found


def _whole(text: str | None) -> int | None:
    seconds = _seconds(text)
    return None if seconds is None else int(seconds)


def _seconds(text: str | None) -> float | None:
    """A number from 0 to a week. Anything else (nan, infinity, negative, 1e999) is no number of ours."""
    if text is None or not text.isascii():
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return min(value, MAX_SECONDS) if math.isfinite(value) and value >= 0 else None
