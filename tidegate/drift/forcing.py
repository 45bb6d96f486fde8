"""Forces a model along given tokens and hands out its logits for each: the engine's low-level calls, no copy.

Imported by the confined child of this room alone.
"""

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np

from tidegate.drift.measure import Logits
from tidegate.drift.scored_text import Window
from tidegate.validation.engine import Engine

LOGITS_BYTES = 64 * 1024**2
"""Of one block: a vocabulary of 128 thousand tokens has half a megabyte for each position."""
LARGEST_BLOCK, SMALLEST_BLOCK = 512, 8


class ForcedModel(Engine):
    """A loaded model whose own text is cut into tokens; contexts are made from it."""

    @property
    def vocabulary_size(self) -> int:
        return int(self.api.llama_vocab_n_tokens(self.vocabulary))

    @property
    def trained_context(self) -> int:
        return int(self.api.llama_model_n_ctx_train(self.model))

    @property
    def bos(self) -> int | None:
        """The beginning-of-text token, when the model puts one before every text."""
        token = int(self.api.llama_vocab_bos(self.vocabulary))
        return token if token >= 0 and self.api.llama_vocab_get_add_bos(self.vocabulary) else None

    def tokens_of(self, text: str, *, is_template: bool) -> list[int]:
        """What a template wrote has its special tokens in it; a raw text is only text and gets its beginning."""
        raw = text.encode("utf-8", "replace")
        room = len(raw) + 8
        array = (self.api.llama_token * room)()
        count = self.api.llama_tokenize(
            self.vocabulary, raw, len(raw), array, room, not is_template, is_template
        )
        return list(array[: max(0, count)])

    def is_end(self, token: int) -> bool:
        return bool(self.api.llama_vocab_is_eog(self.vocabulary, token))

    def bytes_of(self, token: int) -> bytes:
        """As it is written, special tokens with their names."""
        return self._piece(token, special=True) if token >= 0 else b""

    def close(self) -> None:
        self.api.llama_model_free(self.model)
        self.model = None


def block_of(vocabulary_size: int) -> int:
    """Positions whose logits are held at once."""
    return max(SMALLEST_BLOCK, min(LARGEST_BLOCK, LOGITS_BYTES // (4 * max(1, vocabulary_size))))


class Forced:
    """One context of a model. Close it before the model."""

    def __init__(self, model: ForcedModel, context_tokens: int, threads: int, block: int):
        self.model = model
        self.api = model.api
        self.block = min(block, context_tokens)
        params = self.api.llama_context_default_params()
        params.n_ctx = context_tokens
        params.n_batch = params.n_ubatch = self.block
        params.n_threads = params.n_threads_batch = threads
        self.context: Any = self.api.llama_init_from_model(model.model, params)
        self.batch: Any = self.api.llama_batch_init(self.block, 0, 1) if self.context else None

    @property
    def is_ready(self) -> bool:
        return bool(self.context)

    def close(self) -> None:
        if self.context:
            self.api.llama_batch_free(self.batch)
            self.api.llama_free(self.context)
            self.context = None

    def blocks(self, window: Window) -> Iterator[Logits]:
        """Logits that predict the scored tokens, in order. Each block is valid until the next one is asked for.

        Raises: ValueError when the engine cannot compute it.
        """
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), True)
        for first, piece in self._pieces(window):
            rows = self._fill(piece, first, window.first_scored - 1)
            if self.api.llama_decode(self.context, self.batch) != 0:
                raise ValueError("the engine cannot compute a text")
            if rows:
                yield self._logits(rows)

    def shapes(self, window: Window) -> Iterator[int]:
        """How many rows each block of `blocks` has."""
        for first, piece in self._pieces(window):
            rows = min(len(piece), first + len(piece) - window.first_scored + 1)
            if rows > 0:
                yield rows

    def _pieces(self, window: Window) -> Iterator[tuple[int, tuple[int, ...]]]:
        # The last token predicts what comes behind the window, which nobody asks for.
        fed = window.tokens[:-1]
        for first in range(0, len(fed), self.block):
            yield first, fed[first : first + self.block]

    def _fill(self, piece: tuple[int, ...], first: int, wanted_from: int) -> int:
        batch, rows = self.batch, 0
        batch.n_tokens = len(piece)
        for number, token in enumerate(piece):
            batch.token[number] = token
            batch.pos[number] = first + number
            batch.n_seq_id[number] = 1
            batch.seq_id[number][0] = 0
            is_wanted = first + number >= wanted_from
            batch.logits[number] = is_wanted
            rows += is_wanted
        return rows

    def _logits(self, rows: int) -> Logits:
        size = self.model.vocabulary_size
        pointer = ctypes.cast(self.api.llama_get_logits(self.context), ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(pointer, shape=(rows, size))
