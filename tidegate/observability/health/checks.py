"""When what is looked at, and what becomes of a look that hangs: it is `unknown`, and the others go on. No clock of its own.

What is not well is looked at again soon: what was mended must not stand as failed until a dear look's turn comes.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tidegate.domain import TidegateError
from tidegate.domain.error_tracking import FORGET, NoteError
from tidegate.domain.health import Health, Judgement

CHEAP_S, DEAR_S = 15.0, 300.0
# A look that is made again soon uses at most this share of the time.
MOST_OF_TIME = 0.1


@dataclass(frozen=True)
class Kind:
    """A kind of check: what it is about, how often it is made and how long it may take."""

    about: str
    interval_s: float
    timeout_s: float


CHECKS: Mapping[str, Kind] = {
    "host": Kind("processor, memory and disk of this host", CHEAP_S, 5.0),
    "gpu": Kind("GPUs of this host", CHEAP_S, 10.0),
    "processes": Kind("every process of the stack, and whether it may do its work", CHEAP_S, 10.0),
    "ledger": Kind("reachable, schema, time of a write", CHEAP_S, 10.0),
    "ledger-integrity": Kind("pages and indexes of the database", DEAR_S, 60.0),
    "prefect": Kind("server, deployments, runs that wait", CHEAP_S, 10.0),
    "workers": Kind("workers of each pool", CHEAP_S, 10.0),
    "gateways": Kind("observed generation, silent ones", CHEAP_S, 5.0),
    "platforms": Kind("platforms that can be asked", DEAR_S, 60.0),
    "credentials": Kind("credentials of each organization, asked of the platform itself", DEAR_S, 60.0),
    "sets": Kind("what is routed is ready and serves the file of its release", 60.0, 30.0),
    "store": Kind("folder of artifacts, and the files of what is live", 60.0, 30.0),
    "expiry": Kind("client keys, signing keys and certificates", DEAR_S, 10.0),
    "backups": Kind("last one made, last one restored as a test", 60.0, 10.0),
    "notifications": Kind("events that nobody was told of, dead letters", CHEAP_S, 5.0),
    "audit": Kind("the chain of the audit log", DEAR_S, 60.0),
}


@dataclass(frozen=True)
class Check:
    """One kind with what looks. `look` answers with a judgement, or raises when it could not see."""

    name: str
    look: Callable[[], Judgement]

    @property
    def kind(self) -> Kind:
        return CHECKS[self.name]


@dataclass
class _Running:
    """A look under way. `is_told` when its time was over before it ended."""

    begun_at: float
    is_told: bool = False
    ended: Judgement | None = None


@dataclass(frozen=True)
class Told:
    """What is to be recorded of one check."""

    check: Check
    judgement: Judgement
    took_s: float


Start = Callable[[Callable[[], None]], None]
Conceal = Callable[[str], str]


def start_thread(work: Callable[[], None]) -> None:
    """A look that never ends holds up neither the others nor the end of the process."""
    threading.Thread(target=work, name="health look", daemon=True).start()


class Turn:
    """Calls `look` of each check at its times. `advance` is called again and again with the time of a steady clock."""

    def __init__(
        self,
        checks: Sequence[Check],
        conceal: Conceal,
        start: Start = start_thread,
        note: NoteError = FORGET,
    ):
        self._checks = checks
        self._conceal = conceal
        self._note = note
        self._start = start
        self._running: dict[str, _Running] = {}
        self._due: dict[str, float] = {}

    def advance(self, now: float) -> list[Told]:
        """Begin what is due; tell what ended, and what has not ended in its time."""
        told = [one for check in self._checks for one in self._end(check, now)]
        for check in self._checks:
            if check.name not in self._running and now >= self._due.get(check.name, now):
                self._due[check.name] = now + check.kind.interval_s
                self._begin(check, now)
        return told

    def has_ended(self, check: Check) -> bool:
        """Nothing of it is under way."""
        return check.name not in self._running

    def _begin(self, check: Check, now: float) -> None:
        running = self._running[check.name] = _Running(now)

        def work() -> None:
            running.ended = self._looked(check)

        self._start(work)

    def _looked(self, check: Check) -> Judgement:
        try:
            return check.look()
        except TidegateError as error:
            return Judgement(Health.UNKNOWN, self._conceal(f"not seen: {error.message}"), error.remedy)
        except Exception as error:  # noqa: BLE001  # a defect in one look must not end the others
            self._note(error, f"health check {check.name}")
            text = f"not seen: {type(error).__name__}: {error}".splitlines()[0]
            return Judgement(Health.UNKNOWN, self._conceal(text), "See: tidegate logs health.")

    def _end(self, check: Check, now: float) -> list[Told]:
        running = self._running.get(check.name)
        if running is None:
            return []
        took_s = now - running.begun_at
        if running.ended is not None:
            del self._running[check.name]
            if running.ended.health is not Health.OK:
                self._due[check.name] = min(self._due[check.name], now + max(CHEAP_S, took_s / MOST_OF_TIME))
            return [Told(check, running.ended, took_s)]
        is_due_again = running.is_told and now >= self._due[check.name]
        if took_s < check.kind.timeout_s or (running.is_told and not is_due_again):
            return []
        running.is_told = True
        self._due[check.name] = now + check.kind.interval_s
        text = f"the look that began {took_s:.0f} s ago has not ended; {check.kind.timeout_s:g} s are allowed"
        return [Told(check, Judgement(Health.UNKNOWN, text, _hung(check.name)), took_s)]


def _hung(name: str) -> str:
    return f"What is looked at does not answer; try by hand: tidegate health check {name}."
