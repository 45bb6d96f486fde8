"""A demonstration as it would have been recorded: two services, four releases each, one killed set each."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidegate.demo.scenario import ACTS, CASTS, Act, Cast, outcome_of
from tidegate.demo.story import ActRecord, Counts, Failure, Kill, Sample, ServiceStory, Story
from tidegate.domain import (
    Evidence,
    Gate,
    JournalEntry,
    Plan,
    Release,
    ReleaseRequest,
    ReleaseState,
    Verdict,
    set_name,
)

START = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
DIGESTS = {act.version: f"{number}" * 64 for number, act in enumerate(ACTS, start=1)}
RATE = 20

# (seconds after the request, kind, name, data)
Row = tuple[float, str, str, dict[str, Any]]
CHECKED: list[Row] = [
    (0.0, "entered", "requested", {}),
    (2.1, "entered", "planned", {"reason": "planned"}),
    (2.2, "entered", "validating", {"reason": "plan made"}),
    (4.0, "entered", "provisioning", {"reason": "the artifact may be deployed"}),
    (4.1, "intent", "create", {}),
    (4.6, "entered", "warming", {"reason": "ready after 0.4 s"}),
    (5.2, "entered", "judging", {"reason": "the set serves the right file"}),
]
FIRST: list[Row] = [
    *CHECKED,
    (6.0, "entered", "shifting", {"reason": "gates passed; 100 % of live traffic", "step": 2, "weight": 100}),
    (6.05, "observed", "weights", {}),
    (8.3, "entered", "baking", {"reason": "21 live requests on the new set, 0 failed"}),
    (8.31, "observed", "weights", {}),
    (10.4, "entered", "committing", {"reason": "60 live requests on the new set, 0 failed"}),
    (10.5, "entered", "retiring", {"reason": "the alias points at the new version"}),
    (10.7, "entered", "done", {"reason": "all traffic is on the new version"}),
]
PROMOTED: list[Row] = [
    *CHECKED,
    (8.0, "entered", "shifting", {"reason": "gates passed; 10 %", "step": 0, "weight": 10}),
    (8.04, "observed", "weights", {}),
    (10.2, "entered", "shifting", {"reason": "20 live requests; 50 %", "step": 1, "weight": 50}),
    (10.26, "observed", "weights", {}),
    (12.3, "entered", "shifting", {"reason": "44 live requests; 100 %", "step": 2, "weight": 100}),
    (12.341, "observed", "weights", {}),
    (14.4, "entered", "baking", {"reason": "41 live requests on the new set, 0 failed"}),
    (14.42, "observed", "weights", {}),
    (16.5, "entered", "committing", {"reason": "42 live requests on the new set, 0 failed"}),
    (16.6, "entered", "retiring", {"reason": "the alias points at the new version"}),
    (16.9, "entered", "done", {"reason": "all traffic is on the new version"}),
]
REFUSED: list[Row] = [
    *CHECKED,
    (9.0, "entered", "rolling_back", {"reason": "quality gate: Topics lost: capital 14/14 -> 0/14."}),
    (9.02, "observed", "traffic", {}),
    (9.4, "entered", "rolled_back", {"reason": "quality gate: Topics lost: capital 14/14 -> 0/14."}),
]
KILLED: list[Row] = [
    *PROMOTED[:11],
    (11.35, "entered", "rolling_back", {"reason": "the new set died", "trigger": "set_lost"}),
    (11.412, "observed", "traffic", {}),
    (11.9, "entered", "rolled_back", {"reason": "the new set died", "trigger": "set_lost"}),
]
ROWS = {"v1": FIRST, "v2": PROMOTED, "v3-regressed": REFUSED, "v2-fast": KILLED}
KILL_S = 11.2


@dataclass
class Stagehand:
    """Makes records, with everything that a test does not name as in a demonstration that went well."""

    start: datetime = START
    rows: dict[str, list[Row]] = field(default_factory=lambda: dict(ROWS))

    def at(self, seconds: float) -> datetime:
        return self.start + timedelta(seconds=seconds)

    def entries(self, rows: list[Row], begin_s: float = 0.0) -> tuple[JournalEntry, ...]:
        return tuple(
            JournalEntry(
                seq=number,
                release_id="r-20261121-abcdef",
                epoch=1,
                kind=kind,  # pyright: ignore[reportArgumentType]
                name=name,
                data=data,
                at=self.at(begin_s + seconds),
            )
            for number, (seconds, kind, name, data) in enumerate(rows, start=1)
        )

    def release(self, cast: Cast, act: Act, entries: tuple[JournalEntry, ...], **changes: Any) -> Release:
        last = [entry for entry in entries if entry.kind == "entered"][-1]
        digest = DIGESTS[act.version]
        plan = Plan(
            green_set=set_name(cast.ref, digest, "r"),
            green_digest=digest,
            blue_set=None if act.version == "v1" else set_name(cast.ref, DIGESTS["v1"], "r"),
            blue_digest=None,
            blue_version=None,
            ladder=(10, 50, 100),
            gates=(),
            policy_digest="0" * 64,
        )
        values: dict[str, Any] = {
            "id": f"r-20261121-{act.version}",
            "request": ReleaseRequest(
                org=cast.ref.org, service=cast.ref.service, model=cast.model, version=act.version
            ),
            "digest": digest,
            "state": ReleaseState(last.name),
            "epoch": 1,
            "plan": plan,
            "reason": str(last.data.get("reason", "")),
            "created_at": entries[0].at,
            "updated_at": last.at,
        }
        return Release(**values | changes)

    def act(self, cast: Cast, act: Act, begin_s: float, **changes: Any) -> ActRecord:
        entries = self.entries(self.rows[act.version], begin_s)
        release = self.release(cast, act, entries)
        assert release.plan is not None
        seconds = (entries[-1].at - entries[0].at).total_seconds()
        sent = 0 if act.version == "v1" else round(seconds * RATE)
        values: dict[str, Any] = {
            "version": act.version,
            "expected": act.expected,
            "shows": act.shows,
            "outcome": outcome_of(release, entries),
            "release": release,
            "entries": entries,
            "evidence": evidence(act.version),
            "traffic": Counts(sent=sent, ok=sent),
            "kill": Kill(
                set_name=release.plan.green_set,
                begun_at=self.at(begin_s + KILL_S),
                done_at=self.at(begin_s + KILL_S + 0.01),
                weight=50,
            )
            if act.kills
            else None,
        }
        return ActRecord(**values | changes)

    def service(self, cast: Cast, **changes: Any) -> ServiceStory:
        begin_s, acts = 0.0, list[ActRecord]()
        for act in ACTS:
            acts.append(self.act(cast, act, begin_s))
            begin_s += (acts[-1].entries[-1].at - acts[-1].entries[0].at).total_seconds() + 0.3
        samples = self.samples(acts, begin_s + 2)
        kill = acts[-1].kill
        assert kill is not None
        failures = tuple(self.failure(kill, is_stream=is_stream) for is_stream in (False, True))
        last = samples[-1].counts
        totals = Counts(sent=last.sent + 2, ok=last.ok, failed=1, truncated=1)
        values: dict[str, Any] = {
            "service": str(cast.ref),
            "model": cast.model,
            "acts": tuple(acts),
            "samples": tuple(samples),
            "totals": totals,
            "failures": failures,
        }
        return ServiceStory(**values | changes)

    def failure(self, kill: Kill, **changes: Any) -> Failure:
        is_stream = bool(changes.get("is_stream", False))
        values: dict[str, Any] = {
            "sent_at": kill.begun_at - timedelta(milliseconds=30),
            "ended_at": kill.done_at + timedelta(milliseconds=5),
            "outcome": "truncated" if is_stream else "failed",
            "error": "reset: ClientPayloadError" if is_stream else "HTTP 503",
            "is_stream": is_stream,
            "status": 200 if is_stream else 503,
            "set_name": kill.set_name if is_stream else None,
            "request_id": "7a0f",
            "explained": True,
        }
        return Failure(**values | changes)

    def samples(self, acts: list[ActRecord], until_s: float) -> list[Sample]:
        """Every quarter of a second: weights as the journal set them, answers split by them."""
        moments = [
            (entry.at, act.version, entry.name, int(entry.data.get("weight", 0)))
            for act in acts
            for entry in act.entries
            if entry.kind == "entered" and entry.name in ("shifting", "rolling_back")
        ]
        samples: list[Sample] = []
        weights: dict[str, int] = {}
        answered: dict[str, float] = {}
        live = ""
        for tick in range(int(until_s * 4)):
            now = self.at(tick / 4)
            while moments and moments[0][0] <= now:
                _, version, name, weight = moments.pop(0)
                weight = weight if name == "shifting" else 0
                weights = {version: weight} | ({live: 100 - weight} if live and live != version else {})
                live = version if weight == 100 else live
            for version, weight in weights.items():
                answered[version] = answered.get(version, 0.0) + RATE / 4 * weight / 100
            whole = {version: round(count) for version, count in answered.items()}
            ok = sum(whole.values())
            samples.append(
                Sample(
                    at=now,
                    weights=dict(weights),
                    answered=whole,
                    counts=Counts(sent=ok, ok=ok),
                    ttft_p50_ms=11.0 if ok else None,
                )
            )
        return samples

    def story(self, **changes: Any) -> Story:
        services = tuple(self.service(cast) for cast in CASTS)
        values: dict[str, Any] = {
            "started_at": self.start,
            "ended_at": max(service.samples[-1].at for service in services),
            "stack_s": 14.2,
            "urls": {"gateway": "http://127.0.0.1:8080", "prefect": "http://127.0.0.1:4200"},
            "machine": {"processor": "A processor", "cores": "2", "Python": "3.11.2"},
            "services": services,
        }
        return Story(**values | changes)


def evidence(version: str) -> tuple[Evidence, ...]:
    """Rows as the gates write them; `v3-regressed` lost two topics."""
    is_bad = version == "v3-regressed"
    topics = {"greeting": "6/6 -> 6/6", "json": "10/10 -> 3/10" if is_bad else "10/10 -> 10/10"}
    topics["capital"] = "14/14 -> 0/14" if is_bad else "14/14 -> 14/14"
    rows = [
        Evidence(
            gate=Gate.STRUCTURE, check="gguf.offset", verdict=Verdict.PASS, summary="Every tensor is inside."
        ),
        Evidence(
            gate=Gate.IDENTITY, check="identity.digest", verdict=Verdict.PASS, summary="The right file."
        ),
    ]
    if version != "v1":
        rows.append(
            Evidence(
                gate=Gate.QUALITY,
                check="quality.topics",
                verdict=Verdict.FAIL if is_bad else Verdict.PASS,
                summary="Topics lost: json, capital." if is_bad else "No topic was lost.",
                data={"topics": topics, "failed": ["json", "capital"] if is_bad else []},
            )
        )
    return tuple(rows)


@pytest.fixture
def stagehand() -> Stagehand:
    return Stagehand()


@pytest.fixture
def story(stagehand: Stagehand) -> Story:
    return stagehand.story()


@pytest.fixture
def with_service(stagehand: Stagehand, story: Story) -> Callable[..., Story]:
    """The same story with other values in its first service."""

    def change(**changes: Any) -> Story:
        first = story.services[0].model_copy(update=changes)
        return story.model_copy(update={"services": (first, *story.services[1:])})

    return change
