"""One supervised process over time: started, ready, dead, started again, stopped. Its supervisor calls `advance`."""

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace

from tidegate.log_files import LOG_FILE_VARIABLE, PROCESS_VARIABLE, open_log
from tidegate.stack.probing import is_ready
from tidegate.stack.processes import group_members, identify, is_alive, signal_group
from tidegate.stack.record import Identity, ProcessRecord
from tidegate.stack.specification import SATISFIED, HttpProbe, ProcessSpec, ProcessStatus, TcpProbe

SECRET_WORDS = ("AUTH", "SECRET", "TOKEN", "KEY", "PASSWORD")
ADOPTION_QUESTIONS = 5
Report = Callable[[str], None]


class Member:
    """A process that we started, or one that an earlier supervisor left running and we took over."""

    def __init__(self, spec: ProcessSpec, report: Report):
        self.spec = spec
        self.record = ProcessRecord(
            name=spec.name,
            kind=spec.kind,
            status=ProcessStatus.WAITING,
            log=str(spec.log_path),
            fingerprint=_fingerprint(spec),
            since=time.time(),
        )
        self._report = report
        self._child: subprocess.Popen[bytes] | None = None
        self._log_offset = 0
        self._started_at = 0.0
        self._ready_at: float | None = None
        self._was_ever_ready = False
        self._deaths_in_a_row = 0
        self._retry_at = 0.0
        self._kill_at = 0.0

    @property
    def status(self) -> ProcessStatus:
        return self.record.status

    @property
    def was_ever_ready(self) -> bool:
        return self._was_ever_ready

    def adopt(self, found: ProcessRecord, now: float) -> bool:
        """Take over what an earlier supervisor started, when it is the very same thing and still answers."""
        identity = found.identity
        if identity is None or found.fingerprint != self.record.fingerprint or not is_alive(identity):
            return False
        if found.status is not ProcessStatus.READY or self.spec.kind == "task":
            return False
        asks = isinstance(self.spec.ready, HttpProbe | TcpProbe)
        # A busy process may miss one question; starting it again costs far more than asking again.
        if asks and not any(self._is_ready(now, identity) for _ in range(ADOPTION_QUESTIONS)):
            return False
        self.record = replace(self.record, identity=identity, restarts=found.restarts, ready_s=found.ready_s)
        self._started_at = now
        self._become_ready(now)
        self._report(f"{self.spec.name}: taken over, pid {identity.pid}")
        return True

    def advance(self, now: float, satisfied: set[str]) -> None:
        """One step: notice a death, ask the probe, start what may start."""
        match self.status:
            case ProcessStatus.WAITING if satisfied.issuperset(self.spec.after):
                self._start(now)
            case ProcessStatus.STARTING:
                self._watch_start(now)
            case ProcessStatus.READY:
                if not self._is_running():
                    self._died(now)
            case ProcessStatus.BACKOFF if now >= self._retry_at:
                self._start(now)
            case _:
                return

    def begin_stop(self, now: float) -> None:
        """Ask the group to end; `finish_stop` waits for it."""
        if self.record.identity is None or self.status in (ProcessStatus.DONE, ProcessStatus.STOPPED):
            self._become(ProcessStatus.STOPPED)
            return
        self._become(ProcessStatus.STOPPING)
        self._kill_at = now + self.spec.stop_timeout_s
        # Only the leader first: it ends its own children in its own order (Envoy drains, a worker reports).
        if self._is_running():
            os.kill(self.record.identity.pid, getattr(signal, self.spec.stop_signal))

    def finish_stop(self, now: float) -> bool:
        """True once nothing of the group is left; kills it when its time is over."""
        if self.status is not ProcessStatus.STOPPING or self.record.identity is None:
            return True
        group = self.record.identity.pid
        if self._is_running() and now < self._kill_at:
            return False
        signal_group(group, signal.SIGKILL)
        if self._is_running() or group_members(group):
            return False
        self._become(ProcessStatus.STOPPED)
        self.record = replace(self.record, identity=None)
        return True

    def _start(self, now: float) -> None:
        log = open_log(self.spec.log_path)
        with log:
            self._log_offset = log.tell()
            try:
                # A session of its own: its group is ended as a whole, and a terminal's Ctrl-C does not reach it.
                self._child = subprocess.Popen(
                    self.spec.argv,
                    env={**self.spec.env, **_about_itself(self.spec)},
                    cwd=self.spec.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as error:
                log.write(f"cannot be started: {error}\n".encode())
                self._child = None
                self._died(now, why=f"cannot be started: {error.strerror}")
                return
        self.record = replace(
            self.record, identity=identify(self._child.pid) or Identity(self._child.pid, "gone")
        )
        self._started_at = now
        self._ready_at = None
        self._become(ProcessStatus.STARTING)

    def _watch_start(self, now: float) -> None:
        spec, alive_s = self.spec, now - self._started_at
        if not self._is_running():
            if spec.kind == "task" and self._child is not None and self._child.returncode == 0:
                self.record = replace(self.record, ready_s=round(alive_s, 2), identity=None)
                self._was_ever_ready = True
                self._become(ProcessStatus.DONE)
            else:
                self._died(now)
        elif spec.kind == "service" and self._is_ready(now, self.record.identity):
            self.record = replace(self.record, ready_s=round(alive_s, 2))
            self._become_ready(now)
        elif alive_s > spec.ready_timeout_s:
            self._end_group()
            self._died(now, why=f"not ready within {spec.ready_timeout_s:g} s")

    def _died(self, now: float, why: str = "") -> None:
        """Plan the next start. The delay grows until it has been healthy for a while."""
        policy = self.spec.restart
        if self._ready_at is not None and now - self._ready_at >= policy.healthy_after_s:
            self._deaths_in_a_row = 0
        self._deaths_in_a_row += 1
        reason = why or self._exit_text()
        if self.spec.orphans == "kill":
            self._end_group()
        self._ready_at = None
        self.record = replace(self.record, identity=None, last_exit=reason)
        if not self._was_ever_ready and self._deaths_in_a_row >= policy.give_up_after:
            self._become(ProcessStatus.FAILED, reason)
            return
        delay_s = min(policy.max_delay_s, policy.first_delay_s * policy.factor ** (self._deaths_in_a_row - 1))
        self._retry_at = now + delay_s
        self.record = replace(self.record, restarts=self.record.restarts + 1)
        self._become(ProcessStatus.BACKOFF, f"{reason}, again in {delay_s:g} s")

    def _become_ready(self, now: float) -> None:
        self._ready_at = now
        self._was_ever_ready = True
        self._become(ProcessStatus.READY)

    def _become(self, status: ProcessStatus, detail: str = "") -> None:
        self.record = replace(self.record, status=status, since=time.time())
        pid = (
            f", pid {self.record.identity.pid}"
            if self.record.identity and status is ProcessStatus.STARTING
            else ""
        )
        self._report(f"{self.spec.name}: {status.value}{pid}{f' ({detail})' if detail else ''}")

    def _is_ready(self, now: float, identity: Identity | None) -> bool:
        spec = self.spec
        alive_s = now - self._started_at
        return identity is not None and is_ready(
            spec.ready,
            pid=identity.pid,
            log_path=spec.log_path,
            log_offset=self._log_offset,
            alive_s=alive_s,
        )

    def _is_running(self) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return self.record.identity is not None and is_alive(self.record.identity)

    def _end_group(self) -> None:
        if self.record.identity is None:
            return
        signal_group(self.record.identity.pid, signal.SIGKILL)
        if self._child is not None:
            self._child.wait()

    def _exit_text(self) -> str:
        if self._child is None or self._child.returncode is None:
            return "ended"
        code = self._child.returncode
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def is_satisfied(member: Member) -> bool:
    """True when those that depend on it may start."""
    return member.status in SATISFIED


def _about_itself(spec: ProcessSpec) -> dict[str, str]:
    """Which log it writes, so that it follows when we rename it, and the name that its lines carry."""
    return {LOG_FILE_VARIABLE: str(spec.log_path), PROCESS_VARIABLE: spec.name}


def _fingerprint(spec: ProcessSpec) -> str:
    """Equal when an already running process is what we would start now. Secrets stay out of it."""
    plain = {
        name: value
        for name, value in spec.env.items()
        if name.startswith(("TIDEGATE_", "PREFECT_")) and not any(word in name for word in SECRET_WORDS)
    }
    text = json.dumps([spec.argv, str(spec.cwd), plain], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
