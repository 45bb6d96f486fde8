"""What the demonstration saw, as plain values: what is summed up, reported, and printed as JSON."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from tidegate.benchmark.tally import Ended
from tidegate.demo.scenario import Outcome
from tidegate.domain import Evidence, JournalEntry, Release


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Counts(_Record):
    """Requests of clients so far: `sent = ok + failed + truncated + aborted + in_flight`."""

    sent: int = 0
    ok: int = 0
    failed: int = 0
    truncated: int = 0
    aborted: int = Field(default=0, description="Cut off by the demonstration itself when it stopped.")
    in_flight: int = 0

    def since(self, earlier: "Counts") -> "Counts":
        """What came after `earlier`; `in_flight` is the present number."""
        gained = {
            name: getattr(self, name) - getattr(earlier, name)
            for name in ("sent", "ok", "failed", "truncated", "aborted")
        }
        return Counts(**gained, in_flight=self.in_flight)


class Sample(_Record):
    """One look at a service. `weights` are percent by version as wanted, `answered` whole answers by version."""

    at: datetime
    weights: dict[str, int] = {}
    answered: dict[str, int] = {}
    counts: Counts = Counts()
    ttft_p50_ms: float | None = None
    latency_p50_ms: float | None = None


class Kill(_Record):
    """A set that was killed on purpose. The moment lies between `begun_at` and `done_at`."""

    set_name: str
    begun_at: datetime
    done_at: datetime
    weight: int = Field(description="Percent of live traffic that was on it.")


class Failure(_Record):
    """One request that did not end well, as its client saw it."""

    sent_at: datetime
    ended_at: datetime
    outcome: str
    error: str
    is_stream: bool
    status: int | None
    set_name: str | None
    request_id: str | None
    explained: bool = Field(description="It was in flight on the set that we killed.")


class ActRecord(_Record):
    """One release from the wish to its end, with the traffic of the service during it."""

    version: str
    expected: Outcome
    shows: str
    outcome: Outcome
    release: Release
    entries: tuple[JournalEntry, ...]
    evidence: tuple[Evidence, ...]
    traffic: Counts
    kill: Kill | None = None
    run_url: str = ""


class ServiceStory(_Record):
    """Everything about one service."""

    service: str
    model: str
    acts: tuple[ActRecord, ...]
    samples: tuple[Sample, ...]
    totals: Counts
    failures: tuple[Failure, ...] = ()
    problem: str = Field(
        default="", description="Why this service's part ended early; empty when it did not."
    )


class Story(_Record):
    """The whole demonstration."""

    started_at: datetime
    ended_at: datetime
    stack_s: float = Field(description="Seconds to start the stack; 0 when it was up.")
    urls: dict[str, str]
    machine: dict[str, str]
    services: tuple[ServiceStory, ...]

    @property
    def elapsed_s(self) -> float:
        return (self.ended_at - self.started_at).total_seconds()


def failure_of(ended: Ended, sent_at: datetime, kills: list[Kill]) -> Failure:
    """A failed request, explained when it was in flight on a killed set at the moment of the kill.

    A reply without the header of a set (the connection broke before any header) may have been there too.
    One that was sent after the kill, or that another set broke, is never explained by it.
    """
    explained = any(
        ended.set_name in (kill.set_name, None) and sent_at <= kill.done_at and ended.at >= kill.begun_at
        for kill in kills
    )
    return Failure(
        sent_at=sent_at,
        ended_at=ended.at,
        outcome=ended.outcome.value,
        error=ended.error,
        is_stream=ended.is_stream,
        status=ended.status,
        set_name=ended.set_name,
        request_id=ended.request_id,
        explained=explained,
    )
