"""Forces both models along the texts and keeps what they say of each token. Used by the confined child alone."""

import base64
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tidegate.drift.forcing import Forced, ForcedModel, block_of
from tidegate.drift.logit_store import LogitStore
from tidegate.drift.measure import Logits, Reals, TokenMeasures, compare, joined
from tidegate.drift.scored_text import Window
from tidegate.drift.tokenized import CutText, by_chance
from tidegate.validation.confinement import OUT_OF_TIME, Message

SENT = ("kl", "reverse_kl", "base_nll", "cand_nll", "base_entropy", "same_top")
WORST_TOKENS = 3
SMALLEST_KL = 1e-4
"""Tokens that differ by less are no example of anything."""
CONTEXT_TOKENS = 24
CONTEXT_CHARACTERS = 160

Blocks = Callable[[Window], Iterator[Logits]]


@dataclass(slots=True)
class Watch:
    """Time that is left, and whom to tell how far it is."""

    deadline: float
    tell: Callable[[int], None]
    done: int = 0

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.deadline

    def scored(self, tokens: int) -> None:
        self.done += tokens
        self.tell(self.done)


def window_measures(base: Iterator[Logits], cand: Iterator[Logits], window: Window) -> TokenMeasures:
    """Both models' logits along one window, compared block by block."""
    actual = np.asarray(window.tokens[window.first_scored :], dtype=np.int64)
    parts: list[TokenMeasures] = []
    at = 0
    for ours, theirs in zip(base, cand, strict=True):
        parts.append(compare(ours, theirs, actual[at : at + len(ours)]))
        at += len(ours)
    return joined(parts)


def measure_text(text: CutText, base: Blocks, cand: Blocks, model: ForcedModel, watch: Watch) -> Message:
    """One row of the result."""
    row: Message = {"set": text.set_name, "id": text.id, "is_cut": text.is_cut}
    if watch.is_over:
        return {**row, "problem": OUT_OF_TIME}
    try:
        parts = [window_measures(base(window), cand(window), window) for window in text.windows]
    except ValueError as error:
        return {**row, "problem": str(error)}
    watch.scored(text.scored)
    found = joined(parts)
    if not found.is_finite:
        return {**row, "problem": "its numbers are not finite"}
    return {
        **row,
        "tokens": len(found),
        "windows": [window.scored for window in text.windows],
        "values": {name: _packed(getattr(found, name)) for name in SENT},
        "worst": _worst(text, found, model),
    }


def _packed(values: Reals) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def _worst(text: CutText, found: TokenMeasures, model: ForcedModel) -> list[Message]:
    """The tokens that the models disagree most about, with what stands before them."""
    places = [
        (window, place) for window in text.windows for place in range(window.first_scored, len(window.tokens))
    ]
    rows: list[Message] = []
    order: list[int] = np.argsort(-found.kl, kind="stable")[:WORST_TOKENS].tolist()
    for number in order:
        if found.kl[number] < SMALLEST_KL:
            break
        window, place = places[number]
        before = window.tokens[max(0, place - CONTEXT_TOKENS) : place]
        rows.append(
            {
                "place": number,
                "kl": float(found.kl[number]),
                "before": _text(model, before)[-CONTEXT_CHARACTERS:],
                "actual": _text(model, [window.tokens[place]]),
                "base_top": _text(model, [int(found.base_top[number])]),
                "cand_top": _text(model, [int(found.cand_top[number])]),
                "base_top_p": float(found.base_top_p[number]),
                "cand_top_p": float(found.cand_top_p[number]),
                "base_p": float(np.exp(-found.base_nll[number])),
                "cand_p": float(np.exp(-found.cand_nll[number])),
            }
        )
    return rows


def _text(model: ForcedModel, tokens: Sequence[int]) -> str:
    return b"".join(model.bytes_of(token) for token in tokens).decode("utf-8", "replace")


def keep_logits(texts: Sequence[CutText], base: Forced, store: LogitStore, watch: Watch) -> None:
    """Raises: ValueError when the engine cannot compute a text."""
    for text in texts:
        if watch.is_over:
            return
        for window in text.windows:
            for block in base.blocks(window):
                store.put(block)
        watch.scored(text.scored)


def portions(texts: Sequence[CutText], capacity: int) -> list[list[CutText]]:
    """Texts whose logits are kept at the same time. Raises: ValueError when one alone is too long."""
    found: list[list[CutText]] = []
    room = 0
    for text in texts:
        if text.scored > capacity:
            raise ValueError(f"the text {text.id} has more tokens than there is room for logits of")
        if text.scored > room:
            found.append([])
            room = capacity
        found[-1].append(text)
        room -= text.scored
    return found


def noise_floor(
    texts: Sequence[CutText], usual: Forced, model: ForcedModel, job: Message, watch: Watch
) -> Message:
    """The baseline against itself in other batches and with another number of threads: the same numbers summed in
    another order. What a comparison shows below this is arithmetic, not the model."""
    sample: list[CutText] = []
    left = job["noise_tokens"]
    for text in sorted(texts, key=lambda text: by_chance(f"noise {text.id}")):
        if text.scored <= left:
            sample.append(text)
            left -= text.scored
    threads = job["threads"] - 1 if job["threads"] > 1 else 2
    block = max(1, min(usual.block, block_of(model.vocabulary_size)) // 3)
    if not sample:
        return {}
    other = Forced(model, job["context_tokens"], threads, block)
    if not other.is_ready:
        return {}
    try:
        parts = [
            _against_itself(usual, other, window)
            for text in sample
            if not watch.is_over
            for window in text.windows
        ]
        watch.scored(sum(text.scored for text in sample))
    except ValueError:
        return {}
    finally:
        other.close()
    found = joined(parts)
    if not len(found) or not found.is_finite:
        return {}
    return {
        "tokens": len(found),
        "kl_mean": float(found.kl.mean()),
        "kl_max": float(found.kl.max()),
        "same_top": float(found.same_top.mean()),
        "threads": [job["threads"], threads],
        "batch": [usual.block, block],
    }


def _against_itself(usual: Forced, other: Forced, window: Window) -> TokenMeasures:
    """The blocks have other borders: they are put together first. A window fits into the context, so this is as
    much as the engine itself holds at most."""
    whole = [np.concatenate([block.copy() for block in arm.blocks(window)]) for arm in (usual, other)]
    return compare(whole[0], whole[1], np.asarray(window.tokens[window.first_scored :], dtype=np.int64))
