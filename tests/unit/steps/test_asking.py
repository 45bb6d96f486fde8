"""The questions of a release: whom, in which order, how many, and never until the answers please."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from tests.unit.steps.conftest import Office
from tidegate.domain import Release, ReleaseState
from tidegate.domain.policy import QualityPolicy, QuestionBudget
from tidegate.quality import Answer, Bank, Question, judge_quality
from tidegate.quality.run import asking_order
from tidegate.quality.source import OnAnswer, Served
from tidegate.steps import Ports
from tidegate.steps.asking import ask_release

BANK = Bank(
    name="b",
    digest="d",
    questions=tuple(
        Question(id=f"q{number}", topic="t", prompt=f"p{number}", scorer="exact", expect="right")
        for number in range(60)
    ),
)


class Sets:
    """Sets that answer at once; the one called `wrong` knows nothing."""

    def __init__(self, wrong: str = ""):
        self.wrong = wrong
        self.asked: list[tuple[str, str]] = []

    def __call__(
        self, ports: Ports, release: Release, set_name: str, digest: str
    ) -> AbstractContextManager["One"]:
        return self._open(set_name, digest)

    @contextmanager
    def _open(self, set_name: str, digest: str) -> Iterator["One"]:
        yield One(self, set_name, digest)

    def of(self, set_name: str) -> list[str]:
        return [question for name, question in self.asked if name == set_name]


class One:
    def __init__(self, sets: Sets, name: str, digest: str):
        self.sets, self.name, self.digest = sets, name, digest
        self.target = name
        self.parameters: dict[str, Any] = {}

    def identify(self) -> Served:
        return Served(digest=self.digest, engine="e1", model=self.digest)

    def ask_all(
        self, questions: Sequence[Question], on_answer: OnAnswer, *, concurrency: int, deadline: float
    ) -> None:
        for place, question in enumerate(questions):
            self.sets.asked.append((self.name, question.id))
            text = "wrong" if self.name == self.sets.wrong else "right"
            on_answer(place, Answer(text=text, model=self.digest, engine="e1", finish="stop"))


def judging(office: Office) -> Release:
    return office.enter(office.release("acme"), ReleaseState.JUDGING)


def test_both_models_are_asked_the_same_questions_in_the_seeded_order(office: Office):
    sets, order = Sets(), asking_order(BANK.questions, 7)

    asked = ask_release(office.ports, judging(office), QualityPolicy(seed=7), BANK, sets)

    assert sets.of("green") == sets.of("blue") == list(order)
    assert asked.live is not None
    assert asked.candidate.right == asked.live.right == 60


def test_a_budget_of_questions_asks_the_first_ones_of_the_order(office: Office):
    sets, policy = Sets(), QualityPolicy(budget=QuestionBudget(max_questions=10))

    asked = ask_release(office.ports, judging(office), policy, BANK, sets)

    assert sets.of("green") == list(asking_order(BANK.questions, 0)[:10])
    assert asked.candidate.total == 10


def test_asking_again_asks_nothing_that_was_answered(office: Office):
    sets, release = Sets(), judging(office)
    first = ask_release(office.ports, release, QualityPolicy(), BANK, sets)
    sets.asked.clear()

    again = ask_release(office.ports, release, QualityPolicy(), BANK, sets)

    assert sets.asked == []
    assert again.candidate.results == first.candidate.results


def test_a_candidate_that_knows_nothing_is_out_after_a_few_questions(office: Office):
    policy = QualityPolicy(early_stopping=True, budget=QuestionBudget(step_questions=10))
    sets = Sets(wrong="green")

    asked = ask_release(office.ports, judging(office), policy, BANK, sets)

    assert len(sets.of("green")) == len(sets.of("blue")) == 10
    verdicts = {row.check: row.verdict.value for row in judge_quality(asked.candidate, asked.live, policy)}
    assert verdicts["quality.regression"] == "fail"


def test_what_one_service_was_answered_is_not_taken_for_another(office: Office):
    sets = Sets()
    ask_release(office.ports, judging(office), QualityPolicy(), BANK, sets)
    sets.asked.clear()
    theirs = office.enter(office.release("bolt"), ReleaseState.JUDGING)

    ask_release(office.ports, theirs, QualityPolicy(), BANK, sets)

    assert len(sets.of("green")) == 60
