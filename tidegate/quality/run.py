"""Puts a bank to a model and scores the answers: in an order fixed by a seed, again where wanted, and from earlier runs
where that is sound."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tidegate.quality.bank import Bank
from tidegate.quality.cache import AnswerStore
from tidegate.quality.pairs import REPEATED_ALL, REPEATED_DISCORDANT, REPEATED_NONE
from tidegate.quality.question import GROUP, Question, flat
from tidegate.quality.results import NEEDS_JUDGE, Answer, BankResult, QuestionResult, Repeat
from tidegate.quality.scorers import SCORERS
from tidegate.quality.scorers.choices import BY_TEXT, FEW_LETTERS, LOW_MASS
from tidegate.quality.scoring import score
from tidegate.quality.source import Ask, Source, source_of
from tidegate.quality.wording import answer_key

NOT_ASKED = "not asked"

Progress = Callable[[int, int], None]


def run_bank(
    bank: Bank,
    ask: Ask | Source,
    *,
    concurrency: int = 2,
    deadline_s: float = 300.0,
    order_seed: int = 0,
    repeats: int = 1,
    kept: AnswerStore | None = None,
    progress: Progress | None = None,
    taken_at: datetime | None = None,
    label: str = "",
) -> BankResult:
    """Ask every question, `repeats` times, and score it.

    Use the same concurrency for a candidate and its baseline: other batch shapes give llama.cpp other
    rounding, so that even greedy answers may differ. After `deadline_s` nothing more is asked; what is
    missing then counts as an error.
    """
    run = BankRun(bank, ask, concurrency=concurrency, order_seed=order_seed, kept=kept)
    deadline = time.monotonic() + deadline_s
    total = len(run.order) * repeats
    for sample in range(repeats):
        before = sample * len(run.order)
        run.ask(
            run.order,
            sample,
            deadline,
            None if progress is None else lambda done, at=before: progress(at + done, total),
        )
    return run.result(taken_at=taken_at, label=label)


def asking_order(questions: Iterable[Question], seed: int) -> tuple[str, ...]:
    """Ids in a random order that seed and ids alone decide.

    Tests that may stop early need an order in which each next question is as good as any other, fixed before the run.
    """
    ids = [question.id for question in questions]
    return tuple(sorted(ids, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()))


class BankRun:
    """Answers of one model to one bank, gathered over any number of calls. For one thread."""

    def __init__(
        self,
        bank: Bank,
        ask: Ask | Source,
        *,
        concurrency: int = 2,
        order_seed: int = 0,
        kept: AnswerStore | None = None,
    ):
        self.bank = bank
        self.source = source_of(ask)
        self.order = asking_order(bank.questions, order_seed)
        self._questions = {question.id: question for question in bank.questions}
        self._settings: dict[str, Any] = {
            "concurrency": concurrency,
            "order_seed": order_seed,
            "is_graded": may_be_graded(bank),
        }
        self._concurrency = concurrency
        self._kept = kept
        self._answers: dict[str, dict[int, Answer]] = {name: {} for name in self._questions}
        self._scored: dict[tuple[str, bool], QuestionResult] = {}
        self._from_earlier = 0

    def ask(
        self,
        names: Sequence[str],
        sample: int,
        deadline: float,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Ask these questions for the sample of that number (0 is the first answer), unless they are answered.

        One that could not be answered is asked again. Interrupted, what was answered so far is kept.
        """
        wanted = [name for name in names if not self._is_answered(name, sample)]
        done = len(names) - len(wanted)
        questions = [self._questions[name] for name in wanted]

        def on_answer(place: int, answer: Answer) -> None:
            nonlocal done
            self._take(questions[place], sample, answer)
            done += 1
            if progress is not None:
                progress(done)

        if progress is not None:
            progress(done)
        if questions:
            self.source.ask_all(questions, on_answer, concurrency=self._concurrency, deadline=deadline)

    def result(
        self,
        *,
        names: Sequence[str] | None = None,
        taken_at: datetime | None = None,
        label: str = "",
        repeated: Collection[str] | None = None,
        settings: Mapping[str, Any] | None = None,
        notes: Sequence[str] = (),
    ) -> BankResult:
        """The scored answers to all questions, or to the first ones in the order of asking when a run was stopped.

        `repeated` names the questions of which every answer counts, where only some were asked again; of the others
        only the first one does.
        """
        asked = self.order if names is None else tuple(names)
        included = set(asked)
        scored = [
            self._score(question, repeated is None or question.id in repeated)
            for question in self.bank.questions
            if question.id in included
        ]
        answers = [answer for name in asked for answer in self._answers[name].values()]
        given = [answer for answer in answers if not answer.error]
        models = {answer.model for answer in given if answer.model}
        samples = max((len(entry.repeats) for entry in scored), default=0) or 1
        how = REPEATED_ALL if repeated is None else REPEATED_DISCORDANT
        used = {
            **self.source.parameters,
            **self._settings,
            "samples": samples,
            "repeated": how if samples > 1 else REPEATED_NONE,
            "engine": sorted({answer.engine for answer in given if answer.engine}),
            **(settings or {}),
        }
        return BankResult(
            bank=self.bank.name,
            bank_digest=self.bank.digest,
            model_digest=next(iter(models)) if len(models) == 1 else None,
            served_models=tuple(sorted(models)),
            results=tuple(scored),
            taken_at=taken_at,
            label=label,
            target=self.source.target,
            settings=used,
            order=asked,
            notes=(*self._notes(), *flag_notes(scored), *notes),
        )

    def _is_answered(self, name: str, sample: int) -> bool:
        """Here, or in the store of an earlier run."""
        found = self._answers[name].get(sample)
        if found is not None and not found.error:
            return True
        if self._kept is None:
            return False
        earlier = self._kept.get(self._key(self._questions[name], sample))
        if earlier is None:
            return False
        self._keep(name, sample, earlier)
        self._from_earlier += 1
        return True

    def _take(self, question: Question, sample: int, answer: Answer) -> None:
        self._keep(question.id, sample, answer)
        if self._kept is not None:
            self._kept.put(self._key(question, sample), answer)

    def _keep(self, name: str, sample: int, answer: Answer) -> None:
        self._answers[name][sample] = answer
        for is_repeated in (False, True):
            self._scored.pop((name, is_repeated), None)

    def _key(self, question: Question, sample: int) -> str:
        assert self._kept is not None
        served = self._kept.served
        return answer_key(
            question,
            self.source.parameters,
            digest=served.digest or "",
            engine=served.engine or "",
            concurrency=self._concurrency,
            sample=sample,
        )

    def _score(self, question: Question, is_repeated: bool) -> QuestionResult:
        at = (question.id, is_repeated)
        if at not in self._scored:
            answers = [answer for _, answer in sorted(self._answers[question.id].items())]
            self._scored[at] = scored_question(question, answers if is_repeated else answers[:1])
        return self._scored[at]

    def _notes(self) -> list[str]:
        notes: list[str] = []
        if self._from_earlier:
            notes.append(f"{self._from_earlier} answers were kept from an earlier run of the same file.")
        if self._kept is not None and self._kept.unreadable:
            notes.append(
                f"{self._kept.unreadable} kept answers were cut short by a crash; those questions were asked again."
            )
        return notes


def scored_question(question: Question, answers: Sequence[Answer]) -> QuestionResult:
    """All answers to one question as one result: the mean score, and what most answers are.

    One missing answer of several makes the question a missing one: what timed out may be what was wrong.
    """
    first = answers[0] if answers else Answer(error=NOT_ASKED)
    marks = [_repeat(question, answer) for answer in answers]
    known = [mark for mark in marks if mark.value is not None]
    is_whole = bool(known) and len(known) == len(marks)
    value = sum(mark.value or 0.0 for mark in known) / len(known) if is_whole else None
    parts: dict[str, Any] = {}
    if not first.error:
        parts = {name: part.model_dump(mode="json") for name, part in score(question, first).parts.items()}
    return QuestionResult(
        id=question.id,
        topic=question.topic,
        is_right=None if value is None else 2 * sum(mark.is_right is True for mark in known) > len(known),
        value=value,
        answer=first.text,
        error=next((mark.error for mark in marks if mark.error), first.error),
        elapsed_ms=first.elapsed_ms,
        finish=first.finish,
        tool_calls=first.tool_calls,
        tokens=first.tokens,
        top_logprobs=first.top_logprobs,
        mean_logprob=first.mean_logprob,
        parts=parts,
        repeats=tuple(marks) if len(marks) > 1 else (),
        cluster=question.cluster,
        tags=question.tags,
        weight=question.weight,
    )


def _repeat(question: Question, answer: Answer) -> Repeat:
    if answer.error:
        return Repeat(error=answer.error)
    if question.counted_judges:
        # Whatever its other scorers say: a question that counts only where they settle it would flatter or wrong.
        return Repeat(answer=answer.text, error=NEEDS_JUDGE)
    scored = score(question, answer)
    return Repeat(value=scored.value, is_right=scored.is_right, answer=answer.text)


FLAGS = {
    LOW_MASS: "the letters hold less than half of the first token's probability: the model may not know the format",
    BY_TEXT: "the server gave no log-probabilities, so the text was scored",
    FEW_LETTERS: "some letters are not among the likeliest first tokens, and count as impossible",
}
"""What a reader of choices by log-probabilities must know."""


def flag_notes(scored: Sequence[QuestionResult]) -> list[str]:
    """How many answers carry each flag of `FLAGS`."""
    found = Counter(
        flag
        for entry in scored
        for flag in {str(flag) for part in entry.parts.values() for flag in part.get("flags", ())}
        if flag in FLAGS
    )
    return [f"{count} answers: {FLAGS[flag]}." for flag, count in found.items()]


def may_be_graded(bank: Bank) -> bool:
    """Whether any answer can be scored between right and wrong."""
    return any(_is_graded(question) for question in bank.questions)


def _is_graded(question: Question) -> bool:
    counted = [spec for spec in flat(question.specs) if spec.weight > 0]
    return len(counted) > 1 or any(spec.name == GROUP or SCORERS[spec.name].is_graded for spec in counted)
