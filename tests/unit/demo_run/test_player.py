"""One organization's part against a journal that moves on by itself: order, traffic, the kill, trouble."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tidegate.benchmark.tally import Counts as Tallied
from tidegate.benchmark.tally import TrafficSnapshot
from tidegate.demo.player import KILL_AFTER_S, Player, Stage
from tidegate.demo.recorder import Recorder
from tidegate.demo.scenario import ACTS, CASTS, Outcome
from tidegate.demo.story import ServiceStory
from tidegate.domain import (
    JournalEntry,
    NeedsOperator,
    Release,
    ReleaseRequest,
    ReleaseState,
    ServiceRef,
    Transient,
)

CAST = CASTS[0]


class Run:
    id = "run"
    url = "http://prefect/run"


class Api:
    def __enter__(self) -> "Api":
        return self

    def wait(self, run_id: str, timeout_s: float) -> "Run":
        return Run()

    def __exit__(self, *_: object) -> None:
        return None


class FakeClients:
    """Answers of every set grow whenever somebody looks."""

    def __init__(self, world: "World"):
        self.world = world
        self.looks = 0
        self.is_started = False

    def start(self) -> None:
        self.is_started = True
        self.world.told.append("clients")

    def snapshot(self) -> TrafficSnapshot:
        self.looks += 1
        answers = Tallied(ok=self.looks)
        return TrafficSnapshot(sent=self.looks, ok=self.looks, by_set=dict.fromkeys(self.world.sets, answers))

    def stop(self) -> TrafficSnapshot:
        return self.snapshot()


class World:
    """A ledger whose releases take one row with each look, and everything else that a player touches.

    A release that is to be killed stays at its step until it is; without a kill it would be promoted.
    """

    def __init__(self, stagehand: Any):
        self.stagehand = stagehand
        self.rows = dict(stagehand.rows)
        self.told: list[str] = []
        self.sets: list[str] = []
        self.killed: list[str] = []
        self.approved: list[str] = []
        self.troubles: list[Exception] = []
        self.present: tuple[Release, list[JournalEntry], list[Any]] | None = None
        self.clients = FakeClients(self)

    def request(self, request: ReleaseRequest) -> Release:
        if self.troubles:
            raise self.troubles.pop(0)
        act = next(act for act in ACTS if act.version == request.version)
        rows = list(self.rows[act.version])
        entries = [self._entry(1, rows.pop(0))]
        release = self.stagehand.release(CAST, act, tuple(entries))
        self.present = (release, entries, rows)
        self.sets.append(release.plan.green_set)
        self.told.append(act.version)
        return release

    def get_release(self, release_id: str) -> Release:
        assert self.present is not None
        release, entries, rows = self.present
        waits_for_person = entries[-1].name == "await_approval" and release.id not in self.approved
        waits_for_kill = rows and rows[0][2] == "rolling_back" and rows[0][3].get("trigger") == "set_lost"
        if (
            rows
            and not waits_for_person
            and (not waits_for_kill or (release.plan and release.plan.green_set in self.killed))
        ):
            entries.append(self._entry(len(entries) + 1, rows.pop(0)))
        last = [entry for entry in entries if entry.kind == "entered"][-1]
        return release.model_copy(
            update={"state": ReleaseState(last.name), "reason": str(last.data.get("reason", ""))}
        )

    def _entry(self, seq: int, row: Any) -> JournalEntry:
        return self.stagehand.entries([row])[0].model_copy(update={"seq": seq, "at": datetime.now(UTC)})

    def entries(self, release_id: str) -> list[JournalEntry]:
        assert self.present is not None
        return list(self.present[1])

    def evidence(self, release_id: str) -> list[Any]:
        return []

    def approve(self, release_id: str) -> Release:
        assert self.present is not None
        self.approved.append(release_id)
        return self.present[0]

    def crash(self, ref: ServiceRef, set_name: str) -> None:
        self.killed.append(set_name)

    def get_route(self, ref: ServiceRef) -> None:
        return None

    def version_by_digest(self, org: str, digest: str) -> None:
        return None


@pytest.fixture
def world(stagehand: Any) -> World:
    return World(stagehand)


@pytest.fixture
def interrupted() -> threading.Event:
    return threading.Event()


@pytest.fixture
def play(world: World, interrupted: threading.Event) -> Callable[..., ServiceStory]:
    """Plays the whole part in this thread; time for a poll is not waited."""

    def run(**changes: Any) -> ServiceStory:
        values: dict[str, Any] = {
            "ledger": world,
            "request": world.request,
            "approve": world.approve,
            "open_api": Api,
            "start_run": lambda api, release: Run(),
            "make_clients": lambda cast: world.clients,
            "crash": world.crash,
            "interrupted": interrupted,
            "calm_s": 0.0,
            "patience_s": 30.0,
            "poll_s": 0.001,
        }
        recorder = Recorder(CAST, ACTS, world)
        Player(Stage(**values | changes), CAST, ACTS, recorder).play()
        return recorder.story()

    return run


def test_all_acts_are_played_in_order_with_clients_from_the_first_live_version_on(
    world: World, play: Callable[..., ServiceStory]
):
    story = play()

    assert world.told == ["v1", "clients", "v2", "v3-regressed", "v2-fast"]
    assert [act.outcome for act in story.acts] == [act.expected for act in ACTS]
    assert story.problem == ""


def test_only_the_new_set_of_the_last_act_is_killed_once_and_under_half_of_the_traffic(
    world: World, play: Callable[..., ServiceStory]
):
    kill = play().acts[-1].kill

    assert kill is not None
    assert world.killed == [kill.set_name] == [world.sets[-1]]
    assert kill.weight == 50


def test_the_set_is_killed_only_after_it_served_users(world: World, play: Callable[..., ServiceStory]):
    act = play().acts[-1]
    confirmed = [entry for entry in act.entries if entry.name == "weights"][-1]

    assert act.kill is not None
    assert (act.kill.begun_at - confirmed.at).total_seconds() >= KILL_AFTER_S


def test_a_set_that_answers_nobody_is_not_killed(world: World, play: Callable[..., ServiceStory]):
    world.rows["v2-fast"] = world.stagehand.rows["v2"]
    world.clients.snapshot = TrafficSnapshot  # pyright: ignore[reportAttributeAccessIssue]

    last = play().acts[-1]

    assert (last.kill, last.outcome) == (None, Outcome.LIVE)


def test_an_act_with_another_outcome_ends_the_part(world: World, play: Callable[..., ServiceStory]):
    world.rows["v2"] = world.stagehand.rows["v3-regressed"]

    story = play()

    assert [act.outcome for act in story.acts] == [Outcome.LIVE, Outcome.REFUSED]
    assert world.told == ["v1", "clients", "v2"]


def test_a_release_that_asks_a_person_ends_the_part(world: World, play: Callable[..., ServiceStory]):
    world.rows["v2"] = [*world.stagehand.rows["v2"][:9], (10.0, "entered", "hold", {"reason": "not judged"})]

    assert play().acts[-1].outcome is Outcome.HELD


def test_a_release_that_waits_for_its_approval_gets_it_and_goes_on_in_a_run_of_its_own(
    world: World, play: Callable[..., ServiceStory]
):
    rows = list(world.stagehand.rows["v2"])
    rows.insert(
        -3, (15.0, "entered", "await_approval", {"reason": "a person must approve", "from": "baking"})
    )
    world.rows["v2"] = rows
    started: list[str] = []

    def start_run(api: Api, release: Release) -> Run:
        started.append(release.request.version)
        return Run()

    story = play(start_run=start_run)

    assert [act.outcome for act in story.acts] == [act.expected for act in ACTS]
    assert world.approved == ["r-20261121-v2"]
    assert started == ["v1", "v2", "v2", "v3-regressed", "v2-fast"]


def test_a_bad_version_that_asks_for_approval_does_not_get_it(
    world: World, play: Callable[..., ServiceStory]
):
    rows = [*world.stagehand.rows["v2"][:9], (15.0, "entered", "await_approval", {"reason": "approve"})]
    world.rows["v3-regressed"] = rows

    assert play().acts[-1].outcome is Outcome.HELD
    assert world.approved == []


def test_a_busy_server_is_asked_again(world: World, play: Callable[..., ServiceStory]):
    world.troubles = [Transient("busy")]

    assert len(play().acts) == len(ACTS)


def test_a_server_that_stays_away_ends_the_part_with_its_error(
    world: World, play: Callable[..., ServiceStory]
):
    world.troubles = [Transient("Prefect is away")] * 9

    story = play(patience_s=0.0)

    assert story.acts == ()
    assert "Prefect is away" in story.problem


def test_an_error_that_cannot_pass_is_told_at_once(world: World, play: Callable[..., ServiceStory]):
    world.troubles = [NeedsOperator("a person must look")]

    assert "a person must look" in play().problem


def test_an_interruption_ends_the_part(interrupted: threading.Event, play: Callable[..., ServiceStory]):
    interrupted.set()

    assert play().problem == "interrupted"
