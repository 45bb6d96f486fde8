"""The gates of replayed and copied requests as steps of a release: what they read, when they look, when they stop."""

import json
from datetime import timedelta

import pytest

from tidegate.access import capture_key_name
from tidegate.domain import Fenced, ReleaseState, Secret, ServiceRef, Verdict
from tidegate.domain.live import SHADOW, Histogram, LiveBatch
from tidegate.domain.policy import CapturePolicy
from tidegate.replay.keeping import Keeper
from tidegate.replay.pairs import ReplayedPair, Reply
from tidegate.steps.replay_gate import ReplayGate, sampled
from tidegate.steps.shadow import ShadowCheck

ACME = ServiceRef("acme", "chat")
POLICY = "replay: {pairs: 40, min_pairs: 30}\nshift: {shadow_s: 10, step_deadline_s: 5, min_requests: 50}\n"


@pytest.fixture
def stage(office):
    office.set_policy("acme", POLICY)
    office.environ["TIDEGATE_SECRET_TIDEGATE_PROBE_KEY"] = "tg_probe_0123456789abcdef0123456789"
    office.ports = office.load()
    office.stage = office.enter(office.release("acme"), ReleaseState.JUDGING)
    return office


def capture(office, count: int) -> None:
    keeper = Keeper(
        office.ledger,
        lambda: {ACME: CapturePolicy(percent=1)},
        lambda org: office.ports.secrets.ensure(capture_key_name(org)),
        lambda: office.now,
    )
    bodies = ({"messages": [{"role": "user", "content": f"question {number}"}]} for number in range(count))
    assert keeper.keep([(ACME, json.dumps(body).encode()) for body in bodies]) == count


def answered(requests, new, old, limits):
    """Both answered everything alike, each under its own pin."""
    assert new.headers != old.headers
    assert limits.max_seconds == 300.0
    return [
        ReplayedPair(number, Reply(tokens=9, elapsed_ms=50), Reply(tokens=9, elapsed_ms=50))
        for number in range(len(requests))
    ]


def test_the_newest_sampled_requests_are_asked_of_both_sets(stage):
    capture(stage, 50)
    asked = []

    def replay(requests, new, old, limits):
        asked.extend(requests)
        return answered(requests, new, old, limits)

    rows = ReplayGate(stage.ports, stage.stage, replay).rows()
    assert {row.verdict for row in rows} == {Verdict.PASS}
    assert len(asked) == 40


@pytest.mark.parametrize("count", [0, 29])
def test_a_thin_sample_asks_nobody_and_judges_nothing(stage, count: int):
    capture(stage, count)

    def replay(*_):
        raise AssertionError("nobody is asked")

    rows = ReplayGate(stage.ports, stage.stage, replay).rows()
    assert {row.verdict for row in rows} == {Verdict.NOT_JUDGED}
    assert f"{count} requests of clients were sampled" in rows[0].summary


def test_requests_sealed_with_a_former_key_are_told_and_judge_nothing(stage):
    capture(stage, 40)
    stage.ports.secrets.replace(capture_key_name("acme"), Secret("n" * 43))
    rows = ReplayGate(stage.ports, stage.stage, answered).rows()
    assert {row.verdict for row in rows} == {Verdict.NOT_JUDGED}
    assert "cannot be opened" in rows[0].summary


def test_no_organization_opens_requests_of_another(stage):
    capture(stage, 3)
    assert sampled(stage.ports, ServiceRef("bolt", "chat"), 10) == []


class Shadow:
    """Time that passes when somebody sleeps, and gateways that report meanwhile."""

    def __init__(self, office, **counts: int):
        self.office, self.counts, self.at, self.per_second = office, counts, 0.0, 20
        self.check = ShadowCheck(office.ports, office.stage, sleep=self.sleep, monotonic=lambda: self.at)

    def sleep(self, seconds: float) -> None:
        self.at += seconds
        self.office.pass_time(seconds=seconds)
        copied = round(self.per_second * seconds)
        wrong = {name: round(share / 100 * copied) for name, share in self.counts.items()}
        self.office.ledger.record_live(
            [self.batch("green", copied, SHADOW, **wrong), self.batch("blue", 2 * copied, "")]
        )

    def batch(self, name: str, requests: int, slice_: str, **counts: int) -> LiveBatch:
        return LiveBatch(
            gateway="g", org="acme", service="chat", set_name=name, slice=slice_, requests=requests,
            started_at=self.office.now - timedelta(milliseconds=100), ended_at=self.office.now,
            ttft_ms=Histogram.of([80.0] * requests), **counts,
        )  # fmt: skip


def test_a_healthy_shadow_is_judged_after_its_time(stage):
    shadow = Shadow(stage)
    rows = shadow.check.rows()
    assert {row.verdict for row in rows} == {Verdict.PASS}
    assert shadow.at == pytest.approx(10)


def test_a_shadow_that_fails_is_ended_at_once(stage):
    shadow = Shadow(stage, failed=100)
    rows = {row.check: row.verdict for row in shadow.check.rows()}
    assert rows["shadow.errors"] is Verdict.FAIL
    assert shadow.at < 5


def test_thin_copies_are_waited_for_until_the_deadline_and_then_not_judged(stage):
    shadow = Shadow(stage)
    shadow.per_second = 0
    rows = shadow.check.rows()
    assert {row.verdict for row in rows} == {Verdict.NOT_JUDGED}
    assert shadow.at == pytest.approx(15)


def test_a_person_who_wants_an_end_is_not_kept_waiting(stage):
    stage.ledger.append(
        stage.stage.id, stage.stage.epoch, "abort", "abort", {"actor": "ada", "reason": "stop"}
    )
    shadow = Shadow(stage)
    shadow.check.rows()
    assert shadow.at == 0


def test_a_shadow_ends_when_a_newer_owner_took_over(stage):
    stage.ledger.acquire_lock(ACME, stage.stage.id)
    with pytest.raises(Fenced):
        Shadow(stage).check.rows()
