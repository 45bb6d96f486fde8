"""Makes each set what it was ordered to be: starts what died, ends what was left half stopped or half deleted."""

import logging

from tidegate.correlation import bind
from tidegate.platforms.local import processes
from tidegate.platforms.local.healing import Remedy, count_crash, remedy
from tidegate.platforms.local.lifecycle import Yard, end, launch, lost_its_port
from tidegate.platforms.local.observation import observe
from tidegate.platforms.local.state import ProcessRecord, SetFolder, SetRecord, Wanted

log = logging.getLogger(__name__)
LAST_LINES = 20
"""Of a log, that may say why an engine died. What it said before, it lived on after."""


def heal_set(yard: Yard, folder: SetFolder, set_lock: int) -> None:
    """One look at one set, and at most one change. The caller holds the set's lock."""
    record = folder.record()
    if record is None:
        return
    if record.wanted is Wanted.DELETED:
        end(yard, folder)
        folder.remove()
    elif record.wanted is not Wanted.RUNNING:
        end(yard, folder)
    else:
        _heal_wanted(yard, folder, record, set_lock)


def go_on_starting(yard: Yard, folder: SetFolder, set_lock: int) -> bool:
    """Start a set that was ordered and never launched, or that lost its port before it could listen."""
    record, process = folder.record(), folder.process()
    if record is None or record.wanted is not Wanted.RUNNING or record.gave_up:
        return False
    if process is not None and (
        processes.is_alive(process, record.spec.digest) or not lost_its_port(folder, process)
    ):
        return False
    launch(yard, folder, record, set_lock)
    return True


def _heal_wanted(yard: Yard, folder: SetFolder, record: SetRecord, set_lock: int) -> None:
    process, spec = folder.process(), record.spec
    with bind(
        org=spec.org, service=spec.service, release_id=spec.release_id, set=spec.name, platform="local"
    ):
        if process is not None and processes.is_alive(process, spec.digest):
            _watch(yard, folder, record, process)
        elif not go_on_starting(yard, folder, set_lock) and process is not None:
            _restart(yard, folder, record, set_lock)


def _restart(yard: Yard, folder: SetFolder, record: SetRecord, set_lock: int) -> None:
    now = yard.clock()
    counted = count_crash(record, yard.healing, now)
    if counted != record:
        counted = _with_cause(yard, folder, counted)
        folder.save(counted.model_copy(update={"changed_at": yard.now()}))
        log.warning(
            "the engine of set %s died: %s", record.spec.name, counted.gave_up or "it is started again"
        )
    if remedy(counted, now) is Remedy.RESTART:
        # Members of its group may have outlived the leader.
        end(yard, folder)
        launch(yard, folder, counted.model_copy(update={"restarts": counted.restarts + 1}), set_lock)


def _with_cause(yard: Yard, folder: SetFolder, record: SetRecord) -> SetRecord:
    """Its exit status goes to nobody: an engine outlives whoever started it. What it said last is what is known; when the
    kernel kills it for memory it says nothing, and that death is a restart like any other. One that we ended was counted
    when we did."""
    if not record.note and yard.engine.died_of_memory(folder.last_words(LAST_LINES)):
        return record.model_copy(update={"memory_deaths": record.memory_deaths + 1})
    return record


def _watch(yard: Yard, folder: SetFolder, record: SetRecord, process: ProcessRecord) -> None:
    """A living engine: bound its log and memory, note when it became ready, forget old crashes."""
    folder.bound_log(yard.limits.max_log_bytes)
    memory_bytes = processes.usage(process).get("memory_bytes", 0.0)
    if memory_bytes > record.spec.max_memory_bytes:
        note = (
            f"Ended: it used {memory_bytes:.0f} bytes of memory, {record.spec.max_memory_bytes} are allowed."
        )
        log.warning("set %s: %s", record.spec.name, note)
        folder.save(record.model_copy(update={"note": note, "memory_deaths": record.memory_deaths + 1}))
        end(yard, folder, process)
        return
    ready = folder.ready()
    now = yard.clock()
    if ready is None or ready.identity != process.identity:
        if not observe(yard, folder).is_ready and now - process.started_at > yard.healing.start_timeout_s:
            note = f"Ended: it was not ready after {yard.healing.start_timeout_s:g} s."
            log.warning("set %s: %s", record.spec.name, note)
            folder.save(record.model_copy(update={"note": note}))
            end(yard, folder, process)
    elif record.crashes and now - ready.ready_at > yard.healing.stable_after_s:
        folder.save(record.model_copy(update={"crashes": 0}))
