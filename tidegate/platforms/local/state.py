"""What the platform remembers of a set, on disk only: any process of ours may read it and go on from there."""

import os
import re
import shutil
import uuid
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tidegate.domain import InvalidInput, NeedsOperator, SetSpec
from tidegate.platforms.local.launcher import write_atomically

SET_NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,120}")
SET_FILE = "set.json"
PROCESS_FILE = "process.json"
READY_FILE = "ready.json"
LOG_FILE = "engine.log"
PREVIOUS_LOG_FILE = "engine.log.1"

Model = TypeVar("Model", bound=BaseModel)


class Wanted(StrEnum):
    """What was last asked for; what is, is read from the process."""

    RUNNING = "running"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    DELETED = "deleted"


class SetRecord(BaseModel):
    """The order for one set and how often it has gone wrong."""

    model_config = ConfigDict(frozen=True)

    spec: SetSpec
    wanted: Wanted
    changed_at: datetime
    port: int | None = None
    restarts: int = 0
    memory_deaths: int = 0
    crashes: int = 0
    retry_at: float | None = None
    gave_up: str = ""
    note: str = ""


class ProcessRecord(BaseModel):
    """The engine process, written by itself just before it becomes the engine."""

    model_config = ConfigDict(frozen=True)

    pid: int
    identity: str
    port: int
    started_at: float


class ReadyRecord(BaseModel):
    """When that process was first seen ready."""

    model_config = ConfigDict(frozen=True)

    identity: str
    ready_at: float
    load_seconds: float


class SetFolder:
    """Files of one set. Every write replaces a whole file; a missing file reads as None."""

    def __init__(self, sets_dir: Path, name: str):
        if not SET_NAME_PATTERN.fullmatch(name):
            raise InvalidInput(
                f"'{name}' is not a name of a set.",
                remedy="Use lower-case letters, digits and dashes, as tidegate.domain.set_name makes them.",
                field="name",
            )
        self.name = name
        self.path = sets_dir / name
        self.lock_path = sets_dir.parent / "locks" / f"{name}.lock"

    def record(self) -> SetRecord | None:
        return _read(self.path / SET_FILE, SetRecord)

    def process(self) -> ProcessRecord | None:
        return _read(self.path / PROCESS_FILE, ProcessRecord)

    def ready(self) -> ReadyRecord | None:
        return _read(self.path / READY_FILE, ReadyRecord)

    def save(self, record: SetRecord) -> SetRecord:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(self.path / SET_FILE, record.model_dump_json())
        return record

    def save_ready(self, ready: ReadyRecord) -> None:
        write_atomically(self.path / READY_FILE, ready.model_dump_json())

    def forget_process(self) -> None:
        (self.path / PROCESS_FILE).unlink(missing_ok=True)
        (self.path / READY_FILE).unlink(missing_ok=True)

    def rotate_log(self) -> None:
        """Keep the log of the previous process beside the new one."""
        log = self.path / LOG_FILE
        if log.exists() and log.stat().st_size:
            log.replace(self.path / PREVIOUS_LOG_FILE)

    def bound_log(self, max_bytes: int) -> None:
        """Move the end of an overgrown log aside and empty it; the engine goes on appending to the same file."""
        log = self.path / LOG_FILE
        if not log.exists() or log.stat().st_size <= max_bytes:
            return
        (self.path / PREVIOUS_LOG_FILE).write_bytes(_tail(log, max_bytes))
        os.truncate(log, 0)

    def log_tail(self, lines: int, max_bytes: int = 256 * 1024) -> str:
        """Last lines of the log, reaching into the previous one when the present one is shorter."""
        if lines < 1:
            return ""
        text = "".join(
            _tail(self.path / name, max_bytes).decode(errors="replace")
            for name in (PREVIOUS_LOG_FILE, LOG_FILE)
        )
        return "\n".join(text.splitlines()[-lines:])

    def last_words(self, lines: int) -> str:
        """Last lines of the newest process alone."""
        text = _tail(self.path / LOG_FILE, 16 * 1024).decode(errors="replace")
        return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])

    def remove(self) -> None:
        """Forget the set in one step; what a crash leaves in the trash is swept later."""
        trash_dir = self.path.parent.parent / "trash"
        trash_dir.mkdir(exist_ok=True)
        if self.path.exists():
            self.path.rename(trash_dir / f"{self.name}.{uuid.uuid4().hex}")
        sweep(trash_dir)


def sweep(trash_dir: Path) -> None:
    """Delete what was removed from the sets; another process may be sweeping too."""
    for leftover in trash_dir.glob("*"):
        shutil.rmtree(leftover, ignore_errors=True)


def set_names(sets_dir: Path) -> list[str]:
    """Names of every set that is known, in order."""
    return sorted(path.parent.name for path in sets_dir.glob(f"*/{SET_FILE}"))


def _read(path: Path, kind: type[Model]) -> Model | None:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as problem:
        raise NeedsOperator(
            f"{path} is damaged: {problem.error_count()} fields cannot be read.",
            remedy="Restore the file, or end the set's process yourself and remove its folder.",
            path=path,
        ) from problem


def _tail(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - max_bytes))
            return file.read(max_bytes)
    except FileNotFoundError:
        return b""
