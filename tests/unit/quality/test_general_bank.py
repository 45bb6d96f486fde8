"""The banks that come with Tidegate: made by the committed code, answerable, and without copies."""

from deployments.banks import text
from tidegate.quality import GENERAL_BANK, STANDARD_BANK, Answer, read_bank, score
from tidegate.quality.leaks import twins

BANK = read_bank(GENERAL_BANK)


def test_the_general_bank_is_what_its_code_makes():
    assert GENERAL_BANK.read_text(encoding="utf-8") == text()


def test_it_is_large_and_covers_many_abilities():
    assert len(BANK.questions) >= 200
    assert {
        "arithmetic",
        "dates",
        "json",
        "safety",
        "reading",
        "logic",
        "code",
        "languages",
    } <= BANK.topics.keys()
    assert min(BANK.topics.values()) >= 16
    assert len(read_bank(STANDARD_BANK).questions) >= 20


def test_every_reference_answer_is_right_by_its_own_scorers():
    wrong = [
        question.id
        for question in BANK.questions
        if not score(question, Answer(text=question.metadata["reference"], finish="stop")).is_right
    ]
    assert wrong == []


def test_no_lazy_answer_is_right_often():
    for lazy in ("", "I don't know.", "42", "yes", "I'm sorry, but I can't help with that."):
        right = [question.id for question in BANK.questions if score(question, Answer(text=lazy)).is_right]
        assert len(right) <= len(BANK.questions) // 20, (lazy, right)


def test_no_question_is_there_twice():
    assert twins(BANK.questions) == []
