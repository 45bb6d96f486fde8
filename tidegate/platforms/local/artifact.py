"""Proof that the file handed to an engine is the artifact that was ordered.

An engine repeats whatever alias it was given; only the digest of the bytes shows what it loads.
"""

import hashlib
import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tidegate.platforms.local.launcher import write_atomically

MAX_REMEMBERED = 256

_Seen = TypeAdapter(dict[str, str])


def artifact_problem(path: Path, digest: str, seen_file: Path) -> str | None:
    """Why the file must not be served, or None. A file that did not change since is not read again."""
    try:
        facts = path.stat()
        key = f"{facts.st_dev}:{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"
        seen = _load(seen_file)
        found = seen.get(key)
        if found is None:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            _remember(seen_file, seen, key, found)
    except OSError as problem:
        return f"The artifact {path} cannot be read ({problem.strerror}). Fetch it again."
    if found != digest:
        return f"The artifact {path} has digest {found[:12]} and not {digest[:12]}: it is damaged. Fetch it again."
    return None


def _load(seen_file: Path) -> dict[str, str]:
    """What was read before; anything unreadable only costs reading the artifact once more."""
    try:
        return _Seen.validate_json(seen_file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return {}


def _remember(seen_file: Path, seen: dict[str, str], key: str, digest: str) -> None:
    newest = list(seen.items())[1 - MAX_REMEMBERED :]
    write_atomically(seen_file, json.dumps(dict([*newest, (key, digest)])))
