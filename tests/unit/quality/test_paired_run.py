"""Two models in one run: the same questions in the same order, and no more than it takes."""

import pytest

from tests.unit.quality.asked import bank_of, model
from tidegate.domain import Evidence, Verdict
from tidegate.domain.policy import QualityPolicy
from tidegate.quality import Answer, Question, judge_quality
from tidegate.quality.agreement import disagreement, self_agreement, told
from tidegate.quality.paired_run import Arm, PairedPlan, PairedResult, run_paired
from tidegate.quality.paired_tests import Rules
from tidegate.quality.run import asking_order, run_bank

RULES = Rules(0.05)
POLICY = QualityPolicy(min_score=0.0, max_topic_drop=1.0)


class Flaky:
    """Answers these questions wrongly the first time, and rightly from then on; all others always rightly."""

    def __init__(self, *names: str):
        self.asked: dict[str, int] = {}
        self._names = names

    def __call__(self, question: Question) -> Answer:
        self.asked[question.id] = self.asked.get(question.id, 0) + 1
        is_wrong = question.id in self._names and self.asked[question.id] == 1
        return Answer(text="no" if is_wrong else question.prompt.removeprefix("say "))


def regression(found: PairedResult) -> Evidence:
    rows = judge_quality(found.candidate, found.baseline, POLICY, floor=found.floor)
    return next(row for row in rows if row.check == "quality.regression")


def test_both_are_asked_the_same_questions_in_the_same_order():
    seen: dict[str, list[str]] = {"ours": [], "theirs": []}

    def noting(name: str):
        def ask(question: Question) -> Answer:
            seen[name].append(question.id)
            return Answer(text="0")

        return ask

    bank = bank_of(30)
    plan = PairedPlan(concurrency=1, order_seed=3, step_questions=7)
    run_paired(bank, Arm(noting("ours")), Arm(noting("theirs")), plan, RULES)
    assert tuple(seen["ours"]) == tuple(seen["theirs"]) == asking_order(bank.questions, 3)


@pytest.mark.parametrize("step", [10, 25, 60])
def test_a_much_worse_candidate_is_found_early_and_the_verdict_stands(step: int):
    plan = PairedPlan(early_stopping=True, step_questions=step)
    ours, theirs = model(lambda name: int(name[1:]) % 3 > 0), model(lambda name: True)
    found = run_paired(bank_of(600), Arm(ours), Arm(theirs), plan, RULES)
    assert found.candidate.total == found.baseline.total < 120
    assert "they decide" in found.candidate.notes[-1]
    row = regression(found)
    assert row.verdict is Verdict.FAIL
    assert row.data["questions_used"] == 26


def test_an_equal_candidate_stops_early_too():
    plan = PairedPlan(early_stopping=True)
    equal = model(lambda name: True)
    found = run_paired(bank_of(600), Arm(equal), Arm(equal), plan, RULES)
    assert found.candidate.total < 300
    assert regression(found).verdict is Verdict.PASS


def test_a_run_that_is_not_to_stop_early_asks_everything():
    ours, theirs = model(lambda name: False), model(lambda name: True)
    found = run_paired(bank_of(60), Arm(ours), Arm(theirs), PairedPlan(), RULES)
    assert found.candidate.total == 60


def test_the_budget_of_questions_is_kept():
    equal = model(lambda name: True)
    found = run_paired(bank_of(60), Arm(equal), Arm(equal), PairedPlan(max_questions=40), RULES)
    assert (found.candidate.total, len(found.candidate.order)) == (40, 40)


def test_differing_answers_are_asked_for_again_of_both_and_a_fail_that_was_noise_is_taken_back():
    names = [f"q{n}" for n in range(6)]
    ours, theirs = Flaky(*names), Flaky()
    once = run_paired(bank_of(80), Arm(ours), Arm(theirs), PairedPlan(), RULES)
    assert regression(once).verdict is Verdict.FAIL
    ours, theirs = Flaky(*names), Flaky()
    found = run_paired(bank_of(80), Arm(ours), Arm(theirs), PairedPlan(repeats=5), RULES)
    assert {name for name, count in ours.asked.items() if count == 5} == set(names)
    assert {name for name, count in theirs.asked.items() if count == 5} == set(names)
    row = regression(found)
    assert row.verdict is Verdict.NOT_JUDGED
    assert row.data["flaky"] == names


def test_repeats_of_differing_answers_alone_never_make_a_pass():
    # The questions turn out right when they are asked again, and who knows which others would turn out wrong.
    names = [f"q{n}" for n in range(3)]
    found = run_paired(bank_of(60), Arm(Flaky(*names)), Arm(Flaky()), PairedPlan(repeats=20), RULES)
    assert regression(found).verdict is not Verdict.PASS


def test_the_noise_floor_is_the_baselines_difference_from_itself_and_stands_beside_the_candidates():
    theirs = Flaky("q1", "q2")
    ours = model(lambda name: name != "q1")
    found = run_paired(bank_of(50), Arm(ours), Arm(theirs), PairedPlan(measures_floor=True), RULES)
    assert found.floor is not None
    assert (found.floor.compared, found.floor.other_score) == (50, 2)
    assert disagreement(found.candidate, found.baseline).named == ("q2",)
    row = regression(found)
    assert "the baseline differs from itself in 2 of 50" in row.summary
    # Its second answers show noise; they are no part of what is compared.
    assert found.baseline.settings["samples"] == 1


def test_without_a_second_answer_nothing_is_said_about_noise():
    once = run_bank(bank_of(3), model(lambda name: True))
    assert self_agreement(once) is None
    assert "how much of it is noise is not known" in told(disagreement(once, once), None)
