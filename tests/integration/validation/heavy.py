"""Files made to cost as much memory and time as a file of their kind can; each is a few megabytes to a hundred."""

import json
import struct
from collections.abc import Callable

from tests.unit.gguf.writer import ARRAY, STRING, U8, U32, U64, File, Pair, Stored, text, tiny_llama
from tests.unit.safetensors.writer import encode

MIB = 1024**2


def _strings(count: int, one: Callable[[int], bytes]) -> bytes:
    """The payload of a string array, without Python objects that outlive it."""
    items = b"".join(struct.pack("<Q", len(item)) + item for item in map(one, range(count)))
    return struct.pack("<IQ", STRING, count) + items


def _array(kind: int, count: int, size: int) -> bytes:
    return struct.pack("<IQ", kind, count) + bytes(count * size)


def _with(key: str, raw: bytes) -> bytes:
    return tiny_llama().with_pair(key, ARRAY, raw).encode()


def _template(source: str) -> bytes:
    return tiny_llama().with_pair("tokenizer.chat_template", STRING, source).encode()


def _weights(count: int) -> bytes:
    table = {
        f"t{place}": {"dtype": "U8", "shape": [1], "data_offsets": [place, place + 1]}
        for place in range(count)
    }
    return encode(table, bytes(count))


HEAVY: dict[str, Callable[[], bytes]] = {
    "one string of 39 MiB": lambda: tiny_llama().with_pair("general.notes", STRING, b"a" * (39 * MIB)).encode(),
    "one string of 30 MiB that is no UTF-8": lambda: tiny_llama().with_pair("x.y", STRING, b"\xff" * (30 * MIB)).encode(),
    "sixteen million bytes": lambda: _with("x.bytes", _array(U8, 16 * MIB, 1)),
    "five million u64": lambda: _with("x.numbers", _array(U64, 9 * MIB // 2, 8)),
    "four million empty tokens": lambda: _with("tokenizer.ggml.tokens", _strings(4 * MIB, lambda _: b"")),
    "a million tokens": lambda: _with("tokenizer.ggml.tokens", _strings(MIB, lambda place: b"%d" % place)),
    "two million equal tokens": lambda: _with("tokenizer.ggml.tokens", _strings(2 * MIB, lambda _: b"same")),
    "two million merges": lambda: _with("tokenizer.ggml.merges", _strings(2 * MIB, lambda place: b"a %d" % place)),
    "scores of eight million": lambda: _with("tokenizer.ggml.scores", _array(6, 8 * MIB, 4)),
    "65536 metadata keys": lambda: File(tuple(Pair(f"k.{place}", U32, 1) for place in range(65_536)), ()).encode(),
    "65536 tensors": lambda: File(
        tiny_llama().pairs, tuple(Stored(f"t.{place}", (1,), 0, bytes(4)) for place in range(65_536))
    ).encode(),
    "65536 equal tensors": lambda: File(
        tiny_llama().pairs, tuple(Stored("t", (1,), 0, bytes(4)) for _ in range(65_536))
    ).encode(),
    "header that never ends": lambda: b"GGUF" + struct.pack("<IQQ", 3, 1, 2**15) + (text("a.b") + b"\x08\0\0\0") * 9999,
    "template with depth": lambda: _template("{{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}"),
    "template of many tags": lambda: _template("{% if a %}b{% endif %}" * 11_000),
    "template of many filters": lambda: _template("{{ a" + "|trim" * 40_000 + " }}"),
    "template of constant folding": lambda: _template("{{ ('a' * 9999999999) ~ (9 ** 9 ** 9) }}"),
    "safetensors: sixteen MiB of values": lambda: encode('{"a":[' + "0," * (8 * MIB - 100), b""),
    "safetensors: one string": lambda: encode('{"' + "a" * (16 * MIB - 8) + '":1}', b""),
    "safetensors: wide characters": lambda: encode('{"' + "\U0001f600" * (4 * MIB - 8) + '":1}', b""),
    "safetensors: 65536 tensors": lambda: _weights(65_536),
    "safetensors: too many tensors": lambda: _weights(200_000),
    "safetensors: deep": lambda: encode('{"a":' * (3 * MIB), b""),
    "safetensors: many metadata": lambda: encode(json.dumps({"__metadata__": {str(n): "" for n in range(900_000)}}), b""),
    "pickle of nested marks": lambda: b"\x80\x04" + b"(" * (8 * MIB),
}  # fmt: skip
