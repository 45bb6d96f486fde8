"""A run that was stopped goes on where it was, and takes nothing from another model."""

from pathlib import Path

import pytest

from tests.unit.quality.asked import DIGEST, bank_of, model
from tidegate.quality import Answer, Question, run_bank
from tidegate.quality.cache import AnswerStore
from tidegate.quality.run import asking_order
from tidegate.quality.source import Served

SERVED = Served(digest=DIGEST, engine="e-1", model=DIGEST)


class Asked:
    """Counts what it is asked, and may be interrupted."""

    def __init__(self, interrupted_after: int | None = None, **changes: object):
        self.ids: list[str] = []
        self._after = interrupted_after
        self._answer = model(lambda name: True, **changes)

    def __call__(self, question: Question) -> Answer:
        if self._after is not None and len(self.ids) >= self._after:
            raise KeyboardInterrupt
        self.ids.append(question.id)
        return self._answer(question)


def test_answers_that_were_given_before_an_interrupt_are_not_asked_for_again(tmp_path: Path):
    bank, first, second = bank_of(20), Asked(interrupted_after=7), Asked()
    with AnswerStore(tmp_path, SERVED) as kept, pytest.raises(KeyboardInterrupt):
        run_bank(bank, first, concurrency=1, kept=kept)
    with AnswerStore(tmp_path, SERVED) as kept:
        found = run_bank(bank, second, concurrency=1, kept=kept)
    assert sorted(first.ids + second.ids) == sorted(question.id for question in bank.questions)
    assert (found.right, found.missing) == (20, 0)
    assert "7 answers were kept" in found.notes[0]


def test_a_line_that_a_crash_cut_short_is_ignored_with_a_note(tmp_path: Path):
    bank = bank_of(5)
    with AnswerStore(tmp_path, SERVED) as kept:
        run_bank(bank, Asked(), concurrency=1, kept=kept)
        path = kept.path
    path.write_bytes(path.read_bytes()[:-20])
    again = Asked()
    with AnswerStore(tmp_path, SERVED) as kept:
        found = run_bank(bank, again, concurrency=1, kept=kept)
    assert len(again.ids) == 1
    assert any("cut short" in note for note in found.notes)
    with AnswerStore(tmp_path, SERVED) as kept:
        assert run_bank(bank, lambda question: pytest.fail("asked"), concurrency=1, kept=kept).right == 5


@pytest.mark.parametrize(
    "other", [Served(digest="cd" * 32, engine="e-1"), Served(digest=DIGEST, engine="e-2")]
)
def test_another_file_or_engine_takes_nothing(tmp_path: Path, other: Served):
    with AnswerStore(tmp_path, SERVED) as kept:
        run_bank(bank_of(3), Asked(), kept=kept)
    asked = Asked()
    with AnswerStore(tmp_path, other) as kept:
        run_bank(bank_of(3), asked, kept=kept)
    assert len(asked.ids) == 3


def test_an_answer_of_another_model_than_the_one_that_was_identified_is_not_kept(tmp_path: Path):
    with AnswerStore(tmp_path, SERVED) as kept:
        run_bank(bank_of(3), Asked(model="cd" * 32), kept=kept)
        run_bank(bank_of(3), Asked(engine="e-2"), kept=kept)
        assert kept.path.read_bytes() == b""


def test_nothing_is_kept_of_a_model_that_does_not_say_which_it_is(tmp_path: Path):
    with pytest.raises(ValueError, match="known by its digest"):
        AnswerStore(tmp_path, Served(digest=None, engine="e"))


def test_errors_are_not_kept(tmp_path: Path):
    with AnswerStore(tmp_path, SERVED) as kept:
        run_bank(bank_of(3), lambda question: Answer(error="HTTP 500"), kept=kept)
        assert kept.path.read_bytes() == b""


def test_answers_are_readable_by_their_owner_alone(tmp_path: Path):
    with AnswerStore(tmp_path / "answers", SERVED) as kept:
        assert kept.path.stat().st_mode & 0o077 == 0
        assert kept.path.parent.stat().st_mode & 0o077 == 0


def test_the_order_follows_from_seed_and_ids_alone_and_is_recorded():
    bank = bank_of(30)
    backwards = list(reversed(bank.questions))
    assert asking_order(bank.questions, 1) == asking_order(backwards, 1)
    assert asking_order(bank.questions, 1) != asking_order(bank.questions, 2)
    asked = Asked()
    found = run_bank(bank, asked, concurrency=1, order_seed=5)
    assert tuple(asked.ids) == found.order == asking_order(bank.questions, 5)
    assert (found.settings["order_seed"], found.settings["concurrency"]) == (5, 1)


def test_repeats_are_averaged_by_question_and_a_flaky_one_is_named():
    answers = {"q0": iter(["0", "0", "no"]), "q1": iter(["no", "1", "no"]), "q2": iter(["2", "2", "2"])}
    found = run_bank(
        bank_of(3), lambda question: Answer(text=next(answers[question.id])), concurrency=1, repeats=3
    )
    assert [entry.value for entry in found.results] == [2 / 3, 1 / 3, 1.0]
    assert [entry.is_right for entry in found.results] == [True, False, True]
    assert [entry.is_flaky for entry in found.results] == [True, True, False]
    assert found.settings["repeated"] == "all"
