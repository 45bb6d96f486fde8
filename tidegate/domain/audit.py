"""The audit log as values: who did what to which service, from where, with what evidence. Pure.

Every entry holds the hash of the one before it and of its own canonical JSON. An entry that was changed, removed,
inserted or moved breaks that chain at its place. A chain that was cut at its end, or written anew from some entry on,
is whole in itself: only an `Anchor` that was kept elsewhere can tell.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, cast

GENESIS = "0" * 64
"""What the first entry holds in place of a former hash."""
SEALED = (
    "number",
    "at",
    "actor",
    "interface",
    "action",
    "org",
    "service",
    "release_id",
    "subject",
    "reason",
    "evidence",
    "former",
)
"""The fields that the hash of an entry covers: all but the hash itself."""


class Interface(StrEnum):
    """From where something was asked."""

    CLI = "cli"
    """A command on this installation."""
    FLOW = "flow"
    """A run of a flow that somebody started, in Prefect's UI or by its API."""
    SCHEDULE = "schedule"
    """A run of a flow that a schedule or an automation started."""
    API = "api"
    """The HTTP API of the console."""
    TOKEN = "token"
    """A request token proved who asks, wherever it was handed in."""
    AGENT = "agent"
    """A process of the stack, by itself."""


@dataclass(frozen=True)
class Deed:
    """Something that was done, before it has its place in the chain."""

    action: str
    """What, as `release.requested`."""
    actor: str
    interface: Interface
    at: str
    """UTC, as text: what is hashed is what is stored."""
    org: str | None = None
    service: str | None = None
    release_id: str | None = None
    subject: str = ""
    """To what, when that is neither a service nor a release: a key, a digest, a gateway."""
    reason: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Digests, ids and numbers that show what was known. Never content, never a secret."""


@dataclass(frozen=True)
class Anchor:
    """The newest entry at some time, to be kept where nobody who can write the ledger can write."""

    number: int
    hash: str


@dataclass(frozen=True)
class Break:
    """The first entry that is not as it was written, and how that shows."""

    number: int
    why: str


@dataclass(frozen=True)
class Verified:
    """What a look over the whole chain found."""

    entries: int
    newest: Anchor | None
    broken: Break | None

    @property
    def is_whole(self) -> bool:
        return self.broken is None


def sealed(deed: Deed, number: int, former: str) -> dict[str, Any]:
    """The entry of a deed, as it is stored."""
    stored = asdict(deed) | {
        "interface": deed.interface.value,
        "evidence": canonical(deed.evidence),
        "number": number,
        "former": former,
    }
    return stored | {"hash": entry_hash(stored)}


def entry_hash(entry: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of everything but the hash itself. Raises: ValueError for what is no entry."""
    evidence = _evidence(entry)
    said = {name: entry[name] for name in SEALED} | {"evidence": evidence}
    return hashlib.sha256(canonical(said).encode()).hexdigest()


def shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry for people and programs, its evidence as an object: `entry_hash` of it can be computed by anybody."""
    try:
        return {**entry, "evidence": json.loads(str(entry["evidence"]))}
    except ValueError:
        return dict(entry)


def canonical(data: Any) -> str:
    """JSON in exactly one form: sorted keys, no spaces, ASCII."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def verify(entries: Iterable[Mapping[str, Any]], anchors: Iterable[Anchor] = ()) -> Verified:
    """Follow the chain from its first entry. `entries` come in the order of their numbers."""
    anchored = sorted(anchors, key=lambda anchor: anchor.number)
    wanted = {anchor.number: anchor for anchor in anchored}
    former, last = GENESIS, 0
    for entry in entries:
        last += 1
        why = _why_broken(entry, last, former) or _why_other(entry, wanted.get(last))
        if why:
            return Verified(last - 1, _newest(last - 1, former), Break(last, why))
        former = str(entry["hash"])
    missing = next((anchor for anchor in anchored if anchor.number > last), None)
    if missing is not None:
        why = f"it is missing, and all after it: the anchor names entry {missing.number}"
        return Verified(last, _newest(last, former), Break(last + 1, why))
    return Verified(last, _newest(last, former), None)


def _newest(number: int, digest: str) -> Anchor | None:
    return Anchor(number, digest) if number else None


def _why_broken(entry: Mapping[str, Any], number: int, former: str) -> str:
    found = entry.get("number")
    if found != number:
        return f"it is missing: the next one that is there has the number {found}"
    if entry.get("former") != former:
        return "it does not follow the entry before it: one was removed, inserted, moved or written anew"
    try:
        is_own = entry_hash(entry) == entry.get("hash")
    except (ValueError, TypeError, KeyError):
        is_own = False
    return "" if is_own else "its content is not what was written"


def _why_other(entry: Mapping[str, Any], anchor: Anchor | None) -> str:
    if anchor is None or entry.get("hash") == anchor.hash:
        return ""
    return "it is another one than the anchor names: the log was written anew from here, or from before"


def _evidence(entry: Mapping[str, Any]) -> Any:
    """Stored as its canonical text. Any other text of the same meaning was written by somebody else."""
    said = entry["evidence"]
    if not isinstance(said, str):
        return cast("object", said)
    evidence = json.loads(said)
    if canonical(evidence) != said:
        raise ValueError("the evidence is not in its canonical form")
    return evidence
