"""Damaged, hostile and odd metadata."""

import struct
from collections.abc import Iterator
from dataclasses import replace

from tests.corpus.case import Case, good, reject, warn
from tests.corpus.models import BASES, llama
from tests.corpus.writer import (
    ARRAY,
    BOOL,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    STRING,
    U8,
    U16,
    U32,
    U64,
    File,
    Pair,
)  # fmt: skip

NAN, INF = float("nan"), float("inf")


def cases() -> Iterator[Case]:
    for name in ("llama", "qwen2", "gemma3", "mixtral"):
        yield from _damage(name, BASES[name]())
    yield from _keys(llama())
    yield from _odd(llama())
    yield from _not_finite()
    yield from _templates(llama())


def _damage(name: str, base: File) -> Iterator[Case]:
    """Values that lie about their type or length; most are published attacks on readers."""
    for kind in (13, 14, 255, 2**31, 2**32 - 1):
        yield reject(f"metadata/value-type-{kind}/{name}", base.raw("general.note", kind, bytes(8)), "K-TYPE")
        array = struct.pack("<IQ", kind, 1) + bytes(8)
        yield reject(f"metadata/item-type-{kind}/{name}", base.raw("general.note", ARRAY, array), "K-TYPE")
    for length in (2**64 - 1, 2**64 - 8, 2**63, 2**40, 10**6):
        raw = struct.pack("<Q", length) + b"text"
        yield reject(
            f"metadata/string-length-{length}/{name}", base.raw("general.note", STRING, raw), "K-STRLEN"
        )
        items = struct.pack("<IQ", STRING, 2) + struct.pack("<Q", 1) + b"a" + struct.pack("<Q", length)
        yield reject(
            f"metadata/item-length-{length}/{name}", base.raw("general.note", ARRAY, items), "K-STRLEN"
        )
        key = base.poke(lambda marks: marks.pairs["general.name"], struct.pack("<Q", length))
        yield reject(f"metadata/key-length-{length}/{name}", key, "K-STRLEN")
    for item, label in (
        (U8, "u8"),
        (U32, "u32"),
        (F32, "f32"),
        (F64, "f64"),
        (BOOL, "bool"),
        (STRING, "string"),
    ):
        for count in (2**64 - 1, 2**63, 2**61, 2**32, 2**30 + 1):
            raw = struct.pack("<IQ", item, count) + bytes(64)
            yield reject(
                f"metadata/array-of-{label}-{count}/{name}", base.raw("general.note", ARRAY, raw), "K-ARRLEN"
            )
    nest = struct.pack("<IQ", U8, 1) + b"\1"
    for depth in (1, 2, 60, 1500):
        nest = struct.pack("<IQ", ARRAY, 1) + nest
        if depth > 2:
            nest = (struct.pack("<IQ", ARRAY, 1) * depth) + struct.pack("<IQ", U8, 1) + b"\1"
        yield reject(f"metadata/nested-{depth}/{name}", base.raw("general.note", ARRAY, nest), "K-NEST")
    for byte in (2, 127, 255):
        yield reject(f"metadata/bool-{byte}/{name}", base.raw("general.flag", BOOL, bytes([byte])), "K-BOOL")
        flags = struct.pack("<IQ", BOOL, 3) + bytes([0, byte, 1])
        yield reject(f"metadata/bools-{byte}/{name}", base.raw("general.flags", ARRAY, flags), "K-BOOL")
    for pair in base.pairs[:4]:
        yield reject(f"metadata/twice-{pair.key}/{name}", base.add(pair), "K-DUP")
    yield reject(
        f"metadata/twice-other-value/{name}", base.add(Pair("tokenizer.chat_template", STRING, "x")), "K-DUP"
    )


def _keys(base: File) -> Iterator[Case]:
    yield reject("metadata/key-empty", base.add(Pair("", STRING, "x")), "K-KEYLEN")
    yield reject("metadata/key-long", base.add(Pair("k" * 65_536, STRING, "x")), "K-KEYLEN")
    yield good("sound/key-of-65535-bytes", base.add(Pair("k" * 65_535, STRING, "x")))
    for label, key in {
        "cyrillic": "general.n\u0430me", "traversal": "../../etc/passwd", "slash": "a/b", "space": "general name",
        "newline": "general.\nname", "nul": "general.name\0x", "escape": "general.\x1b[31m",
        "zero-width": "general.na\u200bme", "not-utf8": b"general.\xff\xfe",
    }.items():  # fmt: skip
        yield reject(f"metadata/key-{label}", base.add(Pair(key, STRING, "x")), "K-KEYCHAR")
    for key in ("General.Name2", "llama.Rope.note", "Tidegate.origin"):
        yield warn(f"metadata/key-case-{key}", base.add(Pair(key, STRING, "x")), "K-CASE")
    for key in ("general.base_model.0.repo-url", "a", "general.tag9", "quantize.imatrix.file"):
        yield good(f"sound/key-{key}", base.add(Pair(key, STRING, "x")))


def _odd(base: File) -> Iterator[Case]:
    yield warn("metadata/value-not-utf8", base.add(Pair("general.author", STRING, b"Ren\xe9")), "K-UTF8")
    yield warn("metadata/value-with-nul", base.add(Pair("general.author", STRING, "a\0b")), "K-NUL")
    yield warn("metadata/infinity-elsewhere", base.add(Pair("general.loss", F32, INF)), "K-NAN")
    for label, pair in {
        "empty-string": Pair("general.description", STRING, ""),
        "long-string": Pair("general.license.text", STRING, "words " * 20_000),
        "emoji": Pair("general.description", STRING, "\U0001f30a tide"),
        "newlines": Pair("general.description", STRING, "a\nb\tc\r\n"),
        "empty-array": Pair("general.tags", ARRAY, [], STRING),
        "empty-strings": Pair("general.tags", ARRAY, ["", ""], STRING),
        "tags": Pair("general.tags", ARRAY, ["text-generation", "gguf"], STRING),
        "u8": Pair("extra.u8", U8, 255),
        "i8": Pair("extra.i8", I8, -128),
        "u16": Pair("extra.u16", U16, 65_535),
        "i16": Pair("extra.i16", I16, -3),
        "i32": Pair("extra.i32", I32, -(2**31)),
        "u64": Pair("extra.u64", U64, 2**64 - 1),
        "i64": Pair("extra.i64", I64, -(2**63)),
        "f64": Pair("extra.f64", F64, 1e300),
        "bools": Pair("extra.bools", ARRAY, [0, 1, 1], BOOL),
        "floats": Pair("extra.floats", ARRAY, [0.5, 1e30], F32),
        "many-bytes": Pair("extra.bytes", ARRAY, list(range(256)) * 40, U8),
    }.items():
        yield good(f"sound/metadata-{label}", base.add(pair))
    yield good("sound/metadata-many-keys", base.add(*(Pair(f"extra.key_{n}", U32, n) for n in range(500))))
    yield good("sound/metadata-other-order", replace(base, pairs=tuple(reversed(base.pairs))))


def _templates(base: File) -> Iterator[Case]:
    key = "tokenizer.chat_template"
    yield reject("metadata/template-as-array", base.set(key, ARRAY, ["{{ ''.__class__ }}"]), "C-TYPE")
    yield reject("metadata/template-as-number", base.set(key, U32, 1), "C-TYPE")
    yield reject("metadata/template-not-utf8", base.set(key, STRING, b"{{ messages }}\xff"), "C-UNICODE")
    yield reject("metadata/template-missing", base.without(key), "C-MISSING")
    many = (Pair(f"{key}.{number}", STRING, base.get(key)) for number in range(100))
    yield reject("metadata/templates-by-the-hundred", base.add(*many), "C-SIZE")


def _not_finite() -> Iterator[Case]:
    numbers = {
        "llama": ("attention.layer_norm_rms_epsilon", "rope.freq_base"),
        "qwen2": ("attention.layer_norm_rms_epsilon", "rope.freq_base"),
        "gemma3": ("attention.layer_norm_rms_epsilon", "rope.freq_base"),
    }
    for name, suffixes in numbers.items():
        base = BASES[name]()
        for suffix in suffixes:
            for value in (NAN, INF, -INF):
                file = base.set(f"{name}.{suffix}", F32, value)
                yield reject(f"metadata/{suffix}-{value}/{name}", file, "K-NAN")
    base = llama()
    scores = [*base.get("tokenizer.ggml.scores")]
    for value in (NAN,):
        yield reject(
            "metadata/scores-nan",
            base.set("tokenizer.ggml.scores", ARRAY, [value, *scores[1:]], F32),
            "K-NAN",
        )
    yield reject("metadata/rope-scale-nan", base.set("llama.rope.scaling.factor", F32, NAN), "K-NAN")
    yield reject("metadata/f64-nan", base.set("general.note", F64, NAN), "K-NAN")
