"""Tokenizers whose parts disagree, and special tokens that do not do what they must."""

from collections.abc import Iterator

from tests.corpus.case import Case, good, reject, warn
from tests.corpus.models import BASES, T, llama
from tests.corpus.writer import ARRAY, F32, F64, I8, I32, I64, STRING, U8, U32, U64, File


def cases() -> Iterator[Case]:
    for name in ("llama", "qwen2", "gemma3", "deepseek2"):
        yield from _arrays(name, BASES[name]())
        yield from _specials(name, BASES[name]())
    yield from _merges(BASES["qwen2"]())
    yield from _odd(llama())


def _texts(file: File, change: dict[int, str | bytes]) -> File:
    return file.set(
        T + "tokens", ARRAY, [change.get(n, text) for n, text in enumerate(file.get(T + "tokens"))]
    )


def _kinds(file: File, change: dict[int, int]) -> File:
    kinds = [change.get(n, kind) for n, kind in enumerate(file.get(T + "token_type"))]
    return file.set(T + "token_type", ARRAY, kinds, I32)


def _arrays(name: str, base: File) -> Iterator[Case]:
    tokens = base.get(T + "tokens")
    count = len(tokens)
    for key in ("model", "tokens"):
        yield reject(f"tokenizer/without-{key}/{name}", base.without(T + key), "V-MISSING")
    yield reject(f"tokenizer/no-tokens/{name}", base.set(T + "tokens", ARRAY, []), "V-MISSING")
    yield reject(
        f"tokenizer/tokens-as-numbers/{name}",
        base.set(T + "tokens", ARRAY, list(range(count)), I32),
        "V-TYPE",
    )
    yield reject(f"tokenizer/tokens-as-text/{name}", base.set(T + "tokens", STRING, "a b c"))
    yield reject(f"tokenizer/one-token-less/{name}", base.set(T + "tokens", ARRAY, tokens[:-1]), "V-SIZE")
    yield reject(
        f"tokenizer/one-token-more/{name}", base.set(T + "tokens", ARRAY, [*tokens, "more"]), "V-SIZE"
    )
    yield reject(
        f"tokenizer/half-the-tokens/{name}", base.set(T + "tokens", ARRAY, tokens[: count // 2]), "V-SIZE"
    )
    for label, item in (("u8", U8), ("i8", I8), ("u32", U32), ("i64", I64), ("u64", U64)):
        file = base.set(T + "token_type", ARRAY, [1] * count, item)
        yield reject(f"tokenizer/types-as-{label}/{name}", file, "V-TYPE")
    yield warn(f"tokenizer/scores-as-i32/{name}", base.set(T + "scores", ARRAY, [0] * count, I32), "V-TYPE")
    for label, item in (("u8", U8), ("u32", U32), ("f64", F64)):
        yield reject(
            f"tokenizer/scores-as-{label}/{name}", base.set(T + "scores", ARRAY, [0] * count, item), "V-TYPE"
        )
    known = base.get(T + "token_type")
    short, long = known[:-1], [*known, 1]
    yield reject(f"tokenizer/types-too-few/{name}", base.set(T + "token_type", ARRAY, short, I32), "V-LEN")
    yield warn(f"tokenizer/types-too-many/{name}", base.set(T + "token_type", ARRAY, long, I32), "V-LEN")
    scores = [0.0] * count
    yield reject(f"tokenizer/scores-too-few/{name}", base.set(T + "scores", ARRAY, scores[:-1], F32), "V-LEN")
    yield warn(
        f"tokenizer/scores-too-many/{name}", base.set(T + "scores", ARRAY, [*scores, 0.0], F32), "V-LEN"
    )
    yield reject(f"tokenizer/types-empty/{name}", base.set(T + "token_type", ARRAY, [], I32), "V-LEN")
    yield reject(f"tokenizer/text-twice/{name}", _texts(base, {count - 2: tokens[count - 1]}), "V-DUP")
    yield reject(f"tokenizer/all-texts-equal/{name}", base.set(T + "tokens", ARRAY, ["x"] * count), "V-DUP")
    yield reject(f"tokenizer/text-of-70000-bytes/{name}", _texts(base, {100: "x" * 70_000}), "V-EMPTY")
    yield warn(f"tokenizer/type-0/{name}", _kinds(base, {100: 0}), "V-KIND")
    for kind in (7, 99, -1, 2**31 - 1):
        yield reject(f"tokenizer/type-{kind}/{name}", _kinds(base, {100: kind}), "V-KIND")
    for text in ("mystery", "", "LLAMA"):
        file = base.set(T + "model", STRING, text)
        yield reject(f"tokenizer/model-{text or 'empty'}/{name}", file, "V-MODEL")
    yield reject(f"tokenizer/model-none/{name}", base.set(T + "model", STRING, "none"), "V-MISSING")
    yield reject(f"tokenizer/model-as-number/{name}", base.set(T + "model", U32, 1), "S-KEYTYPE")


def _specials(name: str, base: File) -> Iterator[Case]:
    count = len(base.get(T + "tokens"))
    for key in ("bos_token_id", "eos_token_id", "eot_token_id"):
        for value in (count, count + 1, 2**31, 2**32 - 1):
            yield reject(f"tokenizer/{key}-{value}/{name}", base.set(T + key, U32, value), "V-RANGE")
    for key in (
        *("padding_token_id", "unknown_token_id", "seperator_token_id", "mask_token_id"),
        *("fim_pre_token_id", "fim_sep_token_id", "suffix_token_id"),
    ):
        for value in (count, 2**32 - 1):
            yield warn(f"tokenizer/{key}-{value}/{name}", base.set(T + key, U32, value), "V-RANGE")
    for label, kind, value in (("i32", I32, 2), ("u64", U64, 2), ("text", STRING, "</s>")):
        yield reject(
            f"tokenizer/eos-as-{label}/{name}", base.set(T + "eos_token_id", kind, value), "S-KEYTYPE"
        )
    yield reject(f"tokenizer/add_bos-as-number/{name}", base.set(T + "add_bos_token", U32, 1), "S-KEYTYPE")
    yield reject(f"tokenizer/without-eos/{name}", base.without(T + "eos_token_id"), "V-EOS")
    yield reject(f"tokenizer/eos-is-an-ordinary-token/{name}", base.set(T + "eos_token_id", U32, 70), "V-EOS")
    if name == "llama":
        yield reject("tokenizer/eos-is-bos", base.set(T + "eos_token_id", U32, 1), "V-EOS")
    else:
        beginning = next(
            (n for n, text in enumerate(base.get(T + "tokens")) if text in ("<|im_start|>", "<s>")), 0
        )
        yield reject(
            f"tokenizer/eos-begins-a-turn/{name}", base.set(T + "eos_token_id", U32, beginning), "V-EOS"
        )


def _merges(base: File) -> Iterator[Case]:
    merges = base.get(T + "merges")
    yield reject("tokenizer/without-merges", base.without(T + "merges"), "V-MISSING")
    yield reject("tokenizer/merges-as-numbers", base.set(T + "merges", ARRAY, [1, 2], I32), "V-TYPE")
    yield reject("tokenizer/merges-as-text", base.set(T + "merges", STRING, "t h"), "V-TYPE")
    for label, merge in (("no-space", "th"), ("empty", ""), ("only-space", " "), ("half", "t ")):
        yield reject(f"tokenizer/merge-{label}", base.set(T + "merges", ARRAY, [*merges, merge]), "V-MERGE")
    yield reject("tokenizer/pre-unknown", base.set(T + "pre", STRING, "no-such-tokenizer"), "V-MODEL")


def _odd(base: File) -> Iterator[Case]:
    count = len(base.get(T + "tokens"))
    yield warn("tokenizer/text-empty", _texts(base, {count - 1: ""}), "V-EMPTY")
    yield warn("tokenizer/text-of-other-bytes", _texts(base, {count - 1: b"\xff\xfe"}), "K-UTF8")
    yield good("tokenizer/text-of-200-bytes", _texts(base, {count - 1: "é" * 100}))
    yield warn("tokenizer/text-of-2000-bytes", _texts(base, {count - 1: "x" * 2000}), "V-EMPTY")
    yield warn("tokenizer/byte-token-missing", _texts(base, {70: "not a byte"}), "V-BYTES")
    yield warn("tokenizer/eos-with-another-type", _kinds(base, {2: 1}), "V-EOS")
    yield warn("tokenizer/bos-with-another-type", _kinds(base, {1: 1}), "V-BOS")
    yield warn("tokenizer/eos-of-unknown-text", _texts(base, {2: "<|never-seen|>"}), "V-EOS")
    own = "{% for m in messages %}{{ m.role }}: {{ m.content }}<|my-stop|>{% endfor %}"
    yield good(
        "sound/eos-of-a-text-of-its-own",
        _texts(base, {2: "<|my-stop|>"}).set("tokenizer.chat_template", STRING, own),
    )
    yield warn("tokenizer/add_bos-without-bos", base.without(T + "bos_token_id"), "V-BOS")
    yield good("sound/unused-tokens", _kinds(base, {count - 1: 5}))
    yield good("sound/user-defined-tokens", _kinds(base, {count - 1: 4}))
    yield good(
        "sound/without-scores", base.without(T + "scores", T + "token_type").set(T + "pre", STRING, "default")
    )
