"""Questions to people and their answers: bound to plan, evidence and question, and never the asker's where so wished."""

from datetime import timedelta

import pytest

from tidegate import steps
from tidegate.domain import Evidence, Gate, Refused, Release, ReleaseState, Verdict
from tidegate.steps.question_report import question_markdown

State = ReleaseState
FOUR_EYES = "approval: {before_start: true, before_increase: true, before_commit: true, four_eyes: true}\n"


def evidence(
    office, release: Release, check: str, verdict: Verdict = Verdict.PASS, said: str = "fine"
) -> None:
    row = Evidence(gate=Gate.QUALITY, check=check, verdict=verdict, summary=said)
    office.ledger.add_evidence(release.id, [row], digest=release.digest, policy_digest="p")


def waiting(
    office, asks: str = "increase", by: str = "lin", step: int = 0, policy: str = FOUR_EYES
) -> Release:
    """A release that asks, planned with the policy as a real owner plans it."""
    office.set_policy("acme", policy)
    office.ports = office.load()
    release = office.release("acme", by=by)
    planned = office.enter(release, State.PLANNED)
    told = office.ports.service(release.ref).policy.model_dump(mode="json")
    office.ledger.append(release.id, planned.epoch, "entered", "planned", {"policy": told}, plan=planned.plan)
    origin = {"start": "planned", "increase": "shifting", "commit": "baking"}[asks]
    data = {"from": origin, "step": step, "question": asks}
    return office.enter(release, State.AWAIT_APPROVAL, **data)


def problem(call, *arguments: object, **named: object) -> str:
    with pytest.raises(Refused) as caught:
        call(*arguments, **named)
    assert caught.value.remedy
    return caught.value.context.get("problem", "role")


@pytest.mark.parametrize(
    ("asks", "then"),
    [
        ("start", "the file is validated"),
        ("increase", "100 % of live traffic"),
        ("commit", "champion moves to finch:v1"),
    ],
)
def test_a_question_tells_what_a_yes_does_what_it_rests_on_and_what_silence_does(
    office, asks: str, then: str
):
    held = waiting(office, asks)
    evidence(office, held, "quality.score", said="as good as v0")
    asked = steps.question(office.ports, held.id)
    assert asked.asks == asks
    assert then in asked.then
    told = question_markdown(asked)
    for text in (
        then,
        "as good as v0",
        held.plan.policy_digest,
        asked.digest,
        "but not lin, who asked",
        "2026-11-27",
    ):
        assert text in told
    assert asked.without_answer.startswith("it is rejected" if asks == "start" else "it goes back")


def test_a_hold_is_a_question_too(office):
    held = office.enter(office.release("acme"), State.HOLD, **{"from": "shifting", "step": 0})
    asked = steps.question(office.ports, held.id)
    assert (asked.asks, asked.why) == ("hold", "as told")
    assert "100 % of live traffic" in asked.then


def test_a_release_that_waits_for_nobody_asks_nothing(office):
    release = office.enter(office.release("acme"), State.SHIFTING, step=0, weight=10)
    with pytest.raises(Refused, match="waits for nobody"):
        steps.question(office.ports, release.id)


def test_what_was_looked_at_is_approved_and_nothing_else(office):
    held = waiting(office)
    seen = steps.question(office.ports, held.id).digest
    evidence(office, held, "quality.score", Verdict.FAIL, "worse")
    with pytest.raises(Refused, match=r"not what release .* asks now: another evidence\."):
        steps.approve_release(office.ports, held.id, "noor", "fine", of=seen)
    steps.approve_release(
        office.ports, held.id, "noor", "fine", of=steps.question(office.ports, held.id).digest
    )


def test_the_answer_to_an_earlier_question_is_named_as_such(office):
    held = waiting(office)
    seen = steps.question(office.ports, held.id).digest
    office.enter(held, State.SHIFTING, step=1, weight=100)
    office.enter(held, State.AWAIT_APPROVAL, **{"from": "baking", "question": "commit"})
    with pytest.raises(Refused, match="another question"):
        steps.approve_release(office.ports, held.id, "noor", "fine", of=seen)


@pytest.mark.parametrize("asks", ["start", "increase", "commit"])
def test_with_four_eyes_whoever_asked_approves_nothing(office, asks: str):
    held = waiting(office, asks, by="noor")
    assert problem(steps.approve_release, office.ports, held.id, "noor", "fine") == "four_eyes"
    steps.approve_release(office.ports, held.id, "ada", "fine")


def test_with_four_eyes_a_hold_is_not_answered_by_a_name_that_nobody_has(office):
    held = waiting(office, by="noor")
    office.enter(held, State.SHIFTING, step=0, weight=10)
    office.enter(held, State.HOLD, **{"from": "shifting", "step": 0})
    assert problem(steps.approve_release, office.ports, held.id, "noor", "fine") == "four_eyes"
    assert problem(steps.approve_release, office.ports, held.id, "noor-2", "fine") == "role"


def test_four_eyes_of_the_plan_stay_when_the_policy_is_changed_meanwhile(office):
    held = waiting(office, by="noor")
    office.set_policy("acme", "approval: {before_commit: true}\n")
    office.ports = office.load()
    assert problem(steps.approve_release, office.ports, held.id, "noor", "fine") == "four_eyes"


def test_a_yes_is_void_as_soon_as_the_evidence_changes_and_the_question_says_so(office):
    held = waiting(office)
    steps.approve_release(office.ports, held.id, "noor", "fine")
    assert steps.question(office.ports, held.id).void == ""
    evidence(office, held, "quality.score")
    assert steps.question(office.ports, held.id).void == "the evidence changed"


def test_a_yes_that_was_not_acted_upon_in_time_is_void(office):
    held = waiting(office)
    steps.approve_release(office.ports, held.id, "noor", "fine")
    office.now += timedelta(seconds=3601)
    assert steps.question(office.ports, held.id).void == "it is too old"


def test_what_came_or_changed_since_the_last_yes_is_told(office):
    held = waiting(office, "start")
    evidence(office, held, "quality.score", said="0.91 of 100 questions")
    evidence(office, held, "quality.drift")
    steps.approve_release(office.ports, held.id, "noor", "fine")
    assert steps.question(office.ports, held.id).changed == ()
    office.enter(held, State.SHIFTING, step=0, weight=10)
    office.enter(held, State.AWAIT_APPROVAL, **{"from": "shifting", "step": 0, "question": "increase"})
    evidence(office, held, "quality.score", Verdict.FAIL, "0.71 of 200 questions")
    evidence(office, held, "quality.slices", said="all well")
    assert steps.question(office.ports, held.id).changed == (
        "quality: quality.score changed (was pass, is fail): 0.71 of 200 questions",
        "quality: quality.slices is new: pass, all well",
    )


class TakenOver:
    """The ledger, in which another owner takes the release over just before the answer is written."""

    def __init__(self, office, release: Release, state: ReleaseState | None = None):
        self._office, self._release, self._state, self._times = office, release, state, 1

    def __getattr__(self, name: str):
        return getattr(self._office.ledger, name)

    def append(self, release_id: str, epoch: int, *rest: object):
        if self._times:
            self._times -= 1
            newer = self._office.ledger.acquire_lock(self._release.ref, release_id)
            if self._state is not None:
                told = {"reason": "r", "question": "commit", "from": "baking"}
                self._office.ledger.append(release_id, newer, "entered", self._state.value, told)
        return self._office.ledger.append(release_id, epoch, *rest)


def test_an_answer_counts_although_the_release_changes_its_owner_at_that_moment(office):
    held = waiting(office)
    office.ports.ledger = TakenOver(office, held)
    steps.approve_release(office.ports, held.id, "noor", "read the answers")
    notes = [entry for entry in office.ledger.entries(held.id) if entry.kind == "note"]
    assert [(note.name, note.data["actor"]) for note in notes] == [("approve", "noor")]


def test_an_answer_is_refused_when_the_new_owner_asks_another_question(office):
    held = waiting(office)
    office.ports.ledger = TakenOver(office, held, State.AWAIT_APPROVAL)
    assert problem(steps.approve_release, office.ports, held.id, "noor", "read the answers") == "changed"
    assert [entry for entry in office.ledger.entries(held.id) if entry.kind == "note"] == []
