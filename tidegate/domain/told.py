"""A digest of what somebody was told, with a short mark for each part: later it can be said which parts differ. Pure.

The digest binds: it is SHA-256 over all parts. The marks only name, so that whoever holds nothing but this text learns
what is other than it was, on any machine and without a store of what was told.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

MARK = 4
"""Hex digits of each mark: that a part differs and its mark does not has a chance of 1 in 65536."""


def told_digest(parts: Mapping[str, Any]) -> str:
    """`DIGEST.MARKS`: 64 hex digits, a dot, and four for each part in the order of their names."""
    marks = "".join(_hash(parts[name])[:MARK] for name in sorted(parts))
    return f"{_hash(dict(parts))}.{marks}"


def differing(told: str, parts: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the parts that are other than what was told; all of them where the marks cannot tell. Empty: the same."""
    digest, _, marks = told.strip().partition(".")
    if digest == _hash(dict(parts)):
        return ()
    names = sorted(parts)
    known = [marks[at : at + MARK] for at in range(0, len(marks), MARK)]
    if len(known) != len(names):
        return tuple(names)
    found = tuple(name for name, mark in zip(names, known, strict=True) if mark != _hash(parts[name])[:MARK])
    return found or tuple(names)


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
