"""Starts a supervisor that outlives its starter, follows it until the stack is ready, and ends it."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tidegate.domain import NeedsOperator
from tidegate.log_files import LOG_FILE_VARIABLE, PROCESS_VARIABLE, open_log, read_line, tail, told
from tidegate.stack.processes import MARK, is_alive
from tidegate.stack.record import LOCK_FILE, ProcessRecord, StackRecord, read_record
from tidegate.stack.specification import SATISFIED, ProcessStatus
from tidegate.stack.supervisor import end_marked, end_recorded, only_one

POLL_S = 0.1
STOP_TIMEOUT_S = 60.0
SHOWN_LOG_LINES = 15


def running_stack(home: Path) -> StackRecord | None:
    """What the living supervisor of this home last wrote; None when there is no such supervisor."""
    record = read_record(home)
    return record if record is not None and is_alive(record.supervisor) else None


def living_processes(home: Path) -> list[ProcessRecord]:
    """Processes that a supervisor of this home started and that still run, whether it lives or not."""
    record = read_record(home)
    processes = record.processes if record else ()
    return [process for process in processes if process.identity and is_alive(process.identity)]


def start_detached(
    argv: Sequence[str], environ: Mapping[str, str], log_path: Path
) -> subprocess.Popen[bytes]:
    """Start the supervisor in a session of its own, so that closing the terminal does not end it."""
    env = {name: value for name, value in environ.items() if name != MARK}
    env |= {LOG_FILE_VARIABLE: str(log_path), PROCESS_VARIABLE: "supervisor"}
    with open_log(log_path) as log:
        return subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def wait_until_ready(
    home: Path,
    process: subprocess.Popen[bytes] | None,
    timeout_s: float,
    supervisor_log: Path,
    on_change: Callable[[StackRecord], None] = lambda record: None,
) -> StackRecord:
    """Follow the record until everything is ready. `process` is None for a supervisor that someone else started.

    Raises:
        NeedsOperator: a process gave up, the supervisor ended, or the time is over; with the tail of its log.
    """
    deadline = time.monotonic() + timeout_s
    last: StackRecord | None = None
    while time.monotonic() < deadline:
        record = running_stack(home)
        # A record of an earlier supervisor that a new one has not replaced yet is not ours to follow.
        if record is not None and process is not None and record.supervisor.pid != process.pid:
            record = None
        if record is not None and record != last:
            on_change(record)
            last = record
        if record is not None and record.state == "ready":
            return record
        if record is not None and record.state == "failed":
            raise _gave_up(record)
        if process is not None and process.poll() is not None:
            raise _supervisor_ended(process.returncode, supervisor_log)
        if process is None and record is None:
            raise _supervisor_ended(None, supervisor_log)
        time.sleep(POLL_S)
    raise _too_slow(last, timeout_s, supervisor_log)


def stop_stack(
    home: Path,
    report: Callable[[str], None],
    *,
    teardown: Callable[[], object] = lambda: None,
    timeout_s: float = STOP_TIMEOUT_S,
) -> bool:
    """End the supervisor and everything of this home; False when there was nothing to end.

    `teardown` ends what the processes leave behind on purpose; it is called when no supervisor lived to do it.

    Raises:
        NeedsOperator: when a supervisor that never wrote its record holds the lock.
    """
    record = running_stack(home)
    if record is not None:
        _end_supervisor(record, report, timeout_s)
    if not (home / LOCK_FILE).exists():
        return False
    with only_one(home):
        # Nothing is left after an orderly end. After a supervisor that was killed, this is the cleaning.
        old = read_record(home)
        is_orderly = old is None or all(process.identity is None for process in old.processes)
        living = living_processes(home)
        end_recorded(living, report)
        if not is_orderly:
            teardown()
        end_marked(home, report)
    return record is not None or bool(living)


def _end_supervisor(record: StackRecord, report: Callable[[str], None], timeout_s: float) -> None:
    os.kill(record.supervisor.pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    while is_alive(record.supervisor) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    if is_alive(record.supervisor):
        report(f"the supervisor did not end within {timeout_s:g} s: killing it and what it left")
        os.kill(record.supervisor.pid, signal.SIGKILL)
        while is_alive(record.supervisor):
            time.sleep(POLL_S)


def _gave_up(record: StackRecord) -> NeedsOperator:
    failed = [process for process in record.processes if process.status is ProcessStatus.FAILED]
    names = ", ".join(process.name for process in failed)
    return NeedsOperator(
        f"{names} could not be started.\n" + "\n".join(_last_words(process) for process in failed),
        remedy="Correct what the log names, then run: tidegate up. See also: tidegate doctor.",
        process=names,
    )


def _last_words(process: ProcessRecord) -> str:
    lines = _end_of(Path(process.log))
    return "\n".join(
        [f"{process.name} {process.last_exit}; the end of {process.log}:", *(f"  {line}" for line in lines)]
    )


def _end_of(log: Path) -> list[str]:
    """The last lines for a person, of a file that is written for programs."""
    return [part for line in tail(log, SHOWN_LOG_LINES) for part in told(read_line(line)).splitlines()]


def _supervisor_ended(code: int | None, log: Path) -> NeedsOperator:
    lines = "\n".join(f"  {line}" for line in _end_of(log))
    how = "ended" if code is None else f"ended with exit code {code}"
    return NeedsOperator(
        f"The supervisor {how}; the end of {log}:\n{lines}",
        remedy="Correct what the log names, then run: tidegate up.",
    )


def _too_slow(record: StackRecord | None, timeout_s: float, log: Path) -> NeedsOperator:
    if record is None:
        return _supervisor_ended(None, log)
    slow = [process for process in record.processes if process.status not in SATISFIED]
    return NeedsOperator(
        f"Not ready within {timeout_s:g} s: {', '.join(f'{item.name} ({item.status.value})' for item in slow)}.",
        remedy=f"See: tidegate logs {slow[0].name if slow else ''}. It goes on starting; watch it with: tidegate status.",
    )
