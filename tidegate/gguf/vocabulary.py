"""Rules about the tokenizer: arrays agree with each other, special tokens exist and do what they must."""

from collections.abc import Iterator

from tidegate.gguf.architecture import BYTE_LEVEL, LANGUAGE_MODELS, PRE_TOKENIZERS, TOKENIZERS
from tidegate.gguf.findings import Finding, Severity, quote
from tidegate.gguf.header import ArrayValue, Header, ValueType
from tidegate.gguf.limits import LIMITS
from tidegate.gguf.rules import finding
from tidegate.gguf.words import words

PREFIX = "tokenizer.ggml."
NO_VOCABULARY = frozenset({"no_vocab", "none"})
WITHOUT_MERGES = frozenset({"kimi-k2"})
USUAL_TOKEN_BYTES = 1024

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

# Texts with which turns end and begin in published models; compared without case.
ENDS = words(
    """
    </s> <eos> <|eos|> [eos] <|end|> <|im_end|> <|eot_id|> <|eom_id|> <|end_of_text|> <|endoftext|> <end_of_turn>
    <turn|> <|return|> <|call|> <|calls|> <|flush|> <eot> _<eot> [eot] <|eot|> <end_of_utterance> <|user|>
    <|end_of_turn|> <|end_of_turn_token|> <|endofturn|> <|eod_id|> <|eod|> <eod> <seed:eos> <|hy_eos|> <｜hy_eos｜>
    <|role_end|> <|observation|> <|assistant_end|> <end_of_text> <｜end▁of▁sentence｜> [e~[
    """
)
BEGINNINGS = words(
    """
    <s> <bos> <|bos|> [bos] <|begin_of_text|> <|startoftext|> <|im_start|> <start_of_turn> <bos_token> [inst]
    <|start|> <|begin▁of▁sentence|> <｜begin▁of▁sentence｜> <|start_header_id|> <|begin|> <|start_of_text|>
    """
)

MUST_EXIST = ("bos_token_id", "eos_token_id", "eot_token_id", "eom_token_id")
OTHER_IDS = ("unknown_token_id", "padding_token_id", "seperator_token_id", "mask_token_id")


def check_vocabulary(header: Header) -> Iterator[Finding]:
    """Everything about `tokenizer.ggml.*`; the chat template is judged elsewhere."""
    if header.architecture not in LANGUAGE_MODELS:
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
    texts = tokens.strings()
    kinds = header.array(PREFIX + "token_type")
    yield from _texts(tokens, texts)
    yield from _beside(header, tokens.count)
    yield from _merges(header, model)
    yield from _ids(header, tokens.count)
    numbers = kinds.numbers() if kinds is not None and kinds.count == tokens.count else ()
    yield from _kinds(kinds, numbers)
    yield from _bytes(model, texts, numbers)
    yield from _ends(header, texts, numbers)


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


def _texts(tokens: ArrayValue, texts: list[bytes]) -> Iterator[Finding]:
    if tokens.count > LIMITS.max_vocabulary:
        yield finding("V-EMPTY", f"The vocabulary has {tokens.count} tokens.", offset=tokens.offset)
    seen: dict[bytes, int] = {}
    for number, text in enumerate(texts):
        first = seen.setdefault(text, number)
        if first != number and text:
            message = f"Tokens {first} and {number} are both {quote(text)}."
            yield finding("V-DUP", message, offset=tokens.offset, subject=PREFIX + "tokens")
            break
    empty = [number for number, text in enumerate(texts) if not text]
    if empty:
        text = f"{len(empty)} tokens are empty, the first is {empty[0]}."
        yield finding("V-EMPTY", text, offset=tokens.offset, subject=PREFIX + "tokens")
    longest = max(texts, key=len)
    if len(longest) > USUAL_TOKEN_BYTES:
        level = Severity.ERROR if len(longest) > LIMITS.max_token_bytes else Severity.WARNING
        text = f"A token has {len(longest)} bytes."
        yield finding("V-EMPTY", text, offset=tokens.offset, subject=PREFIX + "tokens", severity=level)


def _beside(header: Header, count: int) -> Iterator[Finding]:
    for name, allowed in (("scores", (ValueType.F32,)), ("token_type", (ValueType.I32, ValueType.U32))):
        value = header.metadata.get(PREFIX + name)
        if value is None:
            continue
        array = header.array(PREFIX + name)
        if array is None or array.item_type not in allowed:
            shown = array.item_type.name if array else value.type.name
            text = f"{PREFIX}{name} has items of {shown} instead of {allowed[0].name}."
            yield finding("V-TYPE", text, offset=value.offset, subject=PREFIX + name)
        elif array.count != count:
            text = f"{PREFIX}{name} has {array.count} items for {count} tokens."
            yield finding("V-LEN", text, offset=array.offset, subject=PREFIX + name)


def _merges(header: Header, model: str) -> Iterator[Finding]:
    value = header.metadata.get(PREFIX + "merges")
    array = header.array(PREFIX + "merges")
    if value is None:
        if model == "gpt2" and header.text(PREFIX + "pre") not in WITHOUT_MERGES:
            yield finding("V-MISSING", "A byte-level tokenizer needs merges.", subject=PREFIX + "merges")
        return
    if array is None or array.item_type is not ValueType.STRING:
        yield finding("V-TYPE", "tokenizer.ggml.merges is no array of strings.", offset=value.offset,
                      subject=PREFIX + "merges")  # fmt: skip
        return
    for number, merge in enumerate(array.strings()):
        if b" " not in merge[1:-1]:
            text = f"Merge {number} is {quote(merge)}."
            yield finding("V-MERGE", text, offset=array.offset, subject=PREFIX + "merges")
            return


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


def _kinds(kinds: ArrayValue | None, numbers: tuple[int | float, ...]) -> Iterator[Finding]:
    wrong = sorted({number for number in numbers if not NORMAL <= number <= BYTE})
    if kinds is not None and wrong:
        text = f"Token types {wrong[:5]} do not exist."
        yield finding("V-KIND", text, offset=kinds.offset, subject=PREFIX + "token_type")


def _bytes(model: str, texts: list[bytes], numbers: tuple[int | float, ...]) -> Iterator[Finding]:
    if model != "llama" or not numbers:
        return
    missing = 256 - len({text for text in texts if len(text) == 6 and text.startswith(b"<0x")})
    if missing > 0:
        text = f"{missing} of 256 byte tokens are missing."
        yield finding("V-BYTES", text, subject=PREFIX + "tokens")


def _ends(header: Header, texts: list[bytes], numbers: tuple[int | float, ...]) -> Iterator[Finding]:
    """EOS must be a token that ends turns; BOS, where it is used, must exist and be a control token."""
    eos, bos = header.integer(PREFIX + "eos_token_id"), header.integer(PREFIX + "bos_token_id")
    key = PREFIX + "eos_token_id"
    if eos is None:
        yield finding("V-EOS", f"{key} is missing.", subject=key)
    elif eos < len(texts):
        yield from _end_token(header, eos, texts[eos], numbers)
    uses_bos = header.metadata.get(PREFIX + "add_bos_token")
    if bos is None:
        if uses_bos is not None and uses_bos.content is True:
            yield finding("V-BOS", "add_bos_token is true, but there is no bos_token_id.", subject=key)
    elif bos < len(numbers) and numbers[bos] not in (CONTROL, USER_DEFINED):
        text = f"The beginning-of-text token {quote(texts[bos])} has the type {numbers[bos]}."
        yield finding("V-BOS", text, subject=PREFIX + "bos_token_id")


def _end_token(header: Header, eos: int, raw: bytes, numbers: tuple[int | float, ...]) -> Iterator[Finding]:
    key = PREFIX + "eos_token_id"
    at = header.metadata[key].offset
    text = raw.decode("utf-8", "replace")
    is_known_end = text.lower() in ENDS
    kind = numbers[eos] if eos < len(numbers) else CONTROL
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
    elif not is_known_end:
        message = f"{quote(text)} (id {eos}) is not known as an end of turn."
        yield finding("V-EOS", message, offset=at, subject=key, severity=Severity.WARNING)
