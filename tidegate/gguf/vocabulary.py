"""Rules about the tokenizer: arrays agree with each other, special tokens exist and do what they must."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tidegate.gguf.architecture import BYTE_LEVEL, LANGUAGE_MODELS, PRE_TOKENIZERS, TOKENIZERS
from tidegate.gguf.findings import Finding, Severity, bounded, quote
from tidegate.gguf.header import ArrayValue, Header, ValueType
from tidegate.gguf.kind import is_whole_model
from tidegate.gguf.limits import LIMITS
from tidegate.gguf.rules import finding
from tidegate.gguf.token_search import equal_pair
from tidegate.gguf.words import words

PREFIX = "tokenizer.ggml."
NO_VOCABULARY = frozenset({"no_vocab", "none"})
WITH_MERGES = BYTE_LEVEL | {"gemma4"}
WITHOUT_MERGES = frozenset({"kimi-k2"})
PHI3_TOKENS = frozenset({b"</s>", b"<unk>", b"<s>", b"<|endoftext|>"})
BYTE_TOKENS = frozenset(f"<0x{byte:02X}>".encode() for byte in range(256))
USUAL_TOKEN_BYTES = 1024
MOST_BYTE_TOKENS = 65_536
STRETCH_BYTES = 512 * 1024
PIECE_BYTES = 1024**2
SPACE = ord(" ")

Kinds = NDArray[np.int64]

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

# Texts with which turns end and begin in published models; compared without case.
ENDS = words(
    """
    </s> <eos> <|eos|> [eos] <|end|> <|im_end|> <|eot_id|> <|eom_id|> <|end_of_text|> <|endoftext|> <end_of_turn>
    <turn|> <|return|> <|call|> <|calls|> <|flush|> <eot> _<eot> [eot] <|eot|> <end_of_utterance> <|user|>
    <|end_of_turn|> <|end_of_turn_token|> <|endofturn|> <|eod_id|> <|eod|> <eod> <seed:eos> <|hy_eos|> <｜hy_eos｜>
    <|role_end|> <|observation|> <|assistant_end|> <end_of_text> <｜end▁of▁sentence｜> [e~[ [|endofturn|] <|turn_end|>
    <|separator|> <|endofresponse|> <|end_of_sentence|> <|plamo:eos|> <|plamo:op|> <｜hy_place▁holder▁no▁2｜> <|stop|>
    """
)
BEGINNING_WORDS = (
    "start",
    "begin",
    "bos",
    "user",
    "system",
    "assistant",
    "human",
    "inst",
    "sep",
    "tool",
    "think",
)
BEGINNINGS = words(
    """
    <s> <bos> <|bos|> [bos] <|begin_of_text|> <|startoftext|> <|im_start|> <start_of_turn> <bos_token> [inst]
    <|start|> <|begin▁of▁sentence|> <｜begin▁of▁sentence｜> <|start_header_id|> <|begin|> <|start_of_text|>
    """
)

MUST_EXIST = ("bos_token_id", "eos_token_id", "eot_token_id", "eom_token_id")
# The engine warns of these and goes on without them; the last three are older names of the first of the middle.
OTHER_IDS = (
    *("unknown_token_id", "padding_token_id", "seperator_token_id", "mask_token_id", "cls_token_id"),
    *("fim_pre_token_id", "fim_suf_token_id", "fim_mid_token_id"),
    *("fim_pad_token_id", "fim_rep_token_id", "fim_sep_token_id"),
    *("prefix_token_id", "suffix_token_id", "middle_token_id"),
)


@bounded
def check_vocabulary(header: Header) -> Iterator[Finding]:
    """Everything about `tokenizer.ggml.*`; the chat template is judged elsewhere."""
    if not is_whole_model(header):
        return
    model = header.text(PREFIX + "model")
    if model is None:
        yield finding("V-MISSING", "tokenizer.ggml.model is missing.", subject=PREFIX + "model")
        return
    yield from _known(header, model)
    tokens = header.array(PREFIX + "tokens")
    if tokens is None or tokens.count == 0 or model in NO_VOCABULARY:
        yield finding("V-MISSING", "The file has no tokens.", subject=PREFIX + "tokens")
        return
    if tokens.item_type is not ValueType.STRING:
        text = f"tokenizer.ggml.tokens is an array of {tokens.item_type.name}."
        yield finding("V-TYPE", text, offset=tokens.offset, subject=PREFIX + "tokens")
        return
    if tokens.count > LIMITS.max_vocabulary:
        text = f"The vocabulary has {tokens.count} tokens; the largest known have a quarter of a million."
        yield finding("V-HUGE", text, offset=tokens.offset, subject=PREFIX + "tokens")
        return
    kinds = _kinds_of(header, tokens.count)
    yield from _texts(tokens)
    yield from _beside(header, tokens.count)
    yield from _merges(header, model)
    yield from _ids(header, tokens.count)
    yield from _kinds(header, kinds)
    yield from _bytes(model, tokens, kinds)
    if header.architecture in LANGUAGE_MODELS:
        yield from _ends(header, tokens, kinds)
    yield from _of_name(header, tokens)


def _kinds_of(header: Header, count: int) -> Kinds:
    """Types of all tokens, or none when there are not as many as tokens."""
    kinds = header.array(PREFIX + "token_type")
    if kinds is None or kinds.count < count or kinds.item_type not in (ValueType.I32, ValueType.U32):
        return np.empty(0, dtype=np.int64)
    return kinds.numeric()[:count].astype(np.int64)


def _known(header: Header, model: str) -> Iterator[Finding]:
    if model not in TOKENIZERS:
        at = header.metadata[PREFIX + "model"].offset
        yield finding(
            "V-MODEL", f"tokenizer.ggml.model is {quote(model)}.", offset=at, subject=PREFIX + "model"
        )
    pre = header.text(PREFIX + "pre")
    if pre and model in BYTE_LEVEL and pre not in PRE_TOKENIZERS:
        at = header.metadata[PREFIX + "pre"].offset
        yield finding("V-MODEL", f"tokenizer.ggml.pre is {quote(pre)}.", offset=at, subject=PREFIX + "pre")


def _texts(tokens: ArrayValue) -> Iterator[Finding]:
    subject = PREFIX + "tokens"
    pair = equal_pair(tokens)
    if pair is not None:
        first, second = pair
        text = f"Tokens {first} and {second} are both {quote(tokens.string(first))}."
        yield finding("V-DUP", text, offset=int(tokens.spans[0][second]), subject=subject)
    lengths = tokens.lengths
    empty = np.flatnonzero(lengths == 0)
    if empty.size:
        text = f"{empty.size} tokens are empty, the first is {int(empty[0])}."
        yield finding("V-EMPTY", text, offset=int(tokens.spans[0][empty[0]]), subject=subject)
    longest = int(lengths.argmax())
    size = int(lengths[longest])
    if size > USUAL_TOKEN_BYTES:
        level = Severity.ERROR if size > LIMITS.max_token_bytes else Severity.WARNING
        text = f"Token {longest} has {size} bytes."
        at = int(tokens.spans[0][longest])
        yield finding("V-EMPTY", text, offset=at, subject=subject, severity=level)
        if level is Severity.ERROR:
            return
    wrong = _first_not_utf8(tokens)
    if wrong is not None:
        text = f"Token {wrong} is not UTF-8: {quote(tokens.string(wrong))}."
        yield finding("K-UTF8", text, offset=int(tokens.spans[0][wrong]), subject=subject)


def _first_not_utf8(tokens: ArrayValue) -> int | None:
    """Number of the first token that is no UTF-8.

    Tokens are looked at in one stretch of the file: the lengths between them are text as well unless a token has
    128 bytes or more. Only a stretch that fails is taken apart.
    """
    starts, ends = tokens.spans
    first = 0
    while first < tokens.count:
        begin = int(starts[first])
        after = max(first + 1, int(np.searchsorted(ends, begin + STRETCH_BYTES)))
        if not _is_utf8(tokens.source[begin : int(ends[after - 1])]):
            for number, text in enumerate(tokens.strings(first, after), first):
                if not _is_utf8(text):
                    return number
        first = after
    return None


def _is_utf8(text: bytes | bytearray | memoryview) -> bool:
    try:
        str(text, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _beside(header: Header, count: int) -> Iterator[Finding]:
    for name, wanted in (("scores", ValueType.F32), ("token_type", ValueType.I32)):
        value = header.metadata.get(PREFIX + name)
        if value is None:
            continue
        array = header.array(PREFIX + name)
        if array is None or array.item_type is not wanted:
            shown = array.item_type.name if array else value.type.name
            # This version of the engine takes whole numbers as scores; older ones read them as fractions.
            is_odd = name == "scores" and shown == ValueType.I32.name
            level = Severity.WARNING if is_odd else Severity.ERROR
            text = f"{PREFIX}{name} has items of {shown} instead of {wanted.name}."
            yield finding("V-TYPE", text, offset=value.offset, subject=PREFIX + name, severity=level)
        elif array.count != count:
            # The engine reads as many as there are tokens: too few end the load, too many are left over.
            level = Severity.ERROR if array.count < count else Severity.WARNING
            text = f"{PREFIX}{name} has {array.count} items for {count} tokens."
            yield finding("V-LEN", text, offset=array.offset, subject=PREFIX + name, severity=level)


def _merges(header: Header, model: str) -> Iterator[Finding]:
    value = header.metadata.get(PREFIX + "merges")
    array = header.array(PREFIX + "merges")
    if value is None:
        if model in WITH_MERGES and header.text(PREFIX + "pre") not in WITHOUT_MERGES:
            yield finding("V-MISSING", "A byte-level tokenizer needs merges.", subject=PREFIX + "merges")
        return
    if array is None or array.item_type is not ValueType.STRING:
        yield finding("V-TYPE", "tokenizer.ggml.merges is no array of strings.", offset=value.offset,
                      subject=PREFIX + "merges")  # fmt: skip
        return
    number = _first_not_two(array)
    if number is not None:
        text = f"Merge {number} is {quote(array.string(number))}."
        at = int(array.spans[0][number])
        yield finding("V-MERGE", text, offset=at, subject=PREFIX + "merges")


def _first_not_two(merges: ArrayValue) -> int | None:
    """The first merge without a space between two pieces. Looks for spaces in all merges at once."""
    if not merges.count:
        return None
    starts, ends = merges.spans
    raw = np.frombuffer(merges.source, dtype=np.uint8)[: merges.end]
    has_space = np.zeros(merges.count, dtype=bool)
    for first in range(merges.offset, merges.end, PIECE_BYTES):
        spaces = np.flatnonzero(raw[first : first + PIECE_BYTES] == SPACE) + first
        owners = np.searchsorted(starts, spaces, side="right") - 1
        # Before the first start and between an end and the next start stand lengths, not text.
        spaces, owners = spaces[owners >= 0], owners[owners >= 0]
        is_inside = (spaces > starts[owners]) & (spaces + 1 < ends[owners])
        has_space[owners[is_inside]] = True
    wrong = np.flatnonzero(~has_space)
    return int(wrong[0]) if wrong.size else None


def _ids(header: Header, count: int) -> Iterator[Finding]:
    for name in (*MUST_EXIST, *OTHER_IDS):
        key = PREFIX + name
        number = header.integer(key)
        if number is None or 0 <= number < count:
            continue
        # Published conversions point the padding one past the end; the engine then does without.
        level = Severity.ERROR if name in MUST_EXIST else Severity.WARNING
        text = f"{key} is {number}; the vocabulary has {count} tokens."
        yield finding("V-RANGE", text, offset=header.metadata[key].offset, subject=key, severity=level)


def _kinds(header: Header, kinds: Kinds) -> Iterator[Finding]:
    wrong = kinds[(kinds < NORMAL) | (kinds > BYTE)]
    if wrong.size:
        # The engine treats all of these as tokens without a type; only 0 has a name in its source.
        level = Severity.WARNING if not wrong.any() else Severity.ERROR
        text = f"Token types {np.unique(wrong)[:5].tolist()} do not exist."
        at = header.metadata[PREFIX + "token_type"].offset
        yield finding("V-KIND", text, offset=at, subject=PREFIX + "token_type", severity=level)


def _bytes(model: str, tokens: ArrayValue, kinds: Kinds) -> Iterator[Finding]:
    if model != "llama" or not kinds.size:
        return
    places = np.flatnonzero(tokens.lengths == len(b"<0x00>"))
    names = {tokens.string(number) for number in places[:MOST_BYTE_TOKENS].tolist()}
    missing = 256 - len(names & BYTE_TOKENS)
    if missing > 0:
        text = f"{missing} of 256 byte tokens are missing."
        yield finding("V-BYTES", text, subject=PREFIX + "tokens")


def _ends(header: Header, tokens: ArrayValue, kinds: Kinds) -> Iterator[Finding]:
    """EOS must be a token that ends turns; BOS, where it is used, must exist and be a control token."""
    eos, bos = header.integer(PREFIX + "eos_token_id"), header.integer(PREFIX + "bos_token_id")
    key = PREFIX + "eos_token_id"
    if eos is None:
        yield finding("V-EOS", f"{key} is missing.", subject=key)
    elif 0 <= eos < tokens.count:
        yield from _end_token(header, eos, tokens.string(eos), kinds)
    uses_bos = header.metadata.get(PREFIX + "add_bos_token")
    if bos is None:
        if uses_bos is not None and uses_bos.content is True:
            yield finding("V-BOS", "add_bos_token is true, but there is no bos_token_id.", subject=key)
    elif 0 <= bos < len(kinds) and kinds[bos] not in (CONTROL, USER_DEFINED):
        text = f"The beginning-of-text token {quote(tokens.string(bos))} has the type {kinds[bos]}."
        yield finding("V-BOS", text, subject=PREFIX + "bos_token_id")


def _end_token(header: Header, eos: int, raw: bytes, kinds: Kinds) -> Iterator[Finding]:
    key = PREFIX + "eos_token_id"
    at = header.metadata[key].offset
    text = raw.decode("utf-8", "replace")
    is_known_end = text.lower() in ENDS
    kind = int(kinds[eos]) if eos < len(kinds) else CONTROL
    if text.lower() in BEGINNINGS:
        message = f"The end token {quote(text)} (id {eos}) is one that begins text; answers would not end."
        yield finding("V-EOS", message, offset=at, subject=key)
    elif kind in (BYTE, UNKNOWN, UNUSED) or (kind == NORMAL and not is_known_end):
        message = f"The end token {quote(text)} (id {eos}) is an ordinary token, not a control token."
        yield finding("V-EOS", message, offset=at, subject=key)
    elif kind != CONTROL and not (kind == USER_DEFINED and is_known_end):
        message = f"The end token {quote(text)} (id {eos}) has the type {kind} instead of {CONTROL}."
        yield finding("V-EOS", message, offset=at, subject=key, severity=Severity.WARNING)
    elif not is_known_end and eos == header.integer(PREFIX + "bos_token_id"):
        message = f"{quote(text)} (id {eos}) is both the beginning and the end."
        yield finding("V-EOS", message, offset=at, subject=key)
    elif not is_known_end and not _ends_a_turn(header, text):
        message = f"{quote(text)} (id {eos}) is not known as an end of turn."
        yield finding("V-EOS", message, offset=at, subject=key, severity=Severity.WARNING)


def _ends_a_turn(header: Header, text: str) -> bool:
    """Whether the chat template writes a token of the model's own, unless its name says that it begins something."""
    template = header.text("tokenizer.chat_template") or ""
    return text in template and not any(word in text.lower() for word in BEGINNING_WORDS)


def _of_name(header: Header, tokens: ArrayValue) -> Iterator[Finding]:
    """A quirk of the engine: it looks up tokens of Phi-3 in every model that has its name, and ends without them."""
    name = (header.text("general.name") or "").lower()
    if "phi-3" not in name and "phi3" not in name:
        return
    present = set(tokens.strings())
    missing = sorted(PHI3_TOKENS - present)
    if missing:
        text = f"The name {quote(name)} makes the engine look for {b', '.join(missing).decode()}; it ends without."
        yield finding("V-MISSING", text, subject="general.name")
