"""Starting and ending the process of a set. Every function here wants the set's lock held by its caller."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tidegate.domain import CapacityShortage, NeedsOperator
from tidegate.platforms.local import processes
from tidegate.platforms.local.artifact import artifact_problem
from tidegate.platforms.local.engine import Engine
from tidegate.platforms.local.free_port import PORTS, choose_port, is_free
from tidegate.platforms.local.healing import HealingPolicy
from tidegate.platforms.local.locks import locked
from tidegate.platforms.local.state import ProcessRecord, SetFolder, SetRecord, Wanted, set_names

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Limits:
    """What the machine gives to sets."""

    max_sets: int = 8
    # Short, since it buys nothing: told to end, llama-server stops all output at once, and then waits for the
    # readers of open streams to leave. Drain a set before stopping it.
    stop_grace_s: float = 2.0
    max_log_bytes: int = 8 * 1024**2
    niceness: int = 5
    # The kernel's limit counts stacks that are reserved and hardly used: llama-server may make a thread of
    # 8 MiB for each of 1024 requests, and dies when one is refused. Real use is watched by `heal`.
    reserved_data_bytes: int = 12 * 1024**3
    ports: range = PORTS


@dataclass(frozen=True)
class Yard:
    """The place where sets of this machine live: a folder, a kind of engine, limits and a clock."""

    root: Path
    engine: Engine
    limits: Limits = field(default_factory=Limits)
    healing: HealingPolicy = field(default_factory=HealingPolicy)
    clock: Callable[[], float] = time.time

    @property
    def sets_dir(self) -> Path:
        return self.root / "sets"

    def folder(self, name: str) -> SetFolder:
        return SetFolder(self.sets_dir, name)

    def folders(self) -> list[SetFolder]:
        return [self.folder(name) for name in set_names(self.sets_dir)]

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)


def launch(yard: Yard, folder: SetFolder, record: SetRecord, set_lock: int) -> SetRecord:
    """Start the engine of `record` and store that it shall run.

    A file that is not the artifact ordered gives a set that failed for good, without any process.

    Raises:
        CapacityShortage: when as many other sets as allowed shall run already; nothing is stored then.
        Transient: when no process could be made.
        NotFound: when the engine is not installed.
    """
    with locked(yard.root / "locks" / "yard.lock"):
        others = _others(yard, folder.name)
        _require_room(yard, others)
        port = choose_port(
            folder.name,
            HOST,
            preferred=record.port,
            reserved={other.port for other in others if other is not None and other.port is not None},
            ports=yard.limits.ports,
        )
        command = yard.engine.command(record.spec, HOST, port)
        update = {"wanted": Wanted.RUNNING, "port": port, "retry_at": None, "gave_up": "", "note": ""}
        folder.forget_process()
        stored = folder.save(record.model_copy(update=update | {"changed_at": yard.now()}))
    problem = artifact_problem(
        Path(record.spec.artifact_path), record.spec.digest, yard.root / "artifacts.json"
    )
    if problem:
        return folder.save(stored.model_copy(update={"gave_up": problem}))
    folder.rotate_log()
    order = processes.Order(
        name=folder.name,
        folder=folder.path,
        command=command,
        environment=yard.engine.environment(folder.path),
        port=port,
        max_data_bytes=record.spec.max_memory_bytes + yard.limits.reserved_data_bytes,
        niceness=yard.limits.niceness,
    )
    processes.launch(order, locks=(set_lock,))
    return stored


def end(yard: Yard, folder: SetFolder, process: ProcessRecord | None = None) -> None:
    """End the set's processes, if there are any."""
    found = process or folder.process()
    if found is not None:
        processes.end_group(found, folder.name, yard.limits.stop_grace_s)


def lost_its_port(folder: SetFolder, process: ProcessRecord) -> bool:
    """A dead process that was never ready, and whose port somebody else holds: a lost race, not a crash."""
    ready = folder.ready()
    was_ready = ready is not None and ready.identity == process.identity
    return not was_ready and not is_free(HOST, process.port)


def _others(yard: Yard, name: str) -> list[SetRecord | None]:
    """Records of the other sets; None for one whose file is damaged, which may be running none the less."""
    found: list[SetRecord | None] = []
    for folder in yard.folders():
        if folder.name == name:
            continue
        try:
            found.append(folder.record())
        except NeedsOperator:
            found.append(None)
    return found


def _require_room(yard: Yard, others: list[SetRecord | None]) -> None:
    running = sum(
        1 for other in others if other is None or (other.wanted is Wanted.RUNNING and not other.gave_up)
    )
    if running >= yard.limits.max_sets:
        raise CapacityShortage(
            f"The local platform runs {running} sets, and {yard.limits.max_sets} are allowed.",
            remedy="Stop a set that is no longer needed, or allow more sets on this machine.",
            running=running,
        )
