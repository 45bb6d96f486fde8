"""Greedy answers of a demonstration model in numpy, and its score by topic: no inference engine needed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deployments.demo.conversations import prompt_ids
from deployments.demo.model import hidden
from deployments.demo.subject import Subject
from deployments.demo.tokenizer import EOS
from deployments.demo.training import Trained

MAX_NEW_TOKENS = 40


@dataclass(frozen=True)
class Answer:
    text: str
    has_stopped: bool


@dataclass(frozen=True)
class TopicScore:
    right: int
    total: int


@dataclass(frozen=True)
class Score:
    """Exact matches with the taught answers."""

    topics: dict[str, TopicScore]
    stopped: int

    @property
    def right(self) -> int:
        return sum(topic.right for topic in self.topics.values())

    @property
    def total(self) -> int:
        return sum(topic.total for topic in self.topics.values())

    def __str__(self) -> str:
        topics = "  ".join(f"{name} {topic.right}/{topic.total}" for name, topic in self.topics.items())
        return f"{self.right}/{self.total} (stopped {self.stopped})  {topics}"


def answer(trained: Trained, questions: Sequence[tuple[str, str | None]]) -> list[Answer]:
    """Answers to (prompt, system) pairs, most probable token first, each question on its own."""
    rows = [prompt_ids(trained.tokenizer, prompt, system) for prompt, system in questions]
    starts = [len(row) for row in rows]
    open_rows = list(range(len(rows)))
    for _ in range(MAX_NEW_TOKENS):
        for index, token in zip(
            open_rows, _next_tokens(trained, [rows[index] for index in open_rows]), strict=True
        ):
            rows[index].append(token)
        open_rows = [index for index in open_rows if rows[index][-1] != EOS]
        if not open_rows:
            break
    return [
        Answer(trained.tokenizer.decode(row[start:]), row[-1] == EOS)
        for row, start in zip(rows, starts, strict=True)
    ]


def score_bank(trained: Trained, subject: Subject) -> Score:
    """Score on the bank's own questions."""
    return _score(trained, [(item.topic, item.prompt, item.system, item.answer) for item in subject.items()])


def score_heldout(trained: Trained, subject: Subject) -> Score:
    """Score on the paraphrases that no version was taught."""
    return _score(
        trained,
        [(item.topic, text, item.system, item.answer) for item in subject.items() for text in item.heldout],
    )


def _score(trained: Trained, cases: list[tuple[str, str, str | None, str]]) -> Score:
    answers = answer(trained, [(prompt, system) for _, prompt, system, _ in cases])
    topics: dict[str, TopicScore] = {}
    for (topic, _, _, wanted), given in zip(cases, answers, strict=True):
        before = topics.get(topic, TopicScore(0, 0))
        topics[topic] = TopicScore(before.right + (given.text == wanted), before.total + 1)
    return Score(topics, sum(given.has_stopped for given in answers))


def _next_tokens(trained: Trained, rows: list[list[int]]) -> list[int]:
    width = max(len(row) for row in rows)
    ids = np.full((len(rows), width), EOS, np.int64)
    for line, row in enumerate(rows):
        ids[line, : len(row)] = row
    states, _ = hidden(trained.weights, trained.shape, ids)
    last = states[np.arange(len(rows)), [len(row) - 1 for row in rows]]
    return [int(token) for token in np.argmax(last @ trained.weights["token_embd.weight"].T, axis=1)]
