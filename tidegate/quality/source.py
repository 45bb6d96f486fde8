"""Whom a bank is put to: anything that answers questions, and says which model it is."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from tidegate.quality.question import Question
from tidegate.quality.results import Answer

Ask = Callable[[Question], Answer]
OnAnswer = Callable[[int, Answer], None]
"""Called in the caller's thread with the place of the question among those asked, in the order of the answers."""
OUT_OF_TIME = "the time for questions was over"


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


@runtime_checkable
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
        """Ask each once, in this order. `deadline` is a time of the monotonic clock; what is not answered by then is
        answered with the error `OUT_OF_TIME`. Never raises for what a model or a server does."""
        ...


@dataclass(frozen=True)
class PlainSource:
    """A function that asks one question, as a source."""

    ask: Ask
    target: str = ""
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])

    def identify(self) -> Served:
        return Served()

    def ask_all(
        self, questions: Sequence[Question], on_answer: OnAnswer, *, concurrency: int, deadline: float
    ) -> None:
        ask_side_by_side(self.ask, questions, on_answer, concurrency=concurrency, deadline=deadline)


def source_of(ask: Ask | Source) -> Source:
    """A source is one already; a function is made one, of which nothing is known."""
    return ask if isinstance(ask, Source) else PlainSource(ask)


def ask_side_by_side(
    ask: Ask,
    questions: Sequence[Question],
    on_answer: OnAnswer,
    *,
    concurrency: int,
    deadline: float,
    is_stopped: threading.Event | None = None,
) -> None:
    """Ask with so many threads. Interrupted, it sets `is_stopped`, asks no more, and still tells the answers that had
    come or were on their way: they were waited for, and somebody paid for them."""
    is_stopped = is_stopped or threading.Event()

    def ask_one(question: Question) -> Answer:
        if is_stopped.is_set() or time.monotonic() >= deadline:
            return Answer(error=OUT_OF_TIME)
        return ask(question)

    with ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="bank") as pool:
        places = {pool.submit(ask_one, question): place for place, question in enumerate(questions)}
        untold = dict(places)
        try:
            for future in as_completed(places):
                on_answer(untold.pop(future), future.result())
        except BaseException as error:
            is_stopped.set()
            if isinstance(error, KeyboardInterrupt):
                pool.shutdown(cancel_futures=True)
                for future, place in untold.items():
                    if not future.cancelled() and future.exception() is None:
                        on_answer(place, future.result())
            raise
