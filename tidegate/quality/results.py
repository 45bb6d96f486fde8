"""What a model answered to a bank. These values are stored, so that a baseline is asked once per digest."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Self, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

SCHEMA_VERSION = 2
NEEDS_JUDGE = "only a judge can score it"
"""Said of an answer that is there, and that no scorer can score: it is no part of what decides."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class ToolCall(_Value):
    """One call that the model asked for; `arguments` is the JSON text as the model wrote it."""

    name: str
    arguments: str = ""


class TokenLogprob(_Value):
    """One candidate for a token, with its natural log-probability."""

    token: str
    logprob: float


class Answer(_Value):
    """One reply to one question; `error` says why there is none."""

    text: str = ""
    model: str | None = Field(default=None, description="Digest that the reply names.")
    engine: str | None = Field(default=None, description="Build of the engine, where the reply names it.")
    error: str = ""
    elapsed_ms: float = 0.0
    finish: str | None = Field(
        default=None, description="Why the answer ended: stop, length, tool_calls, or what the server says."
    )
    tool_calls: tuple[ToolCall, ...] = ()
    tokens: int | None = Field(
        default=None, description="Tokens of the answer, as the server counts them; None: not told."
    )
    prompt_tokens: int | None = None
    top_logprobs: tuple[TokenLogprob, ...] = Field(
        default=(), description="The likeliest candidates for the first token, likeliest first."
    )
    mean_logprob: float | None = Field(
        default=None, description="Mean log-probability of the answer's own tokens, where it was asked for."
    )


class Repeat(_Value):
    """One of several answers to the same question."""

    value: float | None = None
    is_right: bool | None = None
    answer: str = ""
    error: str = ""


class QuestionResult(_Value):
    """A question that could not be asked has an error and is neither right nor wrong.

    With repeats, `value` is the mean over all answers and `is_right` what most of them say (a tie is wrong): the
    question is the unit, not the answer. `answer` is the first one.
    """

    id: str
    topic: str
    is_right: bool | None = None
    value: float | None = Field(default=None, ge=0, le=1, description="Score; 1 or 0 for right or wrong.")
    answer: str = ""
    error: str = ""
    elapsed_ms: float = 0.0
    finish: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tokens: int | None = None
    top_logprobs: tuple[TokenLogprob, ...] = ()
    mean_logprob: float | None = None
    parts: dict[str, Any] = Field(default_factory=dict, description="What each scorer says of the answer.")
    repeats: tuple[Repeat, ...] = Field(
        default=(), description="Every answer of a question that was asked several times, the first included."
    )
    cluster: str | None = Field(default=None, description="Questions of one document or template share it.")
    tags: tuple[str, ...] = ()
    weight: float = Field(default=1.0, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _has_value(cls, data: Any) -> Any:
        """Right and wrong are the scores 1 and 0, where nobody gave a finer one."""
        if not isinstance(data, dict):
            return data
        given = cast("dict[str, Any]", data)
        if given.get("value") is None and given.get("is_right") is not None:
            return {**given, "value": float(given["is_right"])}
        return given

    @property
    def is_flaky(self) -> bool:
        """The same question, asked again, was scored otherwise."""
        return len({entry.value for entry in self.repeats if entry.value is not None}) > 1

    @property
    def needs_judge(self) -> bool:
        return self.error == NEEDS_JUDGE


class TopicScore(_Value):
    right: int
    answered: int
    total: int


class BankResult(_Value):
    """All questions of a bank, in its order."""

    schema_version: int = SCHEMA_VERSION
    bank: str
    bank_digest: str
    model_digest: str | None = Field(
        description="Digest that every reply named; None when they differ or none did."
    )
    served_models: tuple[str, ...] = Field(default=(), description="All models that the replies named.")
    results: tuple[QuestionResult, ...]
    taken_at: datetime | None = None
    label: str = ""
    target: str = Field(default="", description="What was asked: a URL without secrets, a set, or a file.")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="How it was asked: everything that decides about an answer."
    )
    order: tuple[str, ...] = Field(
        default=(), description="Ids in the order in which they were asked, fixed by `settings.order_seed`."
    )
    notes: tuple[str, ...] = ()

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

    @property
    def mean_value(self) -> float | None:
        """Weighted mean score of the questions that were answered; None when nothing was."""
        scored = [(entry.weight, entry.value) for entry in self.results if entry.value is not None]
        total = sum(weight for weight, _ in scored)
        return sum(weight * value for weight, value in scored) / total if scored else None

    def scored(self) -> Self:
        """Without the questions that only a judge can score."""
        kept = tuple(entry for entry in self.results if not entry.needs_judge)
        return self if len(kept) == len(self.results) else self.model_copy(update={"results": kept})

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
