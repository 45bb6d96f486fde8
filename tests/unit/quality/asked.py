"""Banks and models for tests: a model is a function from a question to an answer."""

from collections.abc import Callable, Sequence

from tidegate.quality import Answer, Bank, BankResult, Question, QuestionResult

DIGEST = "ab" * 32


def bank_of(count: int, **changes: object) -> Bank:
    """Questions `q0`, `q1`, ..., right when answered by their number."""
    questions = [
        Question.model_validate(
            {"id": f"q{n}", "topic": "t", "prompt": f"say {n}", "expect": str(n), "scorer": "exact"} | changes
        )
        for n in range(count)
    ]
    return Bank(name="b", digest="d", questions=tuple(questions))


def model(is_right: Callable[[str], bool], **changes: object) -> Callable[[Question], Answer]:
    """Answers rightly where `is_right` says so."""

    def ask(question: Question) -> Answer:
        text = question.prompt.removeprefix("say ") if is_right(question.id) else "no"
        return Answer.model_validate({"text": text, "model": DIGEST, "engine": "e-1"} | changes)

    return ask


def graded(values: Sequence[float], **changes: object) -> BankResult:
    """A result with these scores, in order."""
    results = tuple(
        QuestionResult(id=f"q{n}", topic="t", is_right=value >= 0.5, value=value)
        for n, value in enumerate(values)
    )
    return BankResult.model_validate(
        {"bank": "b", "bank_digest": "d", "model_digest": "m", "results": results} | changes
    )
