"""Runs untrusted work in a child process with limits, and reads what it says with bounds.

A child that dies, hangs or babbles is an outcome like any other: data, never an exception here.
"""

import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from tidegate.validation.children import awaited

SOURCE_ROOT = Path(__file__).resolve().parent.parent.parent
LARGEST_OUTPUT_BYTES = 16 * 1024**2
STDERR_TAIL_BYTES = 4096
END_OF_OUTPUT_S = 10.0
OUT_OF_TIME = "the time for questions was over"
"""What a child says of work that it was too slow for: that tells of the machine, not of the work."""
DEFAULT_ADDRESS_SPACE_BYTES = 2 * 1024**3

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What a child may use. The wall clock is held by the parent, the others by the kernel."""

    wall_s: float = 120.0
    cpu_s: int = 60
    address_space_bytes: int = DEFAULT_ADDRESS_SPACE_BYTES
    open_files: int = 64


@dataclass(frozen=True, slots=True)
class ChildOutcome:
    """How a child ended and the last result it wrote, if it was one we could read."""

    result: Message | None
    exit_code: int | None
    problem: str
    """Why there is no usable result; empty when there is one."""
    stderr_tail: str
    wall_s: float
    is_unfinished: bool = False
    """The wall clock ran out, or something else killed it: a busy machine does that, so it says nothing about the work.
    The limit on CPU time is the one that says that the work is too much."""


def confine(limits: ChildLimits) -> None:
    """Called by the child first of all: lower its own limits, so that nothing can raise them again."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_NOFILE, limits.open_files)
    # One second apart: SIGXCPU then tells this limit from a kill by the system, which is out of memory.
    _lower(resource.RLIMIT_CPU, limits.cpu_s, limits.cpu_s + 1)
    if sys.platform.startswith("linux"):
        # macOS accepts no limit on address space; CPU and the wall clock still hold there.
        _lower(resource.RLIMIT_AS, limits.address_space_bytes)


def _lower(kind: int, value: int, last: int | None = None) -> None:
    _, hard = resource.getrlimit(kind)
    wanted = (value, value if last is None else last)
    soft, most = wanted if hard == resource.RLIM_INFINITY else (min(wanted[0], hard), min(wanted[1], hard))
    resource.setrlimit(kind, (soft, most))


def limits_from_argv(argv: list[str]) -> tuple[ChildLimits, Message]:
    """Read what `run_confined` passed: the limits and the request."""
    passed: Message = json.loads(argv[1])
    return ChildLimits(**passed["limits"]), passed["request"]


def say(message: Message) -> None:
    """Write one message to the parent."""
    data = json.dumps(message, allow_nan=False).encode() + b"\n"
    while data:
        data = data[os.write(1, data) :]


def peak_memory_bytes() -> int:
    """The most that this process ever held, without what its parent held when it started it.

    The kernel hands a parent's peak down to its child through `getrusage`, but not through `VmHWM`.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) * 1024
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def run_confined(
    module: str,
    request: Message,
    limits: ChildLimits,
    *,
    stdin: int | bytes = b"",
    inherit: tuple[int, ...] = (),
    on_progress: Callable[[int, int], None] | None = None,
) -> ChildOutcome:
    """Run `python -m module` with the request. `stdin` is an open file or bytes for the child to read.

    `inherit` are further descriptors that the child has under the same numbers: Python starts with no folder as
    its standard input.
    """
    started = time.monotonic()
    argv = [
        sys.executable,
        "-s",
        "-P",
        "-m",
        module,
        json.dumps({"limits": asdict(limits), "request": request}),
    ]
    process = subprocess.Popen(
        argv,
        stdin=stdin if isinstance(stdin, int) else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(),
        cwd="/",
        start_new_session=True,
        pass_fds=inherit,
    )
    listener = _Listener(process, limits.wall_s, on_progress, b"" if isinstance(stdin, int) else stdin)
    with awaited(process):
        try:
            listener.listen()
        finally:
            _end(process)
    problem = listener.problem or _problem_of(process.returncode, listener.result)
    tail = listener.stderr.decode("utf-8", "replace")
    result = None if problem else listener.result
    was_killed = not listener.problem and result is None and process.returncode == -signal.SIGKILL
    unfinished = listener.is_late or was_killed
    return ChildOutcome(result, process.returncode, problem, tail, time.monotonic() - started, unfinished)


def _environment() -> dict[str, str]:
    """Nothing of ours that is not needed: no secrets, no proxies, one thread for linear algebra."""
    paths = [str(SOURCE_ROOT), *(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path)]
    kept = {
        name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ
    }
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {
        **kept,
        **threads,
        "PYTHONPATH": os.pathsep.join(paths),
        # Each arena of glibc's allocator reserves 64 MiB of address space, which is limited.
        "MALLOC_ARENA_MAX": "2",
        # What it imports before it is confined may be kept compiled, unless this process keeps nothing either.
        **({"PYTHONDONTWRITEBYTECODE": "1"} if sys.dont_write_bytecode else {}),
        # An engine that aborts would otherwise start a debugger to print a trace.
        "GGML_NO_BACKTRACE": "1",
        "LC_ALL": "C.UTF-8",
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the child with everything it may have started, and collect it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.poll()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None and not stream.closed:
            stream.close()


def _problem_of(exit_code: int | None, result: Message | None) -> str:
    if exit_code is not None and exit_code < 0 and result is None:
        return f"it was ended by {signal.Signals(-exit_code).name}"
    if result is None:
        return f"it ended with code {exit_code} and without a result"
    return ""


class _Listener:
    """Reads both streams of a child until they end, the time is over, or it says too much."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        wall_s: float,
        on_progress: Callable[[int, int], None] | None,
        stdin: bytes,
    ):
        self.process = process
        self.deadline = time.monotonic() + wall_s
        self.wall_s = wall_s
        self.on_progress = on_progress
        self.pending = memoryview(stdin)
        self.line = bytearray()
        self.stderr = bytearray()
        self.result: Message | None = None
        self.problem = ""
        self.is_late = False

    def listen(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ, self._take_output)
            selector.register(self.process.stderr, selectors.EVENT_READ, self._take_stderr)
            if self.process.stdin is not None:
                os.set_blocking(self.process.stdin.fileno(), False)
                selector.register(self.process.stdin, selectors.EVENT_WRITE, self._give_input)
            while selector.get_map() and not self.problem:
                left = self.deadline - time.monotonic()
                if left <= 0:
                    self.problem, self.is_late = f"it did not end within {self.wall_s:g} s", True
                    return
                # No event says nothing about the time: only the clock does.
                for key, _ in selector.select(left):
                    if not key.data(key.fd):
                        selector.unregister(key.fileobj)
                        if self.process.stdin is not None and key.fileobj is self.process.stdin:
                            self.process.stdin.close()
        if not self.problem:
            self._wait()

    def _wait(self) -> None:
        """Both streams are closed: the child has ended, or keeps running silently, which it must not."""
        try:
            self.process.wait(timeout=max(0.1, min(END_OF_OUTPUT_S, self.deadline - time.monotonic())))
        except subprocess.TimeoutExpired:
            self.problem, self.is_late = "it closed its output and did not end", True

    def _give_input(self, descriptor: int) -> bool:
        """False when all is given. Closed by the caller, after the selector let go of it: another thread that
        is just starting a process holds a copy, so that the kernel would go on telling of the closed one."""
        try:
            self.pending = (
                self.pending[os.write(descriptor, self.pending[:65536]) :] if self.pending else self.pending
            )
        except BrokenPipeError:
            self.pending = memoryview(b"")
        return bool(self.pending)

    def _take_stderr(self, descriptor: int) -> bool:
        data = os.read(descriptor, 65536)
        self.stderr = (self.stderr + data)[-STDERR_TAIL_BYTES:]
        return bool(data)

    def _take_output(self, descriptor: int) -> bool:
        data = os.read(descriptor, 65536)
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._take_line(bytes(self.line + line))
            self.line.clear()
        self.line += rest
        if len(self.line) > LARGEST_OUTPUT_BYTES:
            self.problem = "it wrote without end"
        return bool(data)

    def _take_line(self, line: bytes) -> None:
        try:
            message: object = json.loads(line)
        except (ValueError, RecursionError):
            self.problem = "it wrote something that is no message"
            return
        if not isinstance(message, dict):
            self.problem = "it wrote something that is no message"
            return
        read = cast("Message", message)
        done, total = read.get("done"), read.get("total")
        if isinstance(done, int) and isinstance(total, int):
            if self.on_progress is not None:
                self.on_progress(done, total)
            return
        self.result = read
