"""Folds a release's journal into what `decide` needs. Pure."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from tidegate.domain import JournalEntry, Release, ReleaseState
from tidegate.release.observation import View

_MOVING = ReleaseState.SHIFTING.value
_FOR_CAPACITY = frozenset({ReleaseState.PARKED.value, ReleaseState.PROVISIONING.value})


def fold_view(release: Release, entries: Sequence[JournalEntry]) -> View:
    """Fold the journal. `observed` and `intents` hold only what came after the present state was entered;
    `facts` the last `entered` row of each state; an abort or the newest approval counts once, until acted upon."""
    last_entered = max((index for index, entry in enumerate(entries) if entry.kind == "entered"), default=-1)
    current = entries[last_entered] if last_entered >= 0 else None
    recent = entries[last_entered + 1 :]
    attempts = Counter(
        entry.name.removeprefix("gate:")
        for entry in entries
        if entry.kind == "observed" and entry.name.startswith("gate:")
    )
    return View(
        release=release,
        entered_at=current.at if current else release.created_at,
        data=current.data if current else {},
        observed={entry.name: entry for entry in recent if entry.kind == "observed"},
        facts={entry.name: entry for entry in entries if entry.kind == "entered"},
        intents=frozenset(entry.name for entry in entries if entry.kind == "intent"),
        gate_attempts=attempts,
        abort=next((entry for entry in entries if entry.kind == "abort"), None),
        approval=next(
            (entry for entry in reversed(recent) if entry.kind == "note" and entry.name == "approve"), None
        ),
        probe_rounds=_rounds(recent, "probes"),
        identity_rounds=_rounds(recent, "identity"),
        moved_at=next(
            (entry.at for entry in entries if (entry.kind, entry.name) == ("entered", _MOVING)), None
        ),
        parked_since=_parked_since(entries),
    )


def _parked_since(entries: Sequence[JournalEntry]) -> datetime | None:
    since: datetime | None = None
    for entry in reversed(entries):
        if entry.kind == "entered" and entry.name not in _FOR_CAPACITY:
            break
        if entry.kind == "entered" and entry.name == ReleaseState.PARKED.value:
            since = entry.at
    return since


def _rounds(recent: Sequence[JournalEntry], name: str) -> int:
    return sum(1 for entry in recent if entry.kind == "observed" and entry.name == name)
