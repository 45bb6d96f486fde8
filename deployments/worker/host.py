"""The flow host: one process beside the workers that has Prefect and the flows loaded, and forks a process per run.

    python -m deployments.worker.host SOCKET

A new process needs seconds of processor time to import Prefect; a fork of this one needs none. `run.py`, which is
what a worker starts, hands it the environment, the folder and the output of a run, and waits for the outcome.
Without a host `run.py` starts the engine itself, so this process is never needed, only faster.
"""

import contextlib
import importlib
import json
import logging
import os
import random
import runpy
import selectors
import signal
import socket
import sys
import threading
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ENGINE = "prefect.engine"
PRELOADED = (
    "flows.release",
    "flows.rollback",
    "flows.validate",
    "flows.load_test",
    "flows.nightly_regression",
    "flows.on_model_trained",
    "flows.reconcile",
    "flows.gpu_work",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.events.clients",
    "prefect.client.orchestration",
    "tidegate.ledger.ledger",
    "tidegate.platforms.local",
    "tidegate.engines.llama_server",
    "tidegate.steps.checks",
    "sqlalchemy.dialects.sqlite",
    "scipy.special",
)
READY_LINE = "flow host is ready"
OUTPUTS = 3


@dataclass(frozen=True)
class Run:
    """What a forked process becomes: an engine with this environment, folder, input and outputs."""

    environment: dict[str, str]
    folder: str
    descriptors: tuple[int, ...]


@dataclass
class Host:
    """Accepts runs on a socket, forks them, reports how they ended."""

    listener: socket.socket
    runs: dict[int, socket.socket | None] = field(default_factory=dict[int, "socket.socket | None"])
    is_stopping: bool = False

    def serve(self) -> Run | None:
        """Until SIGTERM. In a forked process it returns the run to become; in the host None."""
        wakeup, woken = socket.socketpair()
        for end in (wakeup, woken):
            end.setblocking(False)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ, "listener")
            selector.register(wakeup, selectors.EVENT_READ, "wakeup")
            while not self.is_stopping:
                for key, _ in selector.select():
                    if key.data == "wakeup":
                        with contextlib.suppress(BlockingIOError):
                            wakeup.recv(4096)
                        self._reap(selector)
                    elif key.data == "listener":
                        run = self._accept(selector)
                        if run is not None:
                            wakeup.close()
                            woken.close()
                            return run
                    else:
                        self._abandon(selector, key.data)
        for pid in self.runs:
            _kill(pid)
        return None

    def _stop(self, number: int, frame: Any) -> None:
        self.is_stopping = True

    def _accept(self, selector: selectors.BaseSelector) -> Run | None:
        """Fork for one request. A caller that sends nonsense or vanishes costs only its own connection."""
        connection, _ = self.listener.accept()
        try:
            connection.settimeout(5.0)
            run = _receive(connection)
        except (OSError, ValueError) as error:
            logging.getLogger("tidegate.flow_host").warning("a request could not be read: %s", error)
            connection.close()
            return None
        pid = os.fork()
        if pid == 0:
            selector.close()
            connection.close()
            self.listener.close()
            for other in self.runs.values():
                if other is not None:
                    other.close()
            return run
        for descriptor in run.descriptors:
            os.close(descriptor)
        self.runs[pid] = connection
        selector.register(connection, selectors.EVENT_READ, pid)
        with contextlib.suppress(OSError):
            connection.sendall(f"{pid}\n".encode())
        return None

    def _reap(self, selector: selectors.BaseSelector) -> None:
        for pid in list(self.runs):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found == 0:
                continue
            connection = self.runs.pop(pid)
            if connection is None:
                continue
            selector.unregister(connection)
            with contextlib.suppress(OSError):
                connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
            connection.close()

    def _abandon(self, selector: selectors.BaseSelector, pid: int) -> None:
        """The caller is gone (a worker killed it): its run must not go on unseen. It is reaped when it is dead."""
        connection = self.runs[pid]
        if connection is None:
            return
        with contextlib.suppress(OSError):
            if connection.recv(1):
                return
        selector.unregister(connection)
        connection.close()
        self.runs[pid] = None
        _kill(pid)


def _receive(connection: socket.socket) -> Run:
    """Length, then JSON; the descriptors come with the length."""
    head, descriptors, _, _ = socket.recv_fds(connection, 8, OUTPUTS)
    size = int.from_bytes(head, "big")
    if len(head) != 8 or len(descriptors) != OUTPUTS or size > 4 * 2**20:
        raise ValueError("not a request of ours")
    body = b""
    while len(body) < size:
        piece = connection.recv(size - len(body))
        if not piece:
            raise ValueError("the caller went away")
        body += piece
    request = json.loads(body)
    return Run(dict(request["environment"]), str(request["folder"]), tuple(descriptors))


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def become(run: Run) -> None:
    """Turn this forked process into the engine of one flow run; returns when the run is over."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    for target, descriptor in enumerate(run.descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(run.environment)
    os.chdir(run.folder)
    random.seed()
    sys.argv = [ENGINE]
    with warnings.catch_warnings():
        # It is loaded already; that is what the host is for.
        warnings.simplefilter("ignore", RuntimeWarning)
        runpy.run_module(ENGINE, run_name="__main__", alter_sys=True)


def listen(path: Path) -> socket.socket:
    """A socket that only this user can reach."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(64)
    return listener


def main() -> None:
    path = Path(sys.argv[1])
    for module in PRELOADED:
        importlib.import_module(module)
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if threads:
        # Forking a process with threads may copy a lock that nobody will ever release.
        raise SystemExit(
            f"importing the flows started threads ({', '.join(threads)}): runs start without a host"
        )
    listener = listen(path)
    print(READY_LINE, flush=True)
    run = Host(listener).serve()
    if run is not None:
        become(run)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
