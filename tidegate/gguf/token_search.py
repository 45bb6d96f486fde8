"""Finds tokens among hundreds of thousands without making a string of each, which is what a header's verdict costs."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from tidegate.gguf.header import ArrayValue

PIECE_TOKENS = 65_536
# Odd numbers without a pattern; numbers that meet by chance are sorted out by their texts.
MIXERS = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xC2B2AE3D27D4EB4F),
    np.uint64(0x165667B19E3779F9),
)
FIRST_BYTES = np.array([2 ** (8 * size) - 1 for size in range(9)], dtype=np.uint64)

Words = NDArray[np.uint64]


def equal_pair(tokens: ArrayValue) -> tuple[int, int] | None:
    """The first two tokens of one text, but for empty ones, which the engine renames."""
    if not _repeated(marks_of(tokens)).size:
        return None
    hashes = np.empty(tokens.count, dtype=np.int64)
    for first in range(0, tokens.count, PIECE_TOKENS):
        texts = tokens.strings(first, first + PIECE_TOKENS)
        hashes[first : first + len(texts)] = np.fromiter(map(hash, texts), np.int64, len(texts))
    seen: dict[bytes, int] = {}
    for number in np.flatnonzero(np.isin(hashes, _repeated(hashes))).tolist():
        text = tokens.string(number)
        first = seen.setdefault(text, number)
        if text and first != number:
            return first, number
    return None


def _repeated(values: NDArray[np.int64]) -> NDArray[np.int64]:
    # No sets of numpy here: they load its masked arrays when first used, which doubles the time of a header.
    ordered = np.sort(values)
    return ordered[1:][ordered[1:] == ordered[:-1]]


def marks_of(tokens: ArrayValue) -> NDArray[np.int64]:
    """A number for each token, made of its length and its first and last eight bytes: equal texts have equal numbers.

    Tells nearly all tokens apart without making a string of any, which is most of the time that a vocabulary takes.
    """
    words = _words_at_every_place(tokens)
    marks = np.empty(tokens.count, dtype=np.int64)
    starts, ends = tokens.spans
    for first in range(0, tokens.count, PIECE_TOKENS):
        piece = slice(first, first + PIECE_TOKENS)
        begin, end = starts[piece].astype(np.int64), ends[piece].astype(np.int64)
        length = end - begin
        head = _eight_bytes(words, begin, np.minimum(length, 8))
        tail = _eight_bytes(words, np.maximum(begin, end - 8), np.minimum(length, 8))
        marks[piece] = _mixed(head, tail, length.astype(np.uint64)).view(np.int64)
    for number in np.flatnonzero(tokens.lengths > 2 * 8).tolist():
        marks[number] = hash(tokens.string(number))
    return marks


def _mixed(head: Words, tail: Words, length: Words) -> Words:
    """One number of three. Shifts between the products: without them words that count upward often met."""
    mixed = head * MIXERS[0]
    mixed ^= mixed >> np.uint64(32)
    mixed += tail
    mixed *= MIXERS[1]
    mixed ^= mixed >> np.uint64(29)
    mixed += length * MIXERS[2]
    return mixed


def places_of(tokens: ArrayValue, wanted: Collection[bytes]) -> dict[bytes, int]:
    """The last token of each of these texts, for those that exist. Makes strings only of tokens that begin alike."""
    words = _words_at_every_place(tokens)
    beginnings = np.array(sorted({int.from_bytes(text[:8], "little") for text in wanted}), dtype=np.uint64)
    found: dict[bytes, int] = {}
    if not beginnings.size:
        return found
    starts, ends = tokens.spans
    for first in range(0, tokens.count, PIECE_TOKENS):
        piece = slice(first, first + PIECE_TOKENS)
        begin, end = starts[piece].astype(np.int64), ends[piece].astype(np.int64)
        heads = _eight_bytes(words, begin, np.minimum(end - begin, 8))
        nearest = np.minimum(np.searchsorted(beginnings, heads), beginnings.size - 1)
        for number in (np.flatnonzero(beginnings[nearest] == heads) + first).tolist():
            text = tokens.string(number)
            if text in wanted:
                found[text] = number
    return found


def _words_at_every_place(tokens: ArrayValue) -> Words:
    """Every place of the source as the number that its next eight bytes make, without a copy."""
    return np.ndarray((len(tokens.source) - 7,), dtype="<u8", buffer=tokens.source, strides=(1,))


def _eight_bytes(words: Words, places: NDArray[np.int64], lengths: NDArray[np.int64]) -> Words:
    """Up to eight bytes from each place, as one number; what follows the text is cut off."""
    at = np.minimum(places, len(words) - 1)
    beyond = np.minimum(places - at, 7).astype(np.uint64)
    return (words[at] >> (beyond * np.uint64(8))) & FIRST_BYTES[lengths]
