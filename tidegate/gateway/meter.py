"""Reads what Envoys measured and reports it as batches, beside the agent of the routes.

Each line counts once. How far the logs were read, what is still open and what is not sent yet are one file, written
before anything is sent; a batch that is sent again after a crash is the same batch, which the ledger knows. Envoy's
own counters tell how many lines there should be: what is missing (an Envoy was killed, the disk was full) is
reported as lost.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tidegate.domain import Permanent, TidegateError
from tidegate.domain.live import LiveBatch
from tidegate.gateway.admin import Admin
from tidegate.gateway.boots import Boot, Reading, boots
from tidegate.gateway.config import GatewayConfig
from tidegate.gateway.files import read_json, write_whole
from tidegate.gateway.measured import Fact, read
from tidegate.gateway.metrics import live_requests
from tidegate.gateway.windows import Windows, lost_of

_LOG = logging.getLogger(__name__)
_SAMPLE_S = 1.0
_SETTLED_S = 10.0
"""A line that is not in the log so long after its request was counted does not come."""
_MOST_PENDING = 2_000
_MOST_SENT = 200
_REFUSED_RETRY_S = 2.0

Place = tuple[str, str, str]
"""Organization, service and set."""


class LiveSink(Protocol):
    """Who wants to know what clients got."""

    def record_live(self, batches: Sequence[LiveBatch]) -> None: ...


class _Account:
    """One Envoy: how far its log was read, and what its counters said. Sets by `org/service/set`."""

    def __init__(self, stored: dict[str, Any] | None = None):
        stored = stored or {}
        aside = stored.get("aside")
        self.reading = Reading(int(stored.get("log", 0)), None if aside is None else int(aside))
        self.seen: dict[str, int] = {str(key): int(count) for key, count in stored.get("seen", {}).items()}
        """Requests that were read or given up."""
        self.last: dict[str, int] = {str(key): int(count) for key, count in stored.get("last", {}).items()}
        """Newest count by Envoy, requests in flight included."""
        self.samples: list[tuple[float, dict[str, int]]] = []

    def to_json(self) -> dict[str, Any]:
        return {"log": self.reading.log, "aside": self.reading.aside, "seen": self.seen, "last": self.last}

    def missing(self, counted: dict[str, int]) -> dict[str, int]:
        """What should have been read and was not; it is taken as seen from now on."""
        gaps = {place: count - self.seen.get(place, 0) for place, count in counted.items()}
        lost = {place: gap for place, gap in gaps.items() if gap > 0}
        for place, gap in lost.items():
            self.seen[place] = self.seen.get(place, 0) + gap
        return lost


class Meter:
    """Runs in a thread of its own, with a connection of its own to Envoy."""

    def __init__(
        self,
        config: GatewayConfig,
        sink: LiveSink,
        on_error: Callable[[str, Exception], None] = lambda part, error: None,
        *,
        clock: Callable[[], float] = time.time,
    ):
        self._config = config
        self._on_error = on_error
        self._sink = sink
        self._clock = clock
        self._file = config.path("live-read.json")
        self._windows = Windows(config.name, config.live_window_s)
        self._accounts: dict[str, _Account] = {}
        self._pending: list[str] = []
        """Closed batches that nobody took yet, as JSON, the oldest first."""
        self._is_changed = False
        self._next_sample = 0.0
        self.problem = ""
        """Why what is known of live requests may be behind; the agent of the routes reports it."""
        self._restore()

    def run(self, stop: threading.Event) -> None:
        with Admin(self._config.admin_socket) as admin:
            while not stop.is_set():
                is_worth_asking = self._guard(lambda: self.step(admin))
                stop.wait(self._config.live_poll_s if is_worth_asking else _REFUSED_RETRY_S)

    def finish(self) -> None:
        """After the Envoy ended: the last lines, and everything that is open, is sent or at least kept."""
        self._guard(lambda: self.step(None, is_last=True))

    def step(self, admin: Admin | None, *, is_last: bool = False) -> None:
        """Read what is new, then report what is complete.

        Raises: TidegateError when the sink does not take it; it is kept.
        """
        now = self._clock()
        present = boots(self._config)
        over = {boot.name for boot in present if boot.is_over()}
        finished = [boot for boot in present if self._read(boot, now)]
        self._compare(present, over, now)
        closed = (
            self._windows.close_all() if is_last else self._windows.close(now - self._config.live_grace_s)
        )
        self._keep(closed, now)
        self._save()
        for boot in finished:
            boot.aside.unlink()
            self._accounts[boot.name].reading.aside = None
            self._is_changed = True
        for boot in present:
            if boot.name in over:
                boot.remove()
        self._send()
        if admin is not None and present:
            self._sample(admin, present[-1], now)
            self._rotate(admin, present[-1])

    def _read(self, boot: Boot, now: float) -> bool:
        """True when the renamed part was read to its end: Envoy had begun the new one before that."""
        account = self._accounts.setdefault(boot.name, _Account())
        is_begun = boot.log.exists()
        for line in list(account.reading.lines(boot, most_bytes=self._config.live_keep_bytes)):
            self._is_changed = True
            try:
                fact = read(line, self._config.stall_ms)
            except ValueError:
                # Nobody knows what it was; if it was a request, Envoy's counters will miss it.
                continue
            if fact is not None:
                self._take(account, fact, now)
        return is_begun and boot.aside.exists()

    def _take(self, account: _Account, fact: Fact, now: float) -> None:
        self._windows.add(fact, now)
        if fact.is_counted_by_envoy:
            place = f"{fact.org}/{fact.service}/{fact.set_name}"
            account.seen[place] = account.seen.get(place, 0) + 1

    def _compare(self, present: Sequence[Boot], over: set[str], now: float) -> None:
        """Lines that should be there and are not. Of an Envoy that ended also what was in flight."""
        for boot in present:
            account = self._accounts[boot.name]
            settled = [counts for at, counts in account.samples if at < now - _SETTLED_S]
            account.samples = account.samples[len(settled) :]
            counted = account.last if boot.name in over else (settled[-1] if settled else {})
            for place, count in account.missing(counted).items():
                self._lose(place, count, now)
        for name in self._accounts.keys() - {boot.name for boot in present}:
            del self._accounts[name]
            self._is_changed = True

    def _lose(self, place: str, count: int, now: float) -> None:
        _LOG.warning("gateway %s: %d requests to %s were not measured", self._config.name, count, place)
        org, service, set_name = place.split("/")
        self._windows.lose(org, service, set_name, count, now)
        self._is_changed = True

    def _keep(self, closed: list[LiveBatch], now: float) -> None:
        """With a sink that is away for long the oldest are given up, and that is told."""
        self._pending += [batch.model_dump_json() for batch in closed]
        self._is_changed = self._is_changed or bool(closed)
        surplus = len(self._pending) - _MOST_PENDING
        if surplus > 0:
            given_up, self._pending = self._pending[:surplus], self._pending[surplus:]
            for place, count in lost_of(map(LiveBatch.model_validate_json, given_up)).items():
                self._lose("/".join(place), count, now)

    def _send(self) -> None:
        while self._pending:
            some = self._pending[:_MOST_SENT]
            self._sink.record_live([LiveBatch.model_validate_json(one) for one in some])
            self._pending = self._pending[len(some) :]
            self._is_changed = True

    def _sample(self, admin: Admin, newest: Boot, now: float) -> None:
        """Envoy's counters, if it is this one that answers."""
        if now < self._next_sample:
            return
        self._next_sample = now + _SAMPLE_S
        # A connection that is still open may lead to a former Envoy.
        admin.close()
        options = admin.get_json("/server_info")["command_line_options"]
        if options.get("service_zone") != newest.name:
            return
        ended, active = live_requests(admin)
        account = self._accounts.setdefault(newest.name, _Account())
        account.samples.append((now, ended))
        last = {place: count + active.get(place.split("/")[2], 0) for place, count in ended.items()}
        self._is_changed = self._is_changed or last != account.last
        account.last = last

    def _rotate(self, admin: Admin, newest: Boot) -> None:
        """Envoy goes on writing to the renamed file until it has taken the message."""
        if newest.aside.exists():
            return
        try:
            size = newest.log.stat().st_size
        except FileNotFoundError:
            return
        if size > self._config.live_keep_bytes // 2:
            # What was read of it must be on disk before it has another name.
            self._save()
            newest.log.rename(newest.aside)
            admin.post("/reopen_logs")

    def _guard(self, action: Callable[[], None]) -> bool:
        """False when asking again soon is of no use. A sink is foreign code: no error of it ends us."""
        try:
            action()
        except TidegateError as error:
            self._on_error("live", error)
            self._fail(error.message)
            return not isinstance(error, Permanent)
        except Exception as error:  # noqa: BLE001
            self._on_error("live", error)
            self._fail(f"{type(error).__name__} when reading or reporting what was measured")
            _LOG.debug("gateway %s: measuring failed", self._config.name, exc_info=True)
        else:
            self.problem = ""
        return True

    def _fail(self, message: str) -> None:
        if self.problem != message:
            _LOG.warning("gateway %s: live requests: %s", self._config.name, message)
            self.problem = message

    def _save(self) -> None:
        """Not forced to the disk: when the machine dies, so do the requests."""
        if not self._is_changed:
            return
        state = {
            "accounts": {name: account.to_json() for name, account in self._accounts.items()},
            "windows": self._windows.to_json(),
            "pending": self._pending,
        }
        write_whole(self._file, json.dumps(state).encode(), is_durable=False)
        self._is_changed = False

    def _restore(self) -> None:
        """Without it everything is read again; the ledger knows most of the batches that come of that."""
        stored = read_json(self._file)
        if stored is None:
            return
        try:
            windows = Windows(self._config.name, self._config.live_window_s)
            windows.restore(stored["windows"])
            accounts = {name: _Account(one) for name, one in stored["accounts"].items()}
            pending = [LiveBatch.model_validate_json(one).model_dump_json() for one in stored["pending"]]
        except (KeyError, TypeError, ValueError, AttributeError):
            _LOG.warning("gateway %s: %s is not readable and left out", self._config.name, self._file)
            return
        self._windows, self._accounts, self._pending = windows, accounts, pending
