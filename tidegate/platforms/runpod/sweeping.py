"""Orphans: what carries our names at RunPod and belongs to no set that anybody knows. It costs money until removed.

The decision is pure; a resource is only touched when its name is one of ours, its organization is the
account's, and it is old enough that no create can still be under way.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from tidegate.domain import owner_of_set
from tidegate.platforms.runpod.pod_diagnosis import OVER
from tidegate.platforms.runpod.replies import Endpoint, Pod

GRACE = timedelta(minutes=15)


@dataclass(frozen=True)
class Orphan:
    """Something to remove, and why."""

    kind: Literal["endpoint", "pod"]
    id: str
    name: str
    reason: str


def find_orphans(
    org: str,
    endpoints: Iterable[Endpoint],
    pods: Iterable[Pod],
    known: Collection[str],
    now: datetime,
    grace: timedelta = GRACE,
) -> tuple[Orphan, ...]:
    """Sets that nobody knows, and the younger ones of several that have one name (a create that was sent twice)."""
    found: list[Orphan] = []
    oldest: dict[str, str] = {}
    kinds: list[tuple[Literal["endpoint", "pod"], list[Endpoint] | list[Pod]]] = [
        ("endpoint", list(endpoints)),
        ("pod", list(pods)),
    ]
    for kind, resources in kinds:
        for one in sorted(resources, key=_by_rank):
            owner = owner_of_set(one.name)
            is_old = one.created_at is not None and now - one.created_at >= grace
            if owner is None or owner.org != org or not is_old:
                # A young one still counts as the first of its name: it may be the one that is kept.
                oldest.setdefault(one.name, one.id)
                continue
            if one.name not in known:
                found.append(Orphan(kind, one.id, one.name, "no set of this name is recorded"))
            elif oldest.setdefault(one.name, one.id) != one.id:
                found.append(Orphan(kind, one.id, one.name, "an older one has the same name"))
    return tuple(found)


def _by_rank(one: Endpoint | Pod) -> tuple[bool, str, str]:
    """The oldest stays; of pods, one that runs before one that is over, which a lost machine left behind."""
    is_over = isinstance(one, Pod) and one.status in OVER
    return (is_over, one.created_at.isoformat() if one.created_at else "", one.id)
