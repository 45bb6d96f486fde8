"""Puts a bank to a model through any function that can ask, and scores the answers."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from tidegate.quality.bank import Bank, Question
from tidegate.quality.results import Answer, BankResult, QuestionResult
from tidegate.quality.scorers import is_right

ATTEMPTS = 2
"""A question that could not be asked is asked once more; an answer, right or wrong, is never asked again."""


def run_bank(
    bank: Bank,
    ask: Callable[[Question], Answer],
    *,
    concurrency: int = 2,
    deadline_s: float = 300.0,
    progress: Callable[[int, int], None] | None = None,
    taken_at: datetime | None = None,
) -> BankResult:
    """Ask every question once and score it. `ask` must return (with an error), not raise.

    Use the same concurrency for a candidate and its baseline: other batch shapes give llama.cpp other
    rounding, so that even greedy answers may differ. After `deadline_s` nothing more is asked; what is
    missing then counts as an error.
    """
    deadline = time.monotonic() + deadline_s

    def ask_one(question: Question) -> Answer:
        answer = Answer(error="not asked")
        for _ in range(ATTEMPTS):
            if time.monotonic() >= deadline:
                return Answer(error=f"not asked within {deadline_s:g} s (last: {answer.error})")
            answer = ask(question)
            if not answer.error:
                break
        return answer

    results: list[QuestionResult] = []
    models: set[str] = set()
    with ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="bank") as pool:
        answers = pool.map(ask_one, bank.questions)
        for question, answer in zip(bank.questions, answers, strict=True):
            results.append(_score(question, answer))
            models |= {answer.model} if answer.model and not answer.error else set()
            if progress is not None:
                progress(len(results), len(bank.questions))
    return BankResult(
        bank=bank.name,
        bank_digest=bank.digest,
        model_digest=next(iter(models)) if len(models) == 1 else None,
        served_models=tuple(sorted(models)),
        results=tuple(results),
        taken_at=taken_at,
    )


def _score(question: Question, answer: Answer) -> QuestionResult:
    return QuestionResult(
        id=question.id,
        topic=question.topic,
        is_right=None if answer.error else is_right(question.scorer, question.expect, answer.text),
        answer=answer.text,
        error=answer.error,
        elapsed_ms=answer.elapsed_ms,
    )
