"""What a model answered to a bank. These values are stored, so that a baseline is asked once per digest."""

from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """One reply to one question; `error` says why there is none."""

    model_config = ConfigDict(frozen=True)

    text: str = ""
    model: str | None = Field(default=None, description="Digest that the reply names.")
    error: str = ""
    elapsed_ms: float = 0.0


class QuestionResult(BaseModel):
    """A question that could not be asked has an error and is neither right nor wrong."""

    model_config = ConfigDict(frozen=True)

    id: str
    topic: str
    is_right: bool | None = None
    answer: str = ""
    error: str = ""
    elapsed_ms: float = 0.0


class TopicScore(BaseModel):
    model_config = ConfigDict(frozen=True)

    right: int
    answered: int
    total: int


class BankResult(BaseModel):
    """All questions of a bank, in its order."""

    model_config = ConfigDict(frozen=True)

    bank: str
    bank_digest: str
    model_digest: str | None = Field(
        description="Digest that every reply named; None when they differ or none did."
    )
    served_models: tuple[str, ...] = Field(default=(), description="All models that the replies named.")
    results: tuple[QuestionResult, ...]
    taken_at: datetime | None = None

    @property
    def total(self) -> int:
        return len(self.results)

    @property
    def right(self) -> int:
        return sum(result.is_right is True for result in self.results)

    @property
    def missing(self) -> int:
        """Questions without an answer."""
        return sum(result.is_right is None for result in self.results)

    @property
    def score(self) -> float | None:
        """Share of right answers of those given; None when nothing was answered."""
        answered = self.total - self.missing
        return self.right / answered if answered else None

    def topics(self) -> dict[str, TopicScore]:
        """Scores by topic, in the order of the bank."""
        by_topic: dict[str, list[QuestionResult]] = {}
        for result in self.results:
            by_topic.setdefault(result.topic, []).append(result)
        return {topic: _topic_score(results) for topic, results in by_topic.items()}


def _topic_score(results: Iterable[QuestionResult]) -> TopicScore:
    marks = [result.is_right for result in results]
    missing = sum(mark is None for mark in marks)
    return TopicScore(
        right=sum(mark is True for mark in marks), answered=len(marks) - missing, total=len(marks)
    )
