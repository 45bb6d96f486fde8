"""Load on a live service: within its share of the slots, judged, and kept in the ledger."""

import asyncio
from dataclasses import replace

import pytest

from tests.unit.benchmark.fake_wire import FakeWire, stream
from tests.unit.steps.conftest import ACME, BOLT, Office
from tidegate.access import PROBE_KEY
from tidegate.benchmark import Arm, LoadPlan, Mode, RunRecord, measure
from tidegate.benchmark.report.document import BenchmarkReport
from tidegate.domain import (
    InvalidInput,
    MeasurementKind,
    NotFound,
    ReleaseState,
    Route,
    ServiceRef,
    SetSpec,
    Upstream,
    Verdict,
    unpack_record,
)
from tidegate.steps.load_test import LoadTest, LoadTestResult, load_test, plan_of

QUESTIONS = '{"id": "a", "topic": "t", "prompt": "What is it?", "expect": "That.", "scorer": "exact"}\n'
SHORT = LoadTest(duration_s=1.0)


@pytest.fixture
def live(office: Office) -> Office:
    """The service acme/chat with two sets, one of them with all the traffic."""
    office.settings.banks_dir.mkdir(parents=True)
    (office.settings.banks_dir / "pipit.jsonl").write_text(QUESTIONS)
    office.ports.secrets.ensure(PROBE_KEY)
    release = office.enter(office.release("acme"), ReleaseState.SHIFTING)
    sets = {"blue": "2" * 64, "green": "1" * 64}
    for name, digest in sets.items():
        spec = SetSpec(
            name=name, org="acme", service="chat", release_id=release.id, digest=digest, artifact_path="/x"
        )
        office.ledger.record_set(spec, platform="fake", epoch=release.epoch, state="ready")
    upstreams = tuple(
        Upstream(set_name=name, host="h", port=1, digest=digest, release_id=release.id)
        for name, digest in sets.items()
    )
    route = Route(org="acme", service="chat", upstreams=upstreams, weights={"blue": 100, "green": 0})
    office.ledger.put_route(route, epoch=release.epoch)
    return office


class Measured:
    """Measures over a wire without a network, a few requests only, and remembers what it was asked."""

    def __init__(self, status: int = 200):
        self.status = status
        self.arm: Arm | None = None
        self.plan: LoadPlan | None = None

    def __call__(self, target: Arm, plan: LoadPlan) -> RunRecord:
        self.arm, self.plan = target, plan
        wire = FakeWire(lambda _: (self.status, stream()[1]))
        few = replace(plan, requests=200, duration_s=None, warmup_requests=1, warmup_most=None)
        run = asyncio.run(measure([target], few, wire=wire))[target.name]
        # This machine may be busy; what its client was like is not what is tested here.
        return run.model_copy(update={"honesty": None})


def run(office: Office, asked: LoadTest = SHORT, ref: ServiceRef = ACME) -> tuple[LoadTestResult, Measured]:
    measured = Measured()
    return load_test(office.ports, ref, asked, measured), measured


def test_the_set_with_the_traffic_is_measured_through_the_gateway_and_the_run_is_kept(live: Office):
    result, measured = run(live)
    assert measured.arm is not None
    assert measured.arm.base_url == "http://127.0.0.1:1/acme/chat/v1"
    assert measured.arm.headers == {"x-tidegate-pin": "blue"}
    (kept,) = live.ledger.measurements(kind=MeasurementKind.LOAD, org="acme")
    assert (kept.id, kept.service, kept.digest) == (result.measurement, "chat", "2" * 64)
    record = live.ledger.measurement(result.measurement).record
    assert record is not None
    assert len(BenchmarkReport.from_bytes(unpack_record(record).encode()).runs[0].run.measured()) == 200


def test_a_named_set_of_the_service_is_measured_and_one_of_another_is_refused(live: Office):
    result, _ = run(live, LoadTest(set_name="green"))
    assert (result.set_name, result.digest) == ("green", "1" * 64)
    for ref, name in ((ACME, "red"), (BOLT, "green")):
        with pytest.raises(NotFound, match=f"has no set '{name}'"):
            run(live, LoadTest(set_name=name), ref)


def test_a_service_without_traffic_has_nothing_to_measure(live: Office):
    with pytest.raises(NotFound, match="Nothing is live"):
        run(live, ref=BOLT)


@pytest.mark.parametrize(
    ("slo", "status", "verdict", "word"),
    [
        ("", 200, Verdict.PASS, "Measured"),
        ("ttft=60000", 200, Verdict.PASS, "Within limits"),
        ("ttft=0.000001", 200, Verdict.FAIL, "Limits missed"),
        ("ttft=60000", 503, Verdict.FAIL, "Limits missed"),
        ("", 503, Verdict.NOT_JUDGED, "Nothing was measured"),
    ],
)
def test_the_verdict_follows_from_the_limits(
    live: Office, slo: str, status: int, verdict: Verdict, word: str
):
    result = load_test(live.ports, ACME, LoadTest(slo=slo), Measured(status))
    assert (result.verdict, result.word) == (verdict, word)
    assert result.word in result.markdown


def test_limits_that_are_none_are_refused_before_anything_is_sent(live: Office):
    measured = Measured()
    with pytest.raises(InvalidInput):
        load_test(live.ports, ACME, LoadTest(slo="fast please"), measured)
    assert measured.plan is None


def test_no_more_is_sent_at_once_than_the_policys_share_of_the_slots(live: Office):
    """Four slots and a share of one half; what is asked for can only lower it."""
    _, measured = run(live, LoadTest(concurrency=50))
    assert measured.plan is not None
    assert (measured.plan.concurrency, measured.plan.most_in_flight) == (2, 2)
    for share, slots in ((1.0, 2), (0.25, 1), (0.01, 1)):
        _, measured = run(live, LoadTest(concurrency=50, max_capacity_share=share))
        assert measured.plan is not None
        assert measured.plan.concurrency == slots


def test_an_open_loop_keeps_its_rate_and_its_cap():
    plan = plan_of(LoadTest(mode="gamma", rate=7.0, burstiness=0.5, duration_s=9.0), ("p",), 3)
    assert (plan.mode, plan.rate, plan.burstiness, plan.duration_s) == (Mode.GAMMA, 7.0, 0.5, 9.0)
    assert plan.most_in_flight == 3
    assert plan.warmup_most is not None
