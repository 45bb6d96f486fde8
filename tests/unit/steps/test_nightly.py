"""One service's night: baseline, regression, outage, rollback. The measuring itself is made up here."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit.steps.measured import measured
from tidegate.domain import (
    Evidence,
    Gate,
    InvalidInput,
    Refused,
    Route,
    ServiceRef,
    SetState,
    SetStatus,
    Transient,
    Upstream,
    Verdict,
    set_name,
)
from tidegate.domain.policy import LoadBudget, LoadDesign, PerformancePolicy
from tidegate.domain.totals import EVAL_SCORE, LAST_VALUE
from tidegate.quality import BankResult, QuestionResult
from tidegate.steps import nightly
from tidegate.steps.nightly_report import nightly_markdown

ACME, DIGEST = ServiceRef("acme", "chat"), "1" * 64
NAME = set_name(ACME, DIGEST, "r-1")


@dataclass
class Night:
    """What the platform says and what the model answers tonight."""

    answers: list[str] = field(default_factory=lambda: ["right"] * 30)
    ttft_ms: float = 100.0
    state: SetState = SetState.READY
    is_silent: bool = False
    served: str = DIGEST

    def start(self, work: str, subject: str, attempt: str = "0") -> "Night":
        return self

    def wait(self) -> dict[str, Any]:
        rows = tuple(
            QuestionResult(
                id=f"q{n}", topic="t", is_right=None if self.is_silent else text == "right", answer=text,
                error="refused" if self.is_silent else "",
            )
            for n, text in enumerate(self.answers)
        )  # fmt: skip
        bank = BankResult(bank="b", bank_digest="0" * 64, model_digest=self.served, results=rows)
        return {"bank": bank.model_dump(mode="json")}


@pytest.fixture
def tonight(office, monkeypatch: pytest.MonkeyPatch) -> Night:
    night = Night()
    upstream = Upstream(set_name=NAME, host="h", port=1, digest=DIGEST, release_id="r-1")
    route = Route(org="acme", service="chat", upstreams=(upstream,), weights={NAME: 100})
    office.ledger.put_route(route, epoch=0)
    office.ports.gpu = night

    def status(name: str) -> SetStatus:
        return SetStatus(name=name, state=night.state, host="h", port=1, message="no room", usd_per_hour=1.8)

    monkeypatch.setattr(office.platform, "status", status)
    monkeypatch.setattr(nightly, "_measure", lambda *_: measured(night.ttft_ms, is_ok=not night.is_silent))
    return night


def look(office, night: str) -> nightly.NightlyResult:
    office.now = office.now.replace(day=int(night))
    return nightly.check_live_service(office.ports, ACME, night)


def test_the_first_night_of_a_version_becomes_its_baseline_and_the_second_is_compared(office, tonight: Night):
    office.now = office.now.replace(day=1)
    assert look(office, "1").verdict is Verdict.NOT_JUDGED
    again = look(office, "2")
    assert again.verdict is Verdict.PASS
    assert [night.figures.night for night in again.nights] == ["1", "2"]
    assert again.nights[-1].figures.same_answers == 1.0
    cost = again.nights[-1].figures.usd_per_million_accepted_tokens
    assert cost is not None
    assert cost > 0


def test_a_night_that_is_repeated_is_recorded_once(office, tonight: Night):
    look(office, "1")
    look(office, "2")
    assert len(look(office, "2").nights) == 2


def test_both_scores_of_a_night_are_shown_its_own_and_the_one_that_it_is_compared_with(
    office, tonight: Night
):
    look(office, "1")
    tonight.answers = ["wrong"] * 15 + ["right"] * 15
    look(office, "2")

    shown = {
        tuple(total.labels[-2:]): total.amount
        for total in office.ledger.totals(5.0)
        if total.metric == EVAL_SCORE and total.part == LAST_VALUE
    }
    assert shown == {
        ("score", "candidate"): 0.5,
        ("score", "baseline"): 1.0,
        ("same_answers", "candidate"): 0.5,
    }


def test_other_answers_of_the_same_file_are_a_regression(office, tonight: Night):
    look(office, "1")
    tonight.answers = ["wrong"] * 15 + ["right"] * 15
    found = look(office, "2")
    assert found.is_regression
    assert {row.check for row in found.evidence if row.verdict is Verdict.FAIL} >= {
        "quality.score",
        "quality.regression",
        "drift.answers",
    }


def test_a_regression_stands_as_a_finding_and_people_are_told_once_until_a_night_passes(
    office, tonight: Night
):
    look(office, "1")
    tonight.answers = ["wrong"] * 15 + ["right"] * 15
    for night in ("2", "3"):
        assert look(office, night).is_regression
    (finding,) = office.ledger.findings()
    assert (finding.kind, finding.subject) == ("quality.regression", "acme/chat")
    told = []
    office.ledger.route_events(lambda event: told.append(event) or [])
    assert [event.kind.value for event in told] == ["regression"]


def test_a_level_that_rose_for_nights_is_a_regression(office, tonight: Night):
    for day in range(1, 10):
        look(office, str(day))
    tonight.ttft_ms = 130.0
    for day in range(10, 16):
        found = look(office, str(day))
    assert [row.check for row in found.evidence if row.verdict is Verdict.FAIL] == ["trend.ttft"]
    text = nightly_markdown("acme", [found])
    assert "▁▁▁▁▁▁▁▁▁█" in text
    assert "since the night of 2026-11-10" in text


def test_what_is_accepted_is_the_new_baseline(office, tonight: Night):
    look(office, "1")
    tonight.answers = ["wrong"] * 15 + ["right"] * 15
    assert look(office, "2").is_regression
    assert nightly.accept_nights(office.ports, ACME, "noor")
    (told,) = office.ledger.audit_entries(action="baseline.accepted")
    assert (told["actor"], told["service"]) == ("noor", "chat")
    first = look(office, "3")
    assert first.verdict is Verdict.NOT_JUDGED
    assert len(first.nights) == 1
    assert look(office, "4").evidence != ()


@pytest.mark.parametrize("state", [SetState.PENDING, SetState.STOPPED, SetState.UNKNOWN])
def test_a_platform_without_room_says_nothing_about_the_model(office, tonight: Night, state: SetState):
    look(office, "1")
    tonight.state = state
    found = look(office, "2")
    assert found.verdict is Verdict.NOT_JUDGED
    assert "no room" in found.summary


def test_a_ready_set_that_answers_nothing_is_an_error_and_no_regression(office, tonight: Night):
    look(office, "1")
    tonight.is_silent = True
    found = look(office, "2")
    assert found.verdict is Verdict.ERROR
    assert not found.is_regression
    assert "answered nothing" in found.summary


def test_what_could_not_be_reached_is_not_judged_and_what_is_refused_is_an_error():
    away = nightly.unreachable("acme/chat", Transient("the platform is away", remedy="Wait."))
    refused = nightly.unreachable("acme/chat", Refused("no right", remedy="Ask."))
    assert (away.verdict, refused.verdict) == (Verdict.NOT_JUDGED, Verdict.ERROR)


def test_a_service_goes_back_only_where_the_policy_says_so_and_only_from_what_failed(office, tonight: Night):
    failed = nightly.NightlyResult(str(ACME), DIGEST, Verdict.FAIL, "worse")
    assert nightly.rollback_reason(office.ports, failed) == ""
    office.set_policy("acme", "nightly: {roll_back: true}")
    office.ports = office.load()
    assert "worse" in nightly.rollback_reason(office.ports, failed)
    for other in (Verdict.ERROR, Verdict.NOT_JUDGED, Verdict.PASS):
        result = nightly.NightlyResult(str(ACME), DIGEST, other, "worse")
        assert nightly.rollback_reason(office.ports, result) == ""
    replaced = nightly.NightlyResult(str(ACME), "9" * 64, Verdict.FAIL, "worse")
    assert nightly.rollback_reason(office.ports, replaced) == ""


def test_a_night_does_not_stop_a_release_that_is_under_way(office, tonight: Night):
    office.set_policy("acme", "nightly: {roll_back: true}")
    office.ports = office.load()
    office.release("acme")
    failed = nightly.NightlyResult(str(ACME), DIGEST, Verdict.FAIL, "worse")
    with pytest.raises(Refused, match="is under way"):
        nightly.rollback_reason(office.ports, failed)


def test_a_service_that_went_away_meanwhile_stays_away(office, tonight: Night):
    office.set_policy("acme", "nightly: {roll_back: true}")
    office.ports = office.load()
    failed = nightly.NightlyResult("acme/acme-only", DIGEST, Verdict.FAIL, "worse")
    assert nightly.rollback_reason(office.ports, failed) == ""


def test_a_release_during_the_look_makes_no_baseline_of_two_versions(office, tonight: Night):
    tonight.served = "9" * 64
    found = look(office, "1")
    assert found.verdict is Verdict.NOT_JUDGED
    assert "another version went live" in found.summary
    assert office.ledger.baseline(ACME, nightly.BASELINE) is None


def test_a_mistyped_service_is_refused_before_anything_is_measured(office):
    assert nightly.parsed_services(office.ports, ["acme/chat", "acme/chat"]) == [ACME]
    with pytest.raises(InvalidInput):
        nightly.parsed_services(office.ports, ["acme/chat", "chat"])


def test_a_night_takes_no_more_than_the_policys_share_of_the_slots():
    policy = PerformancePolicy(design=LoadDesign(concurrency=8), budget=LoadBudget(max_seconds=60))
    plan = nightly.night_plan(policy, ("p",), slots=4)
    assert (plan.concurrency, plan.deadline_s) == (2, 60)


def test_each_organization_reads_of_its_own_services_only():
    row = Evidence(gate=Gate.QUALITY, check="quality.score", verdict=Verdict.FAIL, summary="a secret answer")
    results = [
        nightly.NightlyResult("acme/chat", DIGEST, Verdict.PASS, "no regression"),
        nightly.NightlyResult("bolt/chat", DIGEST, Verdict.FAIL, "worse", (row,)),
    ]
    own = nightly.by_organization(results)
    assert set(own) == {"acme", "bolt"}
    assert "secret answer" not in nightly_markdown("acme", own["acme"])
    assert "secret answer" in nightly_markdown("bolt", own["bolt"])
