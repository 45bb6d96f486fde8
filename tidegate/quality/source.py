"""Whom a bank is put to: anything that answers questions, and says which model it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tidegate.quality.bank import Question
from tidegate.quality.results import Answer

OnAnswer = Callable[[int, Answer], None]
"""Called with the place of the question in what was asked, in whatever order answers come."""


@dataclass(frozen=True)
class Served:
    """Who answers. Without a digest and an engine nothing may be taken from an earlier run."""

    digest: str | None = None
    engine: str | None = None
    model: str | None = None
    """What the replies call the model."""
    error: str = ""

    @property
    def is_known(self) -> bool:
        return self.digest is not None and self.engine is not None


class Source(Protocol):
    """One model to ask."""

    @property
    def target(self) -> str:
        """What is asked, without secrets."""
        ...

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything beside the question that decides about an answer."""
        ...

    def identify(self) -> Served: ...

    def ask_all(
        self, questions: Sequence[Question], on_answer: OnAnswer, *, concurrency: int, deadline: float
    ) -> None:
        """Ask each once, in this order; `deadline` is a time of the monotonic clock. What is not answered by then is
        answered with an error."""
        ...
