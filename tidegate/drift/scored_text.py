"""From a text to windows of tokens that both models are forced along. Pure.

A window is what fits into the context. Every window after the first begins with the beginning-of-text token in
place of its first token, as llama.cpp's own tool for perplexity has it, so that figures are comparable with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens to feed; those from `first_scored` on are predicted and measured. The token before is the last of
    the context."""

    tokens: tuple[int, ...]
    first_scored: int

    @property
    def scored(self) -> int:
        return len(self.tokens) - self.first_scored


def windows(
    tokens: Sequence[int], context_tokens: int, *, unscored: int = 0, bos: int | None = None
) -> list[Window]:
    """Cut a text into windows of at most `context_tokens` tokens.

    `unscored` tokens at the start (the prompt of an answer) are fed and not measured. A prompt that leaves no room
    keeps its end: what an answer rests on most is what was said last. The first token of a window has nothing
    before it, so it is never measured. `bos` is the beginning-of-text token of models that add one.
    """
    if context_tokens < 2:
        raise ValueError("a window needs two tokens: one to stand on, one to predict")
    rest = list(tokens)
    if unscored:
        return _answer_window(rest, unscored, context_tokens, bos)
    found: list[Window] = []
    for first in range(0, len(rest), context_tokens):
        piece = rest[first : first + context_tokens]
        if bos is not None and first:
            piece[0] = bos
        if len(piece) > 1:
            found.append(Window(tuple(piece), 1))
    return found


def _answer_window(tokens: list[int], unscored: int, context_tokens: int, bos: int | None) -> list[Window]:
    """One window: an answer that goes on behind the context is cut, and so is a prompt from its start."""
    prompt, answer = tokens[:unscored], tokens[unscored:]
    answer = answer[: max(1, context_tokens // 2)] if len(tokens) > context_tokens else answer
    if not answer:
        return []
    room = context_tokens - len(answer)
    if len(prompt) > room:
        prompt = prompt[len(prompt) - room :]
        if bos is not None:
            prompt[0] = bos
    return [Window((*prompt, *answer), len(prompt))]
