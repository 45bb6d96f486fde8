"""Starts one engine detached, in a process group of its own. Run as a script, standard library only.

It inherits the locks of whoever asks: they stay held until the engine's process record is on disk, even
when the asker is killed in between. So there is never an engine without a record, nor two of one name.
"""

import json
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

OOM_SCORE = 500
MAX_OPEN_FILES = 4096


def process_identity(pid: int) -> str | None:
    """Boot and start time of a living process: unlike the pid, never the same for two. None when it is gone.

    On Linux it is read in clock ticks: psutil adds the boot time, which moves when the clock is set.
    """
    if not sys.platform.startswith("linux"):
        return _portable_identity(pid)
    try:
        # The second field, the command's name, may hold spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    state, threads, start_ticks = fields[0], int(fields[17]), fields[19]
    # The first thread may be gone before the others, which hold the memory, the sockets and so the port till then.
    is_gone = state == "X" or (state == "Z" and threads <= 1)
    return None if is_gone else f"{boot}:{start_ticks}"


def _portable_identity(pid: int) -> str | None:
    import psutil  # only where /proc is missing: it takes longer to import than everything else here

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.Error:
        return None


def write_atomically(path: Path, text: str) -> None:
    """Replace a file so that a reader or a crash sees the old or the new text, whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def main() -> None:
    """Read the order from standard input, fork, and leave: the child is reparented and never our zombie."""
    order = json.load(sys.stdin)
    # The parent goes at once. The asker waits for the end of its pipe, which the child closes by becoming the engine.
    if os.fork() == 0:
        _become_engine(order)
    os._exit(0)


def _become_engine(order: dict[str, Any]) -> None:
    os.setsid()
    _forget_signal_habits()
    for lock in order["locks"]:
        os.set_inheritable(lock, False)
    folder = Path(order["folder"])
    _limit(order["max_data_bytes"], order["niceness"])
    record = {
        "pid": os.getpid(),
        "identity": process_identity(os.getpid()),
        "port": order["port"],
        "started_at": time.time(),
    }
    log = os.open(folder / order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    write_atomically(folder / order["record"], json.dumps(record))
    # The asker's pipe lives on in a copy that closes when the engine takes over: that is its signal.
    os.dup(sys.stdout.fileno())
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        os.chdir(folder)
        os.execve(order["command"][0], order["command"], order["environment"])
    except OSError as problem:
        os.write(2, f"cannot run {order['command'][0]}: {problem}\n".encode())
    os._exit(127)


def _forget_signal_habits() -> None:
    """What the asker blocks or ignores must not follow the engine: a shell's background job ignores SIGINT."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _limit(max_data_bytes: int, niceness: int) -> None:
    """Bound what the engine may take; the control plane beside it must outlive its hunger."""
    os.umask(0o077)
    os.nice(niceness)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
    # Not RLIMIT_AS: it counts the mapped model file. This one counts private writable memory only.
    _lower(resource.RLIMIT_DATA, max_data_bytes)
    # Linux only; without it the engine merely loses its place as the first victim of a memory shortage.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))


def _lower(kind: int, wanted: int) -> None:
    hard = resource.getrlimit(kind)[1]
    bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (bound, bound))


if __name__ == "__main__":
    main()
