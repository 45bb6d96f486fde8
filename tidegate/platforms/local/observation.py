"""What a set is right now, read from its files, its process and its engine. Changes nothing."""

from datetime import UTC, datetime

from tidegate.domain import SetState, SetStatus
from tidegate.platforms.local import processes
from tidegate.platforms.local.lifecycle import HOST, Yard, lost_its_port
from tidegate.platforms.local.state import ProcessRecord, ReadyRecord, SetFolder, SetRecord, Wanted

PROBE_TIMEOUT_S = 1.0
LOG_LINES_IN_MESSAGE = 6


def observe(yard: Yard, folder: SetFolder) -> SetStatus:
    """Status of one set; reads reality every time."""
    record = folder.record()
    if record is None:
        return SetStatus.absent(folder.name)
    status = _observed(yard, folder, record)
    if status.state is SetState.ABSENT:
        return status
    return status.model_copy(update={"memory_deaths": record.memory_deaths})


def _observed(yard: Yard, folder: SetFolder, record: SetRecord) -> SetStatus:
    process = folder.process()
    alive = process is not None and processes.is_alive(process, record.spec.digest)
    if record.wanted is not Wanted.RUNNING:
        return _unwanted(folder.name, record, alive=alive)
    if process is None:
        return _unlaunched(folder.name, record)
    return _living(yard, folder, record, process) if alive else _dead(folder, record, process)


def _unwanted(name: str, record: SetRecord, *, alive: bool) -> SetStatus:
    if record.wanted is Wanted.DELETED and not alive:
        return SetStatus.absent(name)
    state = SetState.STOPPING if alive else SetState.STOPPED
    return SetStatus(name=name, state=state, restarts=record.restarts, since=record.changed_at)


def _unlaunched(name: str, record: SetRecord) -> SetStatus:
    state = SetState.FAILED if record.gave_up else SetState.PENDING
    message = record.gave_up or "Ordered, not started yet."
    return SetStatus(
        name=name, state=state, restarts=record.restarts, since=record.changed_at, message=message
    )


def _dead(folder: SetFolder, record: SetRecord, process: ProcessRecord) -> SetStatus:
    if not record.gave_up and lost_its_port(folder, process):
        message = f"Another process took port {process.port} first; it will be started on another one."
        return SetStatus(name=folder.name, state=SetState.STARTING, restarts=record.restarts, message=message)
    was_ready = _ready_of(folder, process) is not None
    what = (
        "The engine process died while it served." if was_ready else "The engine ended before it was ready."
    )
    words = folder.last_words(LOG_LINES_IN_MESSAGE) or "(nothing)"
    parts = (record.note, record.gave_up or what, f"\nLast lines of its log:\n{words}")
    return SetStatus(
        name=folder.name,
        state=SetState.FAILED,
        restarts=record.restarts,
        message=" ".join(part for part in parts if part),
    )


def _living(yard: Yard, folder: SetFolder, record: SetRecord, process: ProcessRecord) -> SetStatus:
    report = yard.engine.probe(HOST, process.port, PROBE_TIMEOUT_S)
    ready = _ready_of(folder, process)
    status = SetStatus(
        name=folder.name,
        state=SetState.STARTING,
        digest=report.alias,
        host=HOST,
        port=process.port,
        restarts=record.restarts,
        message=report.message,
        since=_time(process.started_at),
        load_seconds=ready.load_seconds if ready else None,
        memory_bytes=int(processes.usage(process).get("memory_bytes", 0)) or None,
    )
    if not report.is_ready:
        # It served before and does not answer now: overloaded or stuck, but not gone.
        return status.model_copy(update={"state": SetState.DEGRADED}) if ready else status
    if report.alias != record.spec.digest:
        return _wrong_model(status, record, process)
    if ready is None:
        now = yard.clock()
        ready = ReadyRecord(identity=process.identity, ready_at=now, load_seconds=now - process.started_at)
        folder.save_ready(ready)
    return status.model_copy(
        update={"state": SetState.READY, "since": _time(ready.ready_at), "load_seconds": ready.load_seconds}
    )


def _wrong_model(status: SetStatus, record: SetRecord, process: ProcessRecord) -> SetStatus:
    """Another identity answers: another process on our port for a moment, or an engine that serves the wrong model."""
    if not processes.listens(process):
        message = f"Another process answers on port {process.port}."
        return status.model_copy(update={"digest": None, "message": message})
    message = (
        f"The engine reports the model {str(status.digest)[:64]} instead of {record.spec.digest}. "
        "Traffic must not reach it; delete the set."
    )
    return status.model_copy(update={"state": SetState.FAILED, "message": message})


def _ready_of(folder: SetFolder, process: ProcessRecord) -> ReadyRecord | None:
    ready = folder.ready()
    return ready if ready is not None and ready.identity == process.identity else None


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
