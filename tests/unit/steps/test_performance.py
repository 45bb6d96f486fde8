"""The performance gate of a release: what is sent, what is kept, and how it treats the clients beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit.steps.conftest import NOW, Office
from tests.unit.steps.measured_runs import run
from tidegate.access import PROBE_KEY
from tidegate.benchmark import Arm, ClientHonesty, LoadPlan, RunRecord
from tidegate.benchmark.schedule import draw_schedule
from tidegate.domain import Fenced, Gate, Release, ReleaseState, ServiceRef, SetSpec, TrafficCounts, Verdict
from tidegate.domain.policy import LoadDesign, PerformancePolicy
from tidegate.steps.checks import ReleaseChecks
from tidegate.steps.performance import (
    PerformanceCheck,
    allowed_concurrency,
    kept_rounds,
    load_plan,
    rounds_key,
)
from tidegate.steps.ports import GpuJob, GpuWork
from tidegate.steps.rollback import stop_release

POLICY = """
performance:
  metrics: {ttft_p95: null}
  design: {block_pairs: 6, requests_per_block: 4, concurrency: 8}
  budget: {max_block_pairs: 12, step_block_pairs: 2}
shift: {min_requests: 5}
"""

UNDECIDED = (1.0, 1.3)
"""Half of the pairs on each side of the margin of 15 %."""


class Crash(BaseException):
    """The process is killed here."""


class NoGpu:
    """Nothing may be started."""

    def start(self, work: GpuWork, subject: str, attempt: str = "0") -> GpuJob:
        raise AssertionError(f"{work} of {subject} was started")


class RecordingGpu:
    """Notes what is started, and finds nothing."""

    def __init__(self):
        self.started: list[tuple[str, str, str]] = []

    def start(self, work: GpuWork, subject: str, attempt: str = "0") -> "RecordingGpu":
        self.started.append((work, subject, attempt))
        return self

    def wait(self) -> dict[str, Any]:
        return {}


@dataclass
class Sets:
    """Two sets that answer in known times, and count as a gateway does."""

    office: Office
    ratios: tuple[float, ...] = (1.0,)
    """Candidate over live model, of one pair after the other."""
    client_ms: float = 50.0
    busy_ms: float = 50.0
    lags_ms: tuple[float, ...] = (0.1,)
    """How late the client itself was, in one round after the other; the last one stays."""
    """Latency of clients while the sets are measured."""
    crash_after: int | None = None
    plans: list[LoadPlan] = field(default_factory=list[LoadPlan])
    tally: TrafficCounts = field(default_factory=lambda: TrafficCounts(set_name="blue", at=NOW))

    def __call__(self, arms: Sequence[Arm], plan: LoadPlan) -> Mapping[str, RunRecord]:
        if self.crash_after is not None and len(self.plans) >= self.crash_after:
            raise Crash
        self.plans.append(plan)
        digest = str(plan.first_block)
        pairs = range(plan.blocks)
        wobble = [1.0 + 0.01 * (pair % 3) for pair in pairs]
        slower = [self.ratios[pair % len(self.ratios)] for pair in pairs]
        lag = self.lags_ms[min(len(self.plans), len(self.lags_ms)) - 1]
        late: dict[str, Any] = {"verdict": "client-bound", "reasons": ("it woke late",)} if lag > 5 else {}
        honesty = ClientHonesty.model_validate({"verdict": "honest", "loop_lag_p99_ms": lag, **late})
        factors = [a * b for a, b in zip(wobble, slower, strict=True)]
        found = {
            "candidate": run("candidate", factors, digest=digest, honesty=honesty),
            "live": run("live", wobble, digest=digest, honesty=honesty),
        }
        self.office.pass_time(seconds=10)
        assert plan.requests is not None
        self.serve(plan.requests, 180.0)
        self.serve(20, self.busy_ms)
        return {arm.name: found[arm.name] for arm in arms}

    @property
    def policy(self) -> PerformancePolicy:
        return self.office.ports.service(ServiceRef("acme", "chat")).policy.performance

    def serve(self, requests: int, each_ms: float) -> None:
        """What the gateway counts on the live set."""
        self.tally = self.tally.model_copy(
            update={
                "requests": self.tally.requests + requests,
                "latency_count": self.tally.latency_count + requests,
                "latency_ms_sum": self.tally.latency_ms_sum + requests * each_ms,
                "at": self.office.now,
            }
        )
        self.office.ledger.record_counts("g1", [self.tally])


@pytest.fixture
def sets(office: Office) -> Sets:
    """Clients send a steady stream before anything is measured."""
    office.settings.banks_dir.mkdir(parents=True)
    question = '{"id": "q%d", "topic": "t", "prompt": "p%d", "scorer": "contains", "expect": ["x"]}\n'
    bank = "".join(question % (number, number) for number in range(3))
    (office.settings.banks_dir / "pipit.jsonl").write_text(bank)
    office.set_policy("acme", POLICY)
    office.ports = office.load()
    office.ports.secrets.ensure(PROBE_KEY)
    made = Sets(office)
    made.serve(100, made.client_ms)
    office.pass_time(seconds=90)
    made.serve(30, made.client_ms)
    return made


def judging(office: Office) -> Release:
    return office.enter(office.release("acme"), ReleaseState.JUDGING)


def check(sets: Sets, release: Release) -> PerformanceCheck:
    """Time passes only while something is measured."""
    return PerformanceCheck(
        sets.office.ports,
        release,
        measure=sets,
        sleep=lambda seconds: sets.office.pass_time(seconds=seconds),
        monotonic=lambda: sets.office.now.timestamp(),  # noqa: PLW0108  # the office's time moves on
    )


def test_it_measures_in_rounds_up_to_the_planned_end_and_passes_an_equal_candidate(sets: Sets):
    rows = check(sets, judging(sets.office)).rows()

    assert {row.verdict for row in rows} == {Verdict.PASS}
    assert [plan.blocks for plan in sets.plans] == [2, 2, 2]
    assert all(row.data["rounds"]["count"] == 3 for row in rows)


def test_who_takes_over_after_a_crash_measures_only_what_is_missing(sets: Sets):
    release, sets.crash_after = judging(sets.office), 2
    with pytest.raises(Crash):
        check(sets, release).rows()
    sets.crash_after = None

    rows = check(sets, release).rows()

    assert {row.verdict for row in rows} == {Verdict.PASS}
    assert [plan.first_block for plan in sets.plans] == [0, 2, 4], "no round was measured twice"


def test_an_owner_that_was_taken_over_sends_and_keeps_nothing_more(sets: Sets):
    release = judging(sets.office)
    measured = check(sets, release)

    def taken_over(arms: Sequence[Arm], plan: LoadPlan) -> Mapping[str, RunRecord]:
        sets.office.ledger.acquire_lock(release.ref, release.id)
        return sets(arms, plan)

    measured.measure = taken_over
    with pytest.raises(Fenced):
        measured.rows()

    assert len(sets.plans) == 1
    assert kept_rounds(sets.office.ports, rounds_key(release, sets.policy)) == []


def test_a_person_who_stops_a_release_does_not_wait_for_its_budget(sets: Sets):
    release = judging(sets.office)
    stop_release(sets.office.ports, release.id, "ada", "wrong file")

    rows = check(sets, release).rows()

    assert sets.plans == []
    assert rows == []
    assert ReleaseChecks(sets.office.ports, NoGpu()).run([Gate.QUALITY], release) == []


def test_a_release_is_measured_with_the_bank_that_it_was_planned_with(sets: Sets):
    release = judging(sets.office)
    planned = sets.office.ports.service(release.ref).policy.model_dump(mode="json")
    sets.office.ledger.append(release.id, release.epoch, "entered", "planned", {"policy": planned})
    sets.office.set_policy("acme", f"{POLICY}quality: {{bank: another}}\n")
    sets.office.ports = sets.office.load()

    check(sets, sets.office.ledger.get_release(release.id)).rows()

    assert set(sets.plans[0].prompts) == {"p0", "p1", "p2"}
    assert sets.plans[0].prompt_tags["p0"] == ("t",)


def test_what_was_found_in_a_file_answers_for_no_later_release_of_it(sets: Sets):
    gpu, release = RecordingGpu(), judging(sets.office)

    ReleaseChecks(sets.office.ports, gpu).run([Gate.INFERENCE], release)

    assert gpu.started == [("inference", f"acme/chat@{release.digest}", f"{release.id}-0")]


def test_asking_again_measures_nothing_and_says_the_same(sets: Sets):
    release = judging(sets.office)
    first = check(sets, release).rows()

    again = check(sets, release).rows()

    assert again == first
    assert len(sets.plans) == 3


def test_a_client_that_was_busy_for_a_while_holds_no_sound_release(sets: Sets):
    sets.lags_ms = (60.0,) * 5 + (0.1,)

    rows = check(sets, judging(sets.office)).rows()

    assert {row.verdict for row in rows} == {Verdict.PASS}
    assert [plan.first_block for plan in sets.plans] == [0, 2, 4, 6, 8, 10, 12, 14]


def test_a_client_that_only_measures_itself_ends_and_passes_nothing(sets: Sets):
    sets.lags_ms = (60.0,)

    rows = check(sets, judging(sets.office)).rows()

    assert sum(plan.blocks for plan in sets.plans) == 24, "twice the budget of pairs"
    assert Verdict.PASS not in {row.verdict for row in rows if row.check != "performance.errors"}


def test_an_undecided_candidate_is_measured_to_the_end_of_the_budget(sets: Sets):
    sets.ratios = UNDECIDED

    rows = check(sets, judging(sets.office)).rows()

    assert sum(plan.blocks for plan in sets.plans) == 12
    assert any(row.verdict is Verdict.NOT_JUDGED for row in rows)


def test_a_budget_in_money_is_one_in_time(sets: Sets):
    """10 s a round at 36 USD an hour are 0.10 USD."""
    budget = "max_block_pairs: 12, step_block_pairs: 2, max_usd: 0.25"
    sets.office.set_policy("acme", POLICY.replace("max_block_pairs: 12, step_block_pairs: 2", budget))
    sets.office.ports, sets.office.platform.price = sets.office.load(), 36.0
    release = judging(sets.office)
    spec = SetSpec(
        name="green", org="acme", service="chat", release_id=release.id, digest="1" * 64, artifact_path="/x"
    )
    sets.office.ledger.record_set(spec, platform="fake", epoch=release.epoch, state="ready")
    sets.ratios = UNDECIDED

    check(sets, release).rows()

    assert len(sets.plans) == 3


def test_test_requests_take_no_more_than_their_share_of_the_slots(sets: Sets):
    check(sets, judging(sets.office)).rows()

    assert {plan.concurrency for plan in sets.plans} == {2}, "half of the four slots, though 8 are wished"


@pytest.mark.parametrize(("share", "slots", "streams"), [(0.5, 4, 2), (1.0, 4, 4), (0.1, 4, 1), (1.0, 64, 8)])
def test_the_share_bounds_what_is_wished_and_leaves_one(share: float, slots: int, streams: int):
    policy = PerformancePolicy(design=LoadDesign(concurrency=8), max_capacity_share=share)

    assert allowed_concurrency(policy, slots) == streams


def test_less_is_sent_after_clients_were_disturbed_and_in_the_end_nothing(sets: Sets):
    sets.ratios, sets.busy_ms = UNDECIDED, 900.0

    rows = check(sets, judging(sets.office)).rows()

    assert [plan.concurrency for plan in sets.plans] == [2, 1, 1]
    told = rows[0].data["clients_disturbed"]
    assert len(told) == 3
    assert "instead of 50 ms" in told[0]


def test_rounds_send_what_one_measurement_in_one_go_would_send():
    policy = PerformancePolicy(design=LoadDesign(block_pairs=6, requests_per_block=4))
    whole = draw_schedule(load_plan(policy, ("a", "b", "c"), 0, 6, 2, 60))
    first, last = (draw_schedule(load_plan(policy, ("a", "b", "c"), pair, 3, 2, 60)) for pair in (0, 3))

    asked = [(entry.prompt, entry.seed) for part in (first, last) for entry in part.measured]

    assert asked == [(entry.prompt, entry.seed) for entry in whole.measured]


def test_the_order_of_the_arms_alternates_over_the_ends_of_rounds(sets: Sets):
    sets.office.set_policy("acme", POLICY.replace("step_block_pairs: 2", "step_block_pairs: 1"))
    sets.office.ports = sets.office.load()

    check(sets, judging(sets.office)).rows()

    assert [plan.arm_order(0, 2) for plan in sets.plans] == [[0, 1], [1, 0]] * 3


def test_a_policy_that_changes_meanwhile_does_not_change_a_release(sets: Sets):
    release = judging(sets.office)
    planned = sets.office.ports.service(release.ref).policy.model_dump(mode="json")
    sets.office.ledger.append(release.id, release.epoch, "entered", "planned", {"policy": planned})
    sets.office.set_policy("acme", POLICY.replace("block_pairs: 6", "block_pairs: 9"))
    sets.office.ports = sets.office.load()

    check(sets, sets.office.ledger.get_release(release.id)).rows()

    assert sum(plan.blocks for plan in sets.plans) == 6
