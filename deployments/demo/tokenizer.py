"""A SentencePiece-style tokenizer, as llama.cpp runs it for `tokenizer.ggml.model = llama`.

Encoding merges the adjacent pair whose text is the best-scored token, leftmost first, and falls back to
byte tokens. Training is plain byte-pair merging over words; the score of a merge is minus its rank.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise

SPACE = "\u2581"
UNKNOWN, BOS, EOS = 0, 1, 2
BYTE_OFFSET = 3
ROLES = ("system", "user", "assistant")
ROLE_OFFSET = BYTE_OFFSET + 256
TEXT_OFFSET = ROLE_OFFSET + len(ROLES)

NORMAL_TYPE, UNKNOWN_TYPE, CONTROL_TYPE, BYTE_TYPE = 1, 2, 3, 6

# No merge crosses these borders, so a digit stays a digit and a word never swallows its punctuation.
_WORD = re.compile(rf"{SPACE}?[A-Za-z]+|{SPACE}?[0-9]|{SPACE}?[^A-Za-z0-9{SPACE}]+|{SPACE}")


class Tokenizer:
    """Token texts with their scores and types; the order is the id."""

    def __init__(self, tokens: Sequence[str], scores: Sequence[float], types: Sequence[int]):
        self.tokens = tuple(tokens)
        self.scores = tuple(scores)
        self.types = tuple(types)
        self._rank = {
            text: (score, index)
            for index, (text, score, kind) in enumerate(zip(tokens, scores, types, strict=True))
            if kind == NORMAL_TYPE
        }
        self._encode_piece = lru_cache(maxsize=None)(self._merge)

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; role markers in it are text, as they are in a user's message."""
        pieces = _WORD.findall(text.replace(" ", SPACE))
        return [token for piece in pieces for token in self._encode_piece(piece)]

    def encode_whole(self, text: str) -> list[int]:
        """The same without cutting into words first: what llama.cpp does. Slower, and equal (tested)."""
        return list(self._merge(text.replace(" ", SPACE)))

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids; control tokens are left out."""
        raw = bytearray()
        for index in ids:
            if self.types[index] == BYTE_TYPE:
                raw.append(index - BYTE_OFFSET)
            elif self.types[index] == NORMAL_TYPE:
                raw += self.tokens[index].replace(SPACE, " ").encode()
        return raw.decode("utf-8", errors="replace")

    def _merge(self, text: str) -> tuple[int, ...]:
        symbols = list(text)
        while len(symbols) > 1:
            best = max(
                (
                    (self._rank[a + b][0], -place)
                    for place, (a, b) in enumerate(pairwise(symbols))
                    if a + b in self._rank
                ),
                default=None,
            )
            if best is None:
                break
            place = -best[1]
            symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]
        return tuple(token for symbol in symbols for token in self._ids(symbol))

    def _ids(self, symbol: str) -> list[int]:
        if symbol in self._rank:
            return [self._rank[symbol][1]]
        return [BYTE_OFFSET + byte for byte in symbol.encode("utf-8", errors="replace")]


def role_token(role: str) -> int:
    return ROLE_OFFSET + ROLES.index(role)


def train_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """Learn a vocabulary of exactly `size` tokens from texts (ties are broken by text, so it repeats)."""
    words = Counter(piece for text in texts for piece in _WORD.findall(text.replace(" ", SPACE)))
    characters = [SPACE, *(chr(code) for code in range(33, 127))]
    merges = _learn_merges(words, size - TEXT_OFFSET - len(characters), set(characters))
    head = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        *(f"<|{role}|>" for role in ROLES),
    ]
    types = [UNKNOWN_TYPE, CONTROL_TYPE, CONTROL_TYPE, *[BYTE_TYPE] * 256, *[CONTROL_TYPE] * len(ROLES)]
    learned = [*merges, *characters]
    return Tokenizer(
        tokens=[*head, *learned],
        scores=[*[0.0] * len(head), *(-float(rank) for rank in range(len(learned)))],
        types=[*types, *[NORMAL_TYPE] * len(learned)],
    )


def _learn_merges(words: Counter[str], wanted: int, known: set[str]) -> list[str]:
    split = {word: list(word) for word in words}
    counts: Counter[tuple[str, str]] = Counter()
    for word, symbols in split.items():
        _count(counts, symbols, words[word])
    merges: list[str] = []
    while len(merges) < wanted:
        a, b = max(counts, key=lambda pair: (counts[pair], pair), default=("", ""))
        if counts[a, b] == 0:
            raise ValueError(
                f"the texts hold only {len(merges)} merges, {wanted} are wanted: use a smaller vocabulary"
            )
        if a + b not in known:
            known.add(a + b)
            merges.append(a + b)
        for word, symbols in split.items():
            if a + b in word:
                _count(counts, symbols, -words[word])
                _apply(symbols, a, b)
                _count(counts, symbols, words[word])
    return merges


def _count(counts: Counter[tuple[str, str]], symbols: list[str], times: int) -> None:
    for pair in pairwise(symbols):
        counts[pair] += times


def _apply(symbols: list[str], a: str, b: str) -> None:
    place = 0
    while place < len(symbols) - 1:
        if symbols[place] == a and symbols[place + 1] == b:
            symbols[place : place + 2] = [a + b]
        place += 1
