"""Plays one organization's part: releases through the real Prefect API, follows the ledger, kills one set."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from tidegate.demo.narration import describe
from tidegate.demo.recorder import Clients, Recorder
from tidegate.demo.scenario import APPROVED_BY, REQUESTED_BY, Act, Cast, Outcome, outcome_of
from tidegate.demo.story import ActRecord, Kill
from tidegate.domain import (
    JournalEntry,
    Release,
    ReleaseRequest,
    ReleaseState,
    ServiceRef,
    TidegateError,
    Transient,
)
from tidegate.release.ports import Journal
from tidegate.stack.prefect_api import FlowRun, PrefectApi

ACT_TIMEOUT_S = 600.0
KILL_FROM_WEIGHT = 50
"""The set dies while it carries at least this share: harm that a canary of one percent would hide."""
KILL_AFTER_S, KILL_AFTER_ANSWERS = 0.8, 5
"""And only after it has served users with it: long enough to be seen, shorter than any policy's look."""
RETRY_S = 1.0

ASKING = (ReleaseState.HOLD, ReleaseState.AWAIT_APPROVAL)


T = TypeVar("T")


class Interrupted(Exception):
    """The person asked to stop."""


@dataclass(frozen=True)
class Stage:
    """What all players share: ways to do what a person does, and the journal to follow."""

    ledger: Journal
    request: Callable[[ReleaseRequest], Release]
    approve: Callable[[str], Release]
    open_api: Callable[[], PrefectApi]
    start_run: Callable[[PrefectApi, Release], FlowRun]
    make_clients: Callable[[Cast], Clients]
    crash: Callable[[ServiceRef, str], None]
    interrupted: threading.Event
    poll_s: float = 0.1
    patience_s: float = 120.0
    calm_s: float = 2.0


class Player:
    """One thread per organization runs `play`; it returns when its part is over, well or not."""

    def __init__(self, stage: Stage, cast: Cast, acts: tuple[Act, ...], recorder: Recorder):
        self._stage = stage
        self._cast = cast
        self._acts = acts
        self._recorder = recorder
        self._has_traffic = False

    def play(self) -> None:
        """All acts in order. An act that ends otherwise than it must ends the part: what follows builds on it."""
        problem = ""
        try:
            with self._stage.open_api() as api:
                for act in self._acts:
                    if self._perform(api, act) is not act.expected:
                        break
            self._pause(self._stage.calm_s)
        except Interrupted:
            problem = "interrupted"
        except TidegateError as error:
            problem = str(error)
        finally:
            self._recorder.close(problem)

    def _perform(self, api: PrefectApi, act: Act) -> Outcome:
        self._recorder.begin(act)
        self._recorder.tell(f"{act.version}: release asked for", "loud")
        before = self._recorder.counts()
        ref = self._cast.ref
        request = ReleaseRequest(
            org=ref.org,
            service=ref.service,
            model=self._cast.model,
            version=act.version,
            requested_by=REQUESTED_BY,
            reason=act.shows,
        )
        release = self._patiently(lambda: self._stage.request(request))
        run = self._patiently(lambda: self._stage.start_run(api, release))
        last, entries, kill = self._follow(act, release)
        if last.state is ReleaseState.AWAIT_APPROVAL and act.expected is Outcome.LIVE:
            self._approve(api, release, run)
            last, entries, kill = self._follow(act, release, told=len(entries))
        record = ActRecord(
            version=act.version,
            expected=act.expected,
            shows=act.shows,
            outcome=outcome_of(last, entries),
            release=last,
            entries=entries,
            evidence=tuple(self._patiently(lambda: self._stage.ledger.evidence(release.id))),
            traffic=self._recorder.counts().since(before),
            kill=kill,
            run_url=run.url,
        )
        self._recorder.end(record)
        return record.outcome

    def _approve(self, api: PrefectApi, release: Release, run: FlowRun) -> None:
        """Do what the person does whom the policy asks: say yes, and have the release go on in a run of its own."""
        # The release waits in the ledger a moment before its run ends.
        self._patiently(lambda: api.wait(run.id, self._stage.patience_s))
        self._patiently(lambda: self._stage.approve(release.id))
        self._recorder.tell(f"{release.request.version}: approved by {APPROVED_BY}", "good")
        self._patiently(lambda: self._stage.start_run(api, release))

    def _follow(
        self, act: Act, release: Release, told: int = 0
    ) -> tuple[Release, tuple[JournalEntry, ...], Kill | None]:
        """Until the release is over, asks a person, or takes far too long. `told` rows were told before."""
        ledger = self._stage.ledger
        deadline = time.monotonic() + ACT_TIMEOUT_S
        kill: Kill | None = None
        is_answered = told > 0
        while True:
            # Read before the rows, so that the last rows of a finished release are seen too.
            now = self._patiently(lambda: ledger.get_release(release.id))
            entries = tuple(self._patiently(lambda: ledger.entries(release.id)))
            self._recorder.saw(entries)
            for entry in entries[told:]:
                self._tell(entry, act)
            told = len(entries)
            self._begin_traffic(entries)
            if act.kills and kill is None and now.state is ReleaseState.SHIFTING:
                kill = self._kill_if_due(now, entries)
            is_asking = now.state in ASKING and not (is_answered and now.state is ReleaseState.AWAIT_APPROVAL)
            if now.is_over or is_asking or time.monotonic() > deadline:
                return now, entries, kill
            self._pause(self._stage.poll_s)

    def _tell(self, entry: JournalEntry, act: Act) -> None:
        told = describe(entry, act.version)
        if told is not None:
            self._recorder.tell(*told, at=entry.at)

    def _begin_traffic(self, entries: tuple[JournalEntry, ...]) -> None:
        """Clients come once the first version is live, that is, once every gateway has confirmed it."""
        if self._has_traffic or not any(_confirms_weights(entry) for entry in entries):
            return
        clients = self._stage.make_clients(self._cast)
        clients.start()
        self._recorder.attach(clients)
        self._recorder.tell("clients arrive: short requests and streams, without a pause", "loud")
        self._has_traffic = True

    def _kill_if_due(self, release: Release, entries: tuple[JournalEntry, ...]) -> Kill | None:
        """Kill the new set once it carries a real share and has answered clients with it."""
        assert release.plan is not None, "a release in SHIFTING has its plan"
        step = next(entry for entry in reversed(entries) if entry.kind == "entered")
        weight = int(step.data.get("weight", 0))
        name = release.plan.green_set
        confirmed = next((e for e in entries if e.seq > step.seq and _confirms_weights(e)), None)
        if weight < KILL_FROM_WEIGHT or confirmed is None:
            return None
        answered = self._recorder.traffic().by_set.get(name)
        served_s = (datetime.now(UTC) - confirmed.at).total_seconds()
        if served_s < KILL_AFTER_S or not answered or answered.ok < KILL_AFTER_ANSWERS:
            return None
        begun_at = datetime.now(UTC)
        self._stage.crash(release.ref, name)
        kill = Kill(set_name=name, begun_at=begun_at, done_at=datetime.now(UTC), weight=weight)
        self._recorder.killed(kill)
        self._recorder.tell(
            f"{release.request.version}: WE KILL ITS SET (kill -9) at {weight} % of live traffic",
            "loud",
            at=begun_at,
        )
        return kill

    def _patiently(self, call: Callable[[], T]) -> T:
        """Make a call that may be repeated, again while a server or database is too busy to answer.

        Raises: Interrupted, and the error once patience is over or when repeating cannot help.
        """
        deadline = time.monotonic() + self._stage.patience_s
        while True:
            try:
                return call()
            except Transient:
                if time.monotonic() > deadline:
                    raise
                self._pause(RETRY_S)

    def _pause(self, seconds: float) -> None:
        """Raises: Interrupted."""
        if self._stage.interrupted.wait(seconds):
            raise Interrupted


def _confirms_weights(entry: JournalEntry) -> bool:
    return entry.kind == "observed" and entry.name == "weights"
