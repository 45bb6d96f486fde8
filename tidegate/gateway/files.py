"""Files that appear whole or not at all, and the lock that makes one process their writer."""

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from tidegate.domain import Refused

OWNER_ONLY_FILE = 0o600
OWNER_ONLY_FOLDER = 0o700


def write_whole(path: Path, content: bytes, *, is_durable: bool = True) -> None:
    """Replace the file by rename, the only change that Envoy notices; readable by its owner only.

    Args:
        is_durable: whether it must survive a loss of power; waiting for the disk takes about 10 ms.
    """
    path.parent.mkdir(mode=OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY_FILE)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        if is_durable:
            os.fsync(file.fileno())
    os.replace(fresh, path)


def read_bytes(path: Path) -> bytes | None:
    """The content, or None when there is no such file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def read_json(path: Path) -> dict[str, Any] | None:
    """The content, or None when it is missing or is not a JSON object."""
    content = read_bytes(path)
    if content is None:
        return None
    try:
        value = json.loads(content)
    except ValueError:
        return None
    return cast(dict[str, Any], value) if isinstance(value, dict) else None


@contextmanager
def single_writer(path: Path) -> Generator[None]:
    """Hold the lock of a gateway's folder.

    Raises:
        Refused: when another process holds it.
    """
    path.parent.mkdir(mode=OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as busy:
            raise Refused(
                f"Another process already runs the gateway in {path.parent}.",
                remedy="Stop it first, or give this gateway a folder of its own.",
            ) from busy
        yield
