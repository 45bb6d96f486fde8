"""`stack.json`: what runs, for other commands and for the next supervisor. Never holds a secret."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from tidegate.stack.specification import ProcessStatus

FORMAT = 1
STACK_FILE = "stack.json"
LOCK_FILE = "stack.lock"


@dataclass(frozen=True)
class Identity:
    """A process for good: the number alone may be given to another one later, number and start time never."""

    pid: int
    started: str


@dataclass(frozen=True)
class ProcessRecord:
    """One process as last seen by the supervisor."""

    name: str
    kind: str
    status: ProcessStatus
    log: str
    identity: Identity | None = None
    fingerprint: str = ""
    restarts: int = 0
    since: float = 0.0
    ready_s: float | None = None
    last_exit: str = ""


@dataclass(frozen=True)
class StackRecord:
    """The whole stack as last seen by its supervisor."""

    home: str
    state: str
    """`starting`, `ready`, `degraded` (something that was ready is not), `failed`, `stopping` or `stopped`."""
    supervisor: Identity
    started_at: float
    urls: dict[str, str] = field(default_factory=dict[str, str])
    ports: dict[str, int] = field(default_factory=dict[str, int])
    processes: tuple[ProcessRecord, ...] = ()

    def process(self, name: str) -> ProcessRecord | None:
        return next((process for process in self.processes if process.name == name), None)

    def as_dict(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}


def write_record(home: Path, record: StackRecord) -> None:
    """Replace the file in one step: a reader sees the old or the new one, never a half."""
    write_json(home / STACK_FILE, record.as_dict())


def read_record(home: Path) -> StackRecord | None:
    """The last record, or None when there is none that this version can read."""
    content = read_json(home / STACK_FILE)
    if content is None or content.get("format") != FORMAT:
        return None
    processes = tuple(_process_of(item) for item in content["processes"])
    return StackRecord(
        home=content["home"],
        state=content["state"],
        supervisor=Identity(**content["supervisor"]),
        started_at=content["started_at"],
        urls=content["urls"],
        ports=content["ports"],
        processes=processes,
    )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON beside the file, then rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None when it is missing or is none (a torn disk, another program)."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return cast("dict[str, Any]", content) if isinstance(content, dict) else None


def _process_of(item: dict[str, Any]) -> ProcessRecord:
    identity = item["identity"]
    fields: dict[str, Any] = {
        **item,
        "status": ProcessStatus(item["status"]),
        "identity": Identity(**identity) if identity else None,
    }
    return ProcessRecord(**fields)
