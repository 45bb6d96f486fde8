"""What is counted as lost, what as explained, and when the demonstration has failed."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tidegate.benchmark.record import Outcome as RequestOutcome
from tidegate.benchmark.tally import Ended
from tidegate.demo.scenario import ACTS, CASTS, Outcome, outcome_of
from tidegate.demo.story import Counts, Kill, Story, failure_of
from tidegate.demo.summary import summarise, switch_s
from tidegate.domain import ReleaseState

Change = Callable[..., Story]


def summary_of(story: Story) -> Any:
    return summarise(story, len(ACTS))


def test_a_demonstration_that_went_well_has_no_problem(story: Story):
    summary = summary_of(story)

    assert summary.problems == ()
    assert summary.exit_code == 0
    assert (summary.explained, summary.unexplained) == (4, 0)
    assert "except 4 in flight on a set that we killed" in summary.headline


def test_times_are_read_from_the_journal(story: Story):
    acts = {act.version: act for act in summary_of(story).acts[:4]}

    assert acts["v1"].switch_s == pytest.approx(0.05)
    assert acts["v2"].switch_s == pytest.approx(0.041)
    assert acts["v2-fast"].rollback_s == pytest.approx(0.062)
    assert acts["v2-fast"].detection_s == pytest.approx(0.15)


def test_a_refused_release_has_no_switch_and_no_rollback_of_traffic(story: Story):
    refused = summary_of(story).acts[2]

    assert (refused.switch_s, refused.rollback_s, refused.detection_s) == (None, None, None)
    assert refused.topics == {"json": "10/10 -> 3/10", "capital": "14/14 -> 0/14"}


def test_a_switch_that_no_gateway_confirmed_has_no_time(stagehand: Any):
    rows = stagehand.rows["v2"][:12]

    assert rows[-1][1:3] == ("entered", "shifting")
    assert switch_s(stagehand.entries(rows)) is None


def test_the_confirmation_of_a_later_state_is_not_the_switch(stagehand: Any):
    rows = [row for row in stagehand.rows["v2"] if row[0] != 12.341]

    assert switch_s(stagehand.entries(rows)) is None


@pytest.mark.parametrize(
    ("version", "wrong", "told"),
    [
        ("v2", Outcome.REFUSED, "expected live, but refused"),
        ("v3-regressed", Outcome.LIVE, "expected refused, but live"),
        ("v2-fast", Outcome.HELD, "expected rolled back, but held"),
    ],
)
def test_another_outcome_than_the_expected_one_is_a_problem(
    with_service: Change, story: Story, version: str, wrong: Outcome, told: str
):
    acts = tuple(
        act.model_copy(update={"outcome": wrong}) if act.version == version else act
        for act in story.services[0].acts
    )

    summary = summary_of(with_service(acts=acts))

    assert summary.exit_code == 1
    assert told in summary.problems[0]


def test_a_refusal_that_names_no_topic_is_a_problem(with_service: Change, story: Story):
    acts = tuple(act.model_copy(update={"evidence": ()}) for act in story.services[0].acts)

    assert "refused, but not for lost topics" in summary_of(with_service(acts=acts)).problems[0]


def test_a_rollback_without_a_kill_is_a_problem(with_service: Change, story: Story):
    acts = tuple(act.model_copy(update={"kill": None}) for act in story.services[0].acts)

    assert "before its set could be killed" in summary_of(with_service(acts=acts)).problems[0]


def test_releases_that_were_not_made_are_a_problem(with_service: Change, story: Story):
    summary = summary_of(with_service(acts=story.services[0].acts[:2]))

    assert any("2 of 4 releases were made" in problem for problem in summary.problems)


def test_no_client_traffic_is_a_problem(with_service: Change):
    assert any("no client request" in text for text in summary_of(with_service(totals=Counts())).problems)


def test_one_unexplained_request_fails_the_demonstration(with_service: Change, story: Story):
    failures = story.services[0].failures
    lost = failures[0].model_copy(update={"explained": False})

    summary = summary_of(with_service(failures=(lost, *failures[1:])))

    assert summary.exit_code == 1
    assert summary.problems == ("1 request failed or broke off without an explanation.",)


@pytest.fixture
def kill(stagehand: Any) -> Kill:
    return Kill(set_name="green", begun_at=stagehand.at(10.0), done_at=stagehand.at(10.02), weight=50)


@pytest.mark.parametrize(
    ("set_name", "sent_s", "ended_s", "explained"),
    [
        ("green", 9.9, 10.01, True),
        (None, 9.9, 10.01, True),
        ("green", 9.9, 12.0, True),
        ("blue", 9.9, 10.01, False),
        ("green", 10.03, 10.1, False),
        (None, 10.5, 10.6, False),
        ("green", 9.0, 9.9, False),
    ],
    ids=[
        "in flight on the killed set",
        "broken before any header",
        "a stream that hung before it broke",
        "on another set",
        "sent to the dead set",
        "sent later, refused by the gateway",
        "over before the kill",
    ],
)
def test_only_what_was_in_flight_on_the_killed_set_is_explained(
    stagehand: Any, kill: Kill, set_name: str | None, sent_s: float, ended_s: float, explained: bool
):
    ended = Ended(
        at=stagehand.at(ended_s),
        outcome=RequestOutcome.FAILED,
        error="reset",
        is_stream=True,
        elapsed_ms=0,
        set_name=set_name,
    )

    assert failure_of(ended, stagehand.at(sent_s), [kill]).explained is explained


def test_without_a_kill_nothing_is_explained(stagehand: Any):
    ended = Ended(
        at=stagehand.at(1), outcome=RequestOutcome.FAILED, error="reset", is_stream=False, elapsed_ms=5
    )

    assert not failure_of(ended, stagehand.at(0), []).explained


def test_a_release_that_went_back_before_live_traffic_was_refused(stagehand: Any):
    cast, act = CASTS[0], ACTS[2]
    entries = stagehand.entries(stagehand.rows["v3-regressed"])

    assert outcome_of(stagehand.release(cast, act, entries), entries) is Outcome.REFUSED


def test_a_release_that_went_back_from_live_traffic_was_rolled_back(stagehand: Any):
    cast, act = CASTS[0], ACTS[3]
    entries = stagehand.entries(stagehand.rows["v2-fast"])

    assert outcome_of(stagehand.release(cast, act, entries), entries) is Outcome.ROLLED_BACK


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (ReleaseState.DONE, Outcome.LIVE),
        (ReleaseState.REJECTED, Outcome.REFUSED),
        (ReleaseState.HOLD, Outcome.HELD),
        (ReleaseState.AWAIT_APPROVAL, Outcome.HELD),
        (ReleaseState.JUDGING, Outcome.UNFINISHED),
    ],
)
def test_every_other_ending_has_its_word(stagehand: Any, state: ReleaseState, outcome: Outcome):
    entries = stagehand.entries(stagehand.rows["v2"])
    release = stagehand.release(CASTS[0], ACTS[1], entries, state=state)

    assert outcome_of(release, entries) is outcome


def test_counts_of_a_release_are_what_came_during_it():
    before, now = (
        Counts(sent=10, ok=8, in_flight=2),
        Counts(sent=30, ok=25, failed=1, truncated=1, in_flight=3),
    )

    assert now.since(before) == Counts(sent=20, ok=17, failed=1, truncated=1, in_flight=3)


def test_a_request_belongs_to_the_release_in_which_it_was_sent(with_service: Change, story: Story):
    failures = story.services[0].failures
    late = failures[0].model_copy(update={"ended_at": story.ended_at + timedelta(seconds=1)})

    acts = summary_of(with_service(failures=(late, *failures[1:]))).acts

    assert [(act.failed, act.truncated, act.explained) for act in acts[:4]] == [(0, 0, 0)] * 3 + [(1, 1, 2)]


def test_requests_between_two_releases_belong_to_the_one_before(with_service: Change, story: Story):
    first, second = story.services[0].acts[:2]
    between = (
        story.services[0]
        .failures[0]
        .model_copy(
            update={"sent_at": second.release.created_at - timedelta(milliseconds=1), "explained": False}
        )
    )

    acts = summary_of(with_service(failures=(between,))).acts

    assert between.sent_at > first.entries[-1].at
    assert [act.unexplained for act in acts[:4]] == [1, 0, 0, 0]


def test_the_whole_summary_can_be_told_as_data(story: Story):
    told = json.loads(json.dumps(summary_of(story).as_dict()))

    assert told["as_expected"] is True
    assert (told["explained_by_the_kill"], told["unexplained"]) == (4, 0)
    assert [act["outcome"] for act in told["releases"]][:4] == ["live", "live", "refused", "rolled back"]
    assert told["requests"] == told["ok"] + told["failed"] + told["truncated"]
