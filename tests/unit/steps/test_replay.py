"""Past releases under another policy: what would have ended otherwise, and what cannot be said."""

from dataclasses import replace

import pytest

from tests.unit.steps.measured_runs import NOW, noise, run
from tidegate.benchmark import ClientHonesty
from tidegate.domain import Evidence, Gate, Plan, Policy, Release, ReleaseRequest, ReleaseState, Verdict
from tidegate.domain.policy import (
    DriftLimits,
    DriftPolicy,
    JudgePolicy,
    LatencyMargin,
    LatencyMargins,
    LoadDesign,
    PerformancePolicy,
    QualityPolicy,
    ValidationPolicy,
)
from tidegate.quality import BankResult, QuestionResult, judge_quality
from tidegate.quality.pairwise import JUDGE_CHECK
from tidegate.steps.checks import REQUIRED
from tidegate.steps.judging import judge_rounds
from tidegate.steps.replay import Effect, Past, replay
from tidegate.steps.rounds import Round


def performance(max_slowdown: float, pairs: int = 6) -> PerformancePolicy:
    margin = LatencyMargin(max_slowdown=max_slowdown, floor_ms=1)
    return PerformancePolicy(
        metrics=LatencyMargins(ttft_p50=margin, itl_p50=margin, ttft_p95=None),
        design=LoadDesign(block_pairs=pairs, requests_per_block=4),
    )


WIDE = Policy(performance=performance(0.5), quality=QualityPolicy(margin=0.1))
NARROW = Policy(performance=performance(0.1), quality=QualityPolicy(margin=0.1))


def answers(right: int, total: int = 100) -> BankResult:
    results = [
        QuestionResult(
            id=f"q{number}", topic="t", is_right=number < right, value=float(number < right), answer="a"
        )
        for number in range(total)
    ]
    return BankResult(
        bank="b",
        bank_digest="d",
        model_digest="m",
        results=tuple(results),
        order=tuple(f"q{n}" for n in range(total)),
    )


def past(
    state: ReleaseState = ReleaseState.DONE,
    *,
    ratio: float = 1.0,
    right: int = 90,
    policy: Policy = WIDE,
    is_kept: bool = True,
) -> Past:
    """A release as it was judged under its own policy: 6 block pairs and 100 questions."""
    rounds = (Round(0, 6, 1.0, 2, run("candidate", noise(1, 6, ratio, 0.01)), run("live", [1.0] * 6)),)
    candidate, live = answers(right), answers(90)
    rows = [
        Evidence(gate=gate, check=name, verdict=Verdict.PASS, summary=f"{name} held")
        for gate, checks in REQUIRED.items()
        if gate not in (Gate.PERFORMANCE, Gate.QUALITY)
        for name in checks
    ]
    rows += judge_rounds(rounds, policy.performance, is_spent=True).rows
    rows += judge_quality(candidate, live, policy.quality)
    plan = Plan(
        green_set="g", green_digest="1" * 64, blue_set="b", blue_digest="2" * 64, blue_version="finch:v1",
        ladder=(100,), gates=(), policy_digest=policy.digest,
    )  # fmt: skip
    request = ReleaseRequest(org="acme", service="chat", model="finch", version="v2")
    release = Release(
        id="r-1",
        request=request,
        digest="1" * 64,
        state=state,
        epoch=1,
        plan=plan,
        created_at=NOW,
        updated_at=NOW,
    )
    kept = {"rounds": rounds, "candidate": candidate, "live": live} if is_kept else {}
    return Past(release=release, policy=policy, rows=tuple(rows), **kept)  # type: ignore[arg-type]


def test_the_same_policy_changes_nothing():
    found = replay(past(ratio=1.05), WIDE)

    assert (found.then, found.now, found.changes, found.not_judged_again) == ("promoted", "promoted", (), ())


def test_a_narrower_margin_would_have_stopped_what_was_promoted_and_names_the_checks():
    found = replay(past(ratio=1.3), NARROW)

    assert (found.then, found.now) == ("promoted", "stopped")
    assert {change.check for change in found.changes} == {"performance.ttft", "performance.itl"}
    assert all((change.then, change.now) == ("pass", "fail") for change in found.changes)
    assert "slower" in found.changes[0].summary


def test_a_wider_margin_would_have_promoted_what_was_stopped():
    found = replay(past(ReleaseState.ROLLED_BACK, ratio=1.3, policy=NARROW), WIDE)

    assert (found.then, found.now) == ("stopped", "promoted")


def test_what_live_traffic_stopped_no_policy_of_gates_would_have_promoted():
    found = replay(past(ReleaseState.ROLLED_BACK), NARROW)

    assert (found.then, found.now) == ("stopped", "stopped")
    assert any("live traffic" in note for note in found.not_judged_again)


def test_answers_are_judged_again_by_another_margin():
    strict = WIDE.model_copy(update={"quality": QualityPolicy(margin=0.01)})

    found = replay(past(), strict)

    assert (found.then, found.now) == ("promoted", "held")
    assert [(change.check, change.now) for change in found.changes] == [("quality.regression", "not_judged")]


@pytest.mark.parametrize(("said", "now"), [("hold", "held"), ("fail", "stopped"), ("pass", "promoted")])
def test_what_is_not_judged_ends_as_the_policy_says(said: str, now: str):
    quality = QualityPolicy.model_validate({"margin": 0.01, "when_not_judged": said})

    assert replay(past(), WIDE.model_copy(update={"quality": quality})).now == now


def test_what_was_not_kept_keeps_its_verdict_and_is_named():
    found = replay(past(ratio=1.3, is_kept=False), NARROW)

    assert (found.then, found.now, found.changes) == ("promoted", "promoted", ())
    assert found.not_judged_again == ("performance: its measurements were not kept",)


def test_a_client_that_was_too_late_for_the_other_policy_is_named():
    late = ClientHonesty(loop_lag_p99_ms=8.0, verdict="client-bound", reasons=("it woke late",))
    held = past()
    rounds = tuple(
        replace(
            one,
            candidate=one.candidate.model_copy(update={"honesty": late}),
            live=run("live", [1.0] * 6, honesty=late),
        )
        for one in held.rounds
    )
    found = replay(replace(held, rounds=rounds), NARROW)

    assert (found.now, len(found.not_judged_again)) == ("promoted", 1)
    assert "later than this policy tolerates" in found.not_judged_again[0]


def test_a_policy_that_wants_more_pairs_than_there_are_is_judged_on_those():
    found = replay(past(), WIDE.model_copy(update={"performance": performance(0.5, pairs=20)}))

    assert found.not_judged_again == ("performance: judged on the 6 block pairs there are, not 20",)
    assert found.now == "promoted"


def test_a_part_that_needs_the_file_is_named():
    other = WIDE.model_copy(update={"validation": ValidationPolicy(profile="deep")})

    assert "the file itself" in replay(past(), other).not_judged_again[0]


@pytest.mark.parametrize(
    ("check", "change", "said"),
    [
        ("drift.must_not_change", {"drift": DriftPolicy(must_not_change=DriftLimits(max_mean_kl=0.1))}, "drift: "),
        (JUDGE_CHECK, {"quality": QualityPolicy(margin=0.1, judge=JudgePolicy(url="http://j/v1", model="j"))}, "judge: "),
    ],
)  # fmt: skip
def test_what_files_or_another_model_said_is_kept_and_named(check: str, change: dict[str, object], said: str):
    found = past()
    opinion = Evidence(gate=Gate.QUALITY, check=check, verdict=Verdict.NOT_JUDGED, summary="an opinion")
    told = replace(found, rows=(*found.rows, opinion))

    again = replay(told, WIDE.model_copy(update=change))

    assert again.now == "held"
    assert again.not_judged_again[0].startswith(said)
    assert replay(told, WIDE).now == "held", "as it was then"


def test_the_effect_is_counted_in_one_sentence():
    found = [
        replay(past(ratio=1.3), NARROW),
        replay(past(), NARROW),
        replay(past(ReleaseState.ROLLED_BACK, ratio=1.3, policy=NARROW), NARROW),
    ]

    effect = Effect(tuple(found))

    assert [one.is_changed for one in effect.releases] == [True, False, False]
    assert effect.summary.startswith(
        "It would have stopped 1 and held 0 of 2 promoted releases; it would have"
    )
    assert "promoted 0 of 1 stopped" in effect.summary
    assert "nothing to compare" in Effect(()).summary
