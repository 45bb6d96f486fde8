"""What a channel is told, and when: repeats, quiet hours, buckets, digests, retries. Pure: the time is passed in."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from tidegate.domain.channel import Channel, QuietHours, Rate
from tidegate.domain.deliveries import Bundle, Sending, Standing, Told
from tidegate.domain.events import Event, EventKind

URGENT_SPACING = timedelta(seconds=2)
"""Between urgent messages of a channel whose bucket is empty: a storm is told in digests, and told at once."""
LATE = timedelta(seconds=30)
"""What waited longer than this was held back: it comes as one message."""
MAX_ATTEMPTS = 12
CLOCKS_DIFFER = timedelta(seconds=5)
"""Between machines. What was made later than that after now was made by a clock that was wrong, and is put right."""
FIRST_RETRY_S, FIRST_URGENT_RETRY_S, MAX_RETRY_S = 5.0, 1.0, 900.0
MAX_RETRY_AFTER_S = 3600.0
MOST_HOURS_REMEMBERED = 400 * 24.0
"""A bucket that needs longer to be full again is none; and no time is before the first year."""


def decide(channel: Channel, standing: Standing, now: datetime) -> Sending:
    """The messages that are due now, the most urgent first. Every waiting event is in one of them, dropped as a repeat,
    or goes on waiting; one that is urgent waits for nothing but `URGENT_SPACING`."""
    kept, dropped = without_repeats(standing, channel.repeat_after)
    urgent = [event for event in kept if event.is_urgent]
    others = [event for event in kept if not event.is_urgent]
    sent = [min(moment, now) for moment in standing.messages if moment <= now + CLOCKS_DIFFER]
    bundles: list[Bundle] = []
    room = int(max(tokens(channel.rate, sent, now), 0))
    for bundle in _bundled(urgent, min(channel.digest.after, room)):
        if may_send_urgent(channel.rate, sent, now):
            bundles.append(bundle)
            sent.append(now)
    if others and not _is_held(channel, sent, now):
        for bundle in _bundled(others, channel.digest.after, _as_one(channel.quiet_hours, others, now)):
            if tokens(channel.rate, sent, now) >= 1:
                bundles.append(bundle)
                sent.append(now)
    return Sending(tuple(bundles), tuple(dropped))


def horizon(channel: Channel) -> timedelta:
    """How far back messages are read: a bucket that was left alone for so long is full again, whatever happened before.
    Debt that is older is forgiven, so that a channel which never rests is held back a little less."""
    hours = min(2 * channel.rate.burst / channel.rate.per_hour, MOST_HOURS_REMEMBERED)
    return max(timedelta(hours=hours), channel.digest.window) + URGENT_SPACING


def without_repeats(standing: Standing, window: timedelta) -> tuple[list[Event], list[Event]]:
    """The events to tell, and those whose trouble the channel was told of within the window. Worse news, and news that
    it is over or back again, are no repeats. News that was overtaken, while it waited, by news that could not wait is
    not told either: in the morning it would say that a trouble is over which has been back since."""
    told, kept, dropped = dict(standing.told), list[Event](), list[Event]()
    for event in standing.waiting:
        last = told.get(event.trouble) if event.trouble else None
        if last is not None and (last.number > event.number or _is_repeat(event, last, window)):
            dropped.append(event)
            continue
        kept.append(event)
        if event.trouble:
            told[event.trouble] = Told(event.at, event.severity, event.is_resolved, event.number)
    return kept, dropped


def _is_repeat(event: Event, last: Told, window: timedelta) -> bool:
    """A clock that was put back must not make everything a repeat until it is where it was."""
    if last.is_resolved != event.is_resolved:
        return False
    return event.severity.rank <= last.severity.rank and abs(event.at - last.at) < window


def tokens(rate: Rate, sent: Iterable[datetime], now: datetime) -> float:
    """What is in the bucket after these messages (oldest first). Below zero when urgent ones took more than there was,
    but never lower than an empty second bucket: then a storm of them would silence the rest for ever."""
    level, at = float(rate.burst), None
    for moment in sent:
        level = max(_filled(rate, level, at, moment) - 1, -float(rate.burst))
        at = moment
    return _filled(rate, level, at, now)


def _filled(rate: Rate, level: float, since: datetime | None, until: datetime) -> float:
    if since is None:
        return level
    added = (until - since).total_seconds() * rate.per_hour / 3600
    return min(float(rate.burst), level + max(added, 0.0))


def may_send_urgent(rate: Rate, sent: Sequence[datetime], now: datetime) -> bool:
    return not sent or tokens(rate, sent, now) >= 1 or now - sent[-1] >= URGENT_SPACING


def _is_held(channel: Channel, sent: Sequence[datetime], now: datetime) -> bool:
    if channel.quiet_hours is not None and channel.quiet_hours.holds(now):
        return True
    recent = [moment for moment in sent if now - moment < channel.digest.window]
    return len(recent) >= channel.digest.after


def _as_one(quiet: QuietHours | None, events: Sequence[Event], now: datetime) -> bool:
    """They were held back, by whatever: what piled up comes together."""
    return any(now - event.at > LATE or (quiet is not None and quiet.holds(event.at)) for event in events)


def _bundled(events: Sequence[Event], most: int, as_one: bool = False) -> list[Bundle]:
    """What came together stays together; more than `most` messages at once are one. A test stands alone."""
    alone = [Bundle((event,)) for event in events if event.kind is EventKind.TEST]
    groups: dict[str, list[Event]] = {}
    for event in events:
        if event.kind is not EventKind.TEST:
            groups.setdefault(f"group {event.group}" if event.group else f"event {event.key}", []).append(
                event
            )
    if as_one or len(groups) > most:
        together = tuple(event for group in groups.values() for event in group)
        return alone + ([Bundle(together)] if together else [])
    return alone + [Bundle(tuple(group)) for group in groups.values()]


def next_try(
    delivery_id: str, attempts: int, now: datetime, *, is_urgent: bool, retry_after_s: float | None = None
) -> datetime | None:
    """When a message that failed `attempts` times is tried again; None when it is given up. Twice as long each time,
    with a spread that the id and the try give, so that many that failed together do not come back together."""
    if attempts >= MAX_ATTEMPTS:
        return None
    first = FIRST_URGENT_RETRY_S if is_urgent else FIRST_RETRY_S
    wait = min(first * 2 ** (attempts - 1), MAX_RETRY_S) * (0.75 + 0.5 * _spread(f"{delivery_id}/{attempts}"))
    if retry_after_s is not None:
        wait = max(wait, min(retry_after_s, MAX_RETRY_AFTER_S))
    return now + timedelta(seconds=wait)


def _spread(text: str) -> float:
    """0 to 1, evenly, always the same for the same text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) / 2**32
