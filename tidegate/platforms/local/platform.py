"""Sets as `llama-server` processes of this machine.

All state is on disk and in the processes themselves: any process of ours may create, find, adopt, stop
or delete a set by its name, and none of them is its parent.
"""

import logging
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tidegate.domain import (
    NeedsOperator,
    NotFound,
    Refused,
    Secret,
    SetSpec,
    SetState,
    SetStatus,
    TidegateError,
    Transient,
)
from tidegate.platforms.local import processes
from tidegate.platforms.local.credentials import Credentials
from tidegate.platforms.local.engine import Engine
from tidegate.platforms.local.healer import go_on_starting, heal_set
from tidegate.platforms.local.healing import HealingPolicy
from tidegate.platforms.local.lifecycle import HOST, Limits, Yard, end, launch
from tidegate.platforms.local.locks import locked
from tidegate.platforms.local.observation import observe
from tidegate.platforms.local.state import ProcessRecord, SetFolder, SetRecord, Wanted, sweep

log = logging.getLogger(__name__)

POLL_S = 0.02
BUSY_TIMEOUT_S = 0.05
SETTLED = (SetState.READY, SetState.FAILED, SetState.ABSENT, SetState.STOPPED)


class LocalPlatform:
    """The `Platform` protocol over processes of this machine."""

    name = "local"

    def __init__(
        self,
        root: Path,
        *,
        engine: Engine,
        limits: Limits | None = None,
        healing: HealingPolicy | None = None,
        price_per_hour_usd: float = 0.0,
        clock: Callable[[], float] = time.time,
    ):
        self._yard = Yard(root, engine, limits or Limits(), healing or HealingPolicy(), clock)
        self._price_per_hour_usd = price_per_hour_usd
        self._credentials = Credentials(root / "credentials.json")
        self._complaints: dict[str, str] = {}

    def grant(self, org: str, credential: Secret) -> None:
        """Let the organization act here with this credential, and no longer with its former one."""
        self._credentials.grant(org, credential)

    def verify_credential(self, org: str, credential: Secret | None) -> None:
        """Raises: Refused."""
        self._credentials.verify(org, credential)

    def create(self, spec: SetSpec) -> SetStatus:
        """Start the set, or adopt the one of its name; one that was stopped is started again.

        Raises: CapacityShortage, Refused (the name is taken by another digest), Transient, NotFound.
        """
        with self._change(spec.name) as (folder, lock):
            record = folder.record()
            if record is not None and record.wanted is Wanted.DELETED:
                end(self._yard, folder)
                folder.remove()
                record = None
            if record is None:
                record = SetRecord(spec=spec, wanted=Wanted.RUNNING, changed_at=self._yard.now())
            _require_same_digest(record, spec)
            if not self._is_under_way(folder, record):
                end(self._yard, folder)
                launch(self._yard, folder, record, lock)
        return self.status(spec.name)

    def status(self, name: str) -> SetStatus:
        """State of a set right now; `unknown` when its files are damaged."""
        try:
            return observe(self._yard, self._yard.folder(name))
        except NeedsOperator as problem:
            return SetStatus(name=name, state=SetState.UNKNOWN, message=str(problem))

    def wait_ready(self, name: str, timeout_s: float) -> SetStatus:
        """Wait until the set is ready, stopped, failed or absent, or the time is over; returns the last status."""
        deadline = time.monotonic() + timeout_s
        while True:
            status = self.status(name)
            if status.state in SETTLED or time.monotonic() >= deadline:
                return status
            if status.port is None:
                with self._change(name) as (folder, lock):
                    go_on_starting(self._yard, folder, lock)
            time.sleep(POLL_S)

    def invoke(self, name: str, path: str, body: Mapping[str, object], timeout_s: float) -> dict[str, object]:
        """Raises: NotFound, Transient (no process, no answer in time), InvalidInput (the engine says 4xx)."""
        _, process = self._running(name)
        if process is None:
            raise Transient(f"Set {name} has no running engine.", remedy="Start the set.", set=name)
        return self._yard.engine.post(HOST, process.port, path, body, timeout_s)

    def metrics(self, name: str) -> dict[str, float]:
        """The engine's samples plus `memory_bytes` and `cpu_seconds`; empty without a running engine."""
        try:
            _, process = self._running(name)
        except NotFound:
            return {}
        return (
            {}
            if process is None
            else self._yard.engine.metrics(HOST, process.port) | processes.usage(process)
        )

    def logs(self, name: str, lines: int = 50) -> str:
        return self._yard.folder(name).log_tail(lines)

    def stop(self, name: str) -> None:
        """End the set's processes; it stays known as `stopped`. Nothing happens when it is absent."""
        self._end(name, Wanted.STOPPED)

    def start(self, name: str) -> SetStatus:
        """Start a stopped or failed set again from its stored spec; its crashes are forgiven.

        Raises: NotFound, CapacityShortage, Transient.
        """
        with self._change(name) as (folder, lock):
            record = folder.record()
            if record is None or record.wanted is Wanted.DELETED:
                raise _absent(name)
            process = folder.process()
            alive = process is not None and processes.is_alive(process, record.spec.digest)
            if record.wanted is not Wanted.RUNNING or not alive:
                end(self._yard, folder)
                launch(self._yard, folder, record.model_copy(update={"crashes": 0}), lock)
        return self.status(name)

    def delete(self, name: str) -> None:
        """Stop and forget, log included."""
        with self._change(name) as (folder, _):
            record = folder.record()
            if record is not None:
                folder.save(record.model_copy(update={"wanted": Wanted.DELETED}))
                end(self._yard, folder)
            folder.remove()
            folder.lock_path.unlink(missing_ok=True)

    def list_owned(self) -> list[SetStatus]:
        """Every set of this folder, whoever started it."""
        names = [folder.name for folder in self._yard.folders()]
        if not names:
            return []
        with ThreadPoolExecutor(max_workers=min(8, len(names))) as pool:
            found = list(pool.map(self.status, names))
        return [status for status in found if status.state is not SetState.ABSENT]

    def price_per_hour_usd(self, spec: SetSpec) -> float:
        """What one set costs here, whatever its size."""
        return self._price_per_hour_usd

    def heal(self) -> None:
        """Start every set that should run and died; finish stops and deletions that were cut short.

        A set that another process is changing is left to it. Trouble with one set never stops the others.
        """
        for folder in self._yard.folders():
            try:
                with self._change(folder.name, BUSY_TIMEOUT_S) as (_, lock):
                    heal_set(self._yard, folder, lock)
            except (TidegateError, OSError) as problem:
                self._complain(folder.name, str(problem))
            else:
                self._complaints.pop(folder.name, None)
        sweep(self._yard.root / "trash")

    def stop_all(self) -> None:
        """End all processes, for `tidegate down`. What should run is `stopped` until `resume_all`."""
        names = [folder.name for folder in self._yard.folders()]
        with ThreadPoolExecutor(max_workers=8) as pool:
            endings = [pool.submit(self._end, name, Wanted.SUSPENDED) for name in names]
        for ending in endings:
            ending.result()

    def resume_all(self) -> None:
        """Let what `stop_all` ended run again; the next `heal` starts it."""
        for folder in self._yard.folders():
            with self._change(folder.name):
                record = folder.record()
                if record is not None and record.wanted is Wanted.SUSPENDED:
                    folder.forget_process()
                    folder.save(record.model_copy(update={"wanted": Wanted.RUNNING}))

    def crash(self, name: str) -> None:
        """Kill the set's processes as a crash would, for drills: it still should run."""
        _, process = self._running(name)
        if process is not None:
            processes.end_group(process, name, grace_s=0)

    def _complain(self, name: str, problem: str) -> None:
        """Say it once, not twice a second."""
        if self._complaints.get(name) != problem:
            self._complaints[name] = problem
            log.warning("set %s could not be healed: %s", name, problem)

    def _end(self, name: str, wanted: Wanted) -> None:
        with self._change(name) as (folder, _):
            try:
                record = folder.record()
            except NeedsOperator:
                # Its order cannot be read, but its process can be ended.
                end(self._yard, folder)
                raise
            if record is None or record.wanted is Wanted.DELETED:
                return
            # A deliberate stop outlives `tidegate down` and `up`.
            if record.wanted is Wanted.RUNNING or wanted is Wanted.STOPPED:
                update = {"wanted": wanted, "changed_at": self._yard.now()}
                folder.save(record.model_copy(update=update))
            end(self._yard, folder)

    def _running(self, name: str) -> tuple[SetRecord, ProcessRecord | None]:
        """The record, and the process when it is alive."""
        folder = self._yard.folder(name)
        record, process = folder.record(), folder.process()
        if record is None or record.wanted is Wanted.DELETED:
            raise _absent(name)
        alive = process is not None and processes.is_alive(process, record.spec.digest)
        return record, process if alive else None

    def _is_under_way(self, folder: SetFolder, record: SetRecord) -> bool:
        """A process was started for this order (alive, or dead and now a case for `heal`), or it was given up."""
        return record.wanted is Wanted.RUNNING and (folder.process() is not None or bool(record.gave_up))

    @contextmanager
    def _change(self, name: str, timeout_s: float = 60.0) -> Generator[tuple[SetFolder, int]]:
        folder = self._yard.folder(name)
        with locked(folder.lock_path, timeout_s) as lock:
            yield folder, lock


def _require_same_digest(record: SetRecord, spec: SetSpec) -> None:
    if record.spec.digest != spec.digest:
        raise Refused(
            f"Set {spec.name} exists and serves {record.spec.digest[:12]}, not {spec.digest[:12]}.",
            remedy="Delete it first, or ask for the name that belongs to this digest.",
            set=spec.name,
        )


def _absent(name: str) -> NotFound:
    return NotFound(f"There is no set {name} on the local platform.", remedy="Create it.", set=name)
