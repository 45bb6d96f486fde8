"""Cuts the texts of a job into windows, with one model's vocabulary, and chooses which are measured.

Used by the confined child alone.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from tidegate.drift.conversations import Conversations
from tidegate.drift.scored_text import Window, windows
from tidegate.validation.confinement import Message

TokensOf = Callable[[str, bool], list[int]]
"""Text and whether a template wrote it, to tokens."""


@dataclass(frozen=True, slots=True)
class CutText:
    """A text as both models are forced along it."""

    set_name: str
    id: str
    tokens: tuple[int, ...] = ()
    """The whole text, before it was cut into windows."""
    windows: tuple[Window, ...] = ()
    problem: str = ""
    is_cut: bool = False
    """It did not fit into the context as a whole."""

    @property
    def scored(self) -> int:
        return sum(window.scored for window in self.windows)


@dataclass(frozen=True, slots=True)
class Cutter:
    """How texts become tokens."""

    tokens_of: TokensOf
    is_end: Callable[[int], bool]
    bos: int | None
    context_tokens: int
    conversations: Conversations | None

    def cut(self, text: Message) -> CutText:
        """Windows of one text, or why there are none."""
        try:
            tokens, unscored = self._conversation(text) if text["messages"] else (self._raw(text), 0)
        except ValueError as error:
            return CutText(text["set"], text["id"], problem=str(error))
        found = tuple(windows(tokens, self.context_tokens, unscored=unscored, bos=self.bos))
        problem = "" if found else "it is shorter than two tokens"
        fed = sum(len(window.tokens) for window in found)
        is_cut = len(found) > 1 or fed < len(tokens)
        return CutText(text["set"], text["id"], tuple(tokens), found, problem, is_cut)

    def _raw(self, text: Message) -> list[int]:
        return self.tokens_of(text["text"], False)

    def _conversation(self, text: Message) -> tuple[list[int], int]:
        if self.conversations is None:
            raise ValueError("neither model has a chat template that may be used")
        prompt, answer = self.conversations.written(text["messages"])
        before, after = self.tokens_of(prompt, True), self.tokens_of(answer, True)
        # What a template writes behind the end of a turn is never generated.
        end = next((place for place, token in enumerate(after) if self.is_end(token)), len(after) - 1)
        if not before or not after:
            raise ValueError("the conversation has no tokens")
        return [*before, *after[: end + 1]], len(before)


def chosen(texts: list[CutText], limit_tokens: int) -> list[CutText]:
    """As many whole texts of each set as the limit allows, by the digest of their ids: every kind and language
    keeps its chance, and the same texts are chosen the next time. At least one."""
    kept: set[int] = set()
    for name in dict.fromkeys(text.set_name for text in texts):
        own = [number for number, text in enumerate(texts) if text.set_name == name and text.windows]
        left = limit_tokens
        for number in sorted(own, key=lambda number: by_chance(texts[number].id)):
            count = texts[number].scored
            if count <= left or not kept & set(own):
                kept.add(number)
                left -= count
    return [text for number, text in enumerate(texts) if number in kept]


def by_chance(name: str) -> str:
    """An order that has nothing to do with the text, and is the same every time."""
    return hashlib.sha256(name.encode()).hexdigest()
