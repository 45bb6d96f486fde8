"""One platform as metrics: states, memory, GPUs, cost and engines of its sets."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.domain import ServiceRef, SetState, SetStatus, Transient
from tidegate.domain.overview import Overview, StandingSet
from tidegate.domain.totals import COST, SET_LOAD_SECONDS, Gain, PipelineRun, Total
from tidegate.observability.collect_platform import EnginePages, PlatformCollector
from tidegate.observability.ledger_source import Moments
from tidegate.observability.registry import Family, Readings, Register

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
REF = ServiceRef("acme", "chat")
BLUE = StandingSet("blue", REF, "runpod", "wanted", "pipit", "v1", "stable", NOW)
LEFT = StandingSet("old", REF, "runpod", "left", "pipit", "v0", "stable", NOW)
READY = SetStatus(
    name="blue",
    state=SetState.READY,
    host="h",
    port=1,
    restarts=2,
    memory_bytes=300,
    usd_per_hour=3.6,
    load_seconds=12.0,
    since=NOW + timedelta(seconds=5),
)
FIGURES = {
    "prompt_tokens_total": 100.0,
    "prompt_tokens_cached_total": 40.0,
    "requests_processing": 2.0,
    'requests_total{prompt="a_secret"}': 1.0,
    "gpu0_utilization": 87.0,
    "gpu1_memory_used_bytes": 5e9,
    "gpu1_xid_faults": 1.0,
}


class World:
    """Ledger, platform and clock in one."""

    name = "runpod"

    def __init__(self, *owned: SetStatus, sets: Sequence[StandingSet] = (BLUE,)):
        self.owned, self.sets, self.gains, self.now = list(owned), tuple(sets), list[Gain](), NOW.timestamp()

    def list_owned(self) -> Sequence[SetStatus]:
        return self.owned

    def metrics(self, name: str) -> Mapping[str, float]:
        return FIGURES

    def overview(self, timeout_s: float) -> Overview:
        return Overview(sets=self.sets)

    def totals(self, timeout_s: float) -> list[Total]:
        return []

    def add_totals(self, gains: Sequence[Gain]) -> None:
        self.gains += gains

    def record_runs(self, runs: Sequence[PipelineRun]) -> int:
        return 0


class Watched:
    def __init__(self, world: World):
        self.world, self.pages = world, EnginePages()
        self.collector = PlatformCollector(world, Moments(world), world, self.pages, clock=lambda: world.now)

    def look(self) -> dict[str, Family]:
        into, guard = Readings(self.collector.name, self.collector.names), Register()
        self.collector.collect(into)
        shown = guard.settle(into)
        assert guard.refused == 0
        return shown


PLACE = ("acme", "chat", "blue")


def test_a_ready_set_tells_state_copies_memory_and_restarts() -> None:
    shown = Watched(World(READY)).look()

    assert shown["tidegate_set_state"][*PLACE, "stable", "ready"] == 1.0
    assert shown["tidegate_set_replicas"] == {
        (*PLACE, "stable", "desired"): 1.0,
        (*PLACE, "stable", "ready"): 1.0,
    }
    assert shown["tidegate_set_memory_bytes"] == {PLACE: 300.0}
    assert shown["tidegate_set_restarts_total"] == {PLACE: 2.0}


def test_a_set_that_the_platform_lost_is_absent_and_one_that_is_to_go_is_not_wanted() -> None:
    shown = Watched(World(sets=(BLUE, LEFT))).look()

    assert shown["tidegate_set_state"][*PLACE, "stable", "absent"] == 1.0
    assert shown["tidegate_set_replicas"]["acme", "chat", "blue", "stable", "desired"] == 1.0
    assert shown["tidegate_set_replicas"]["acme", "chat", "old", "stable", "desired"] == 0.0


def test_figures_of_engine_and_gpus_get_names_of_ours_and_what_is_not_told_is_absent() -> None:
    shown = Watched(World(READY)).look()

    assert shown["tidegate_prefix_cache_tokens_total"] == {(*PLACE, "hit"): 40.0, (*PLACE, "miss"): 100.0}
    assert shown["tidegate_gpu_utilization_ratio"] == {(*PLACE, "0"): pytest.approx(0.87)}
    assert shown["tidegate_gpu_memory_used_bytes"] == {(*PLACE, "1"): 5e9}
    assert shown["tidegate_gpu_faults_total"] == {(*PLACE, "xid"): 1.0}
    assert shown["tidegate_gpu_temperature_celsius"] == {}
    assert shown["tidegate_kv_cache_utilization_ratio"] == {}


def test_an_engine_that_is_not_ready_is_not_asked() -> None:
    starting = READY.model_copy(update={"state": SetState.STARTING})
    watched = Watched(World(starting))
    watched.look()

    assert watched.pages.all() == {}


def test_the_engines_page_has_its_own_names_without_a_colon() -> None:
    watched = Watched(World(READY))
    watched.look()
    text = watched.pages.all()["blue"].text

    assert "# TYPE llamacpp_prompt_tokens_total counter\nllamacpp_prompt_tokens_total 100.0\n" in text
    assert "# TYPE llamacpp_requests_processing gauge\n" in text
    assert "secret" not in text


def test_what_nobody_recorded_is_an_orphan() -> None:
    stray = SetStatus(name="stray", state=SetState.READY, usd_per_hour=1.0)
    shown = Watched(World(READY, stray)).look()

    assert shown["tidegate_orphan_resources"] == {("runpod", "set"): 1.0}
    assert shown["tidegate_cost_usd_per_hour"] == {("acme", "chat", "runpod"): pytest.approx(3.6)}


def test_cost_is_price_times_the_time_between_two_looks() -> None:
    watched = Watched(World(READY))
    watched.look()
    assert not [gain for gain in watched.world.gains if gain.metric == COST]

    watched.world.now += 10
    watched.look()
    (gain,) = [gain for gain in watched.world.gains if gain.metric == COST]
    assert (gain.labels, gain.amount) == (("acme", "chat", "runpod"), pytest.approx(0.01))


def test_after_a_long_pause_only_a_few_minutes_are_counted() -> None:
    watched = Watched(World(READY))
    watched.look()
    watched.world.now += 86_400
    watched.look()

    (gain,) = [gain for gain in watched.world.gains if gain.metric == COST]
    assert gain.amount == pytest.approx(0.3)


def test_a_model_that_was_loaded_is_counted_once() -> None:
    watched = Watched(World(READY))
    for _ in range(3):
        watched.look()

    loads = [gain for gain in watched.world.gains if gain.metric == SET_LOAD_SECONDS]
    assert sorted(gain.amount for gain in loads) == [1.0, 12.0]


def test_a_load_before_the_exporter_ran_is_not_counted_again() -> None:
    watched = Watched(World(READY.model_copy(update={"since": NOW - timedelta(hours=1)})))
    watched.look()

    assert watched.world.gains == []


def test_a_platform_that_cannot_be_asked_fails_its_own_look() -> None:
    class Away(World):
        def list_owned(self) -> Sequence[SetStatus]:
            raise Transient("away")

    with pytest.raises(Transient):
        Watched(Away()).look()
