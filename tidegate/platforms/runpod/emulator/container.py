"""A container without docker: one process group, its output as log lines, and an end that leaves nothing."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from tidegate.platforms.runpod.emulator.logs import CONTAINER, LONGEST_LINE, LogBook

READ_SIZE = 64 * 1024
LAST_LINES_S = 2.0


class Container:
    """One run of a command. Started once, ended once."""

    def __init__(self, identifier: str, process: asyncio.subprocess.Process, output: IO[bytes], log: LogBook):
        self.id = identifier
        self._process = process
        self._pipe = output
        self._log = log
        self._output = asyncio.create_task(self._pump())
        self._is_over = False

    @classmethod
    async def start(
        cls, identifier: str, command: Sequence[str], env: Mapping[str, str], folder: Path, log: LogBook
    ) -> "Container":
        """Raises: OSError or ValueError when the command cannot be started."""
        # A pipe of our own: asyncio's `wait()` returns only when its pipes are closed, and a grandchild that
        # outlives the command keeps them open.
        reading, writing = os.pipe()
        output = os.fdopen(reading, "rb", buffering=0)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=dict(env),
                cwd=folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError):
            output.close()
            raise
        finally:
            os.close(writing)
        return cls(identifier, process, output, log)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.returncode is not None

    async def wait(self) -> int:
        """The exit code; the rest of the group ends with the leader, as with a container's first process."""
        code = await self._process.wait()
        self.kill()
        self._is_over = True
        await asyncio.to_thread(end_processes_of, self.id)
        with contextlib.suppress(TimeoutError):
            # Whoever has left the group may hold the pipe for ever.
            await asyncio.wait_for(self._output, timeout=LAST_LINES_S)
        return code

    async def stop(self, grace_s: float) -> None:
        """SIGTERM to the leader, as docker does, then SIGKILL to the whole group."""
        if not self.has_ended:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), timeout=grace_s)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the group, until it is known to be gone: its number may then be a stranger's."""
        if not self._is_over:
            kill_group(self.pid)

    async def _pump(self) -> None:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, self._pipe)
        try:
            await self._read_lines(reader)
        finally:
            transport.close()

    async def _read_lines(self, reader: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await reader.read(READ_SIZE):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._log.write(CONTAINER, line.rstrip(b"\r").decode(errors="replace"))
            if len(rest) > LONGEST_LINE:
                self._log.write(CONTAINER, rest.decode(errors="replace"))
                rest = b""
        if rest:
            self._log.write(CONTAINER, rest.decode(errors="replace"))


def kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def end_processes_of(identifier: str) -> bool:
    """Kill every process that was started in a container, by the id in its environment; says whether there was one.

    For those that have left the group, or whose emulator has died. A process id alone may have been given to a
    stranger since.
    """
    marked = [process for process in map(_process, psutil.pids()) if process and _is_of(process, identifier)]
    for process in marked:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return bool(marked)


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def _is_of(process: psutil.Process, identifier: str) -> bool:
    try:
        return process.environ().get("RUNPOD_POD_ID") == identifier
    except (psutil.Error, OSError):
        return False
