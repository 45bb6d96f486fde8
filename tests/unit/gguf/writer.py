"""A small GGUF writer for tests: writes what it is told, also when that is wrong."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
FORMS = {
    U8: "B",
    I8: "b",
    U16: "H",
    I16: "h",
    U32: "I",
    I32: "i",
    F32: "f",
    BOOL: "B",
    U64: "Q",
    I64: "q",
    F64: "d",
}
TYPE_F32, TYPE_F16, TYPE_Q8_0, TYPE_Q4_K = 0, 1, 8, 12

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@dataclass(frozen=True)
class Pair:
    """One metadata entry; for arrays `kind` is ARRAY and `item` the type of the items."""

    key: str | bytes
    kind: int
    value: Any
    item: int = STRING


@dataclass(frozen=True)
class Stored:
    """One tensor with its bytes; `offset` overrides the right one."""

    name: str | bytes
    dims: tuple[int, ...]
    kind: int
    data: bytes
    offset: int | None = None


@dataclass(frozen=True)
class File:
    """A whole file, ready to be changed with `dataclasses.replace` and the helpers below."""

    pairs: tuple[Pair, ...]
    tensors: tuple[Stored, ...]
    version: int = 3
    alignment: int = 32
    tensor_count: int | None = None
    pair_count: int | None = None
    tail: bytes = field(default=b"")

    def with_pair(self, key: str, kind: int, value: Any, item: int = STRING) -> "File":
        new = Pair(key, kind, value, item)
        if any(pair.key == key for pair in self.pairs):
            return replace(self, pairs=tuple(new if pair.key == key else pair for pair in self.pairs))
        return replace(self, pairs=(*self.pairs, new))

    def without_pair(self, key: str) -> "File":
        return replace(self, pairs=tuple(pair for pair in self.pairs if pair.key != key))

    def with_tensor(self, name: str, /, **changes: Any) -> "File":
        assert any(tensor.name == name for tensor in self.tensors)
        tensors = (replace(tensor, **changes) if tensor.name == name else tensor for tensor in self.tensors)
        return replace(self, tensors=tuple(tensors))

    def without_tensor(self, name: str) -> "File":
        return replace(self, tensors=tuple(tensor for tensor in self.tensors if tensor.name != name))

    def head(self) -> bytes:
        """Header without padding."""
        parts = [b"GGUF", struct.pack("<I", self.version)]
        parts.append(struct.pack("<Q", len(self.tensors) if self.tensor_count is None else self.tensor_count))
        parts.append(struct.pack("<Q", len(self.pairs) if self.pair_count is None else self.pair_count))
        parts += [text(pair.key) + struct.pack("<I", pair.kind) + payload(pair) for pair in self.pairs]
        place = 0
        for tensor in self.tensors:
            offset = place if tensor.offset is None else tensor.offset
            parts.append(text(tensor.name) + struct.pack("<I", len(tensor.dims)))
            parts.append(struct.pack(f"<{len(tensor.dims)}Q", *tensor.dims))
            parts.append(struct.pack("<IQ", tensor.kind, offset))
            place += pad(len(tensor.data), self.alignment)
        return b"".join(parts)

    def encode(self) -> bytes:
        head = self.head()
        body = b"".join(t.data.ljust(pad(len(t.data), self.alignment), b"\0") for t in self.tensors)
        return head.ljust(pad(len(head), self.alignment), b"\0") + body + self.tail


def pad(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def payload(pair: Pair) -> bytes:
    if isinstance(pair.value, bytes) and pair.kind != STRING:
        return pair.value
    if pair.kind == STRING:
        return text(pair.value)
    if pair.kind == ARRAY:
        items: Sequence[Any] = pair.value
        head = struct.pack("<IQ", pair.item, len(items))
        if pair.item == STRING:
            return head + b"".join(text(item) for item in items)
        return head + struct.pack(f"<{len(items)}{FORMS[pair.item]}", *items)
    return struct.pack("<" + FORMS[pair.kind], pair.value)


def vocabulary(words: int = 5) -> tuple[list[str], list[int]]:
    """Texts and types: specials, 256 bytes, three roles and a few words."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{number:02X}>" for number in range(256))]
    kinds = [2, 3, 3, *[6] * 256]
    tokens += ["<|system|>", "<|user|>", "<|assistant|>", *(f"word{number}" for number in range(words))]
    return tokens, kinds + [3] * 3 + [1] * words


def tiny_llama(width: int = 32, blocks: int = 2, heads: int = 4, shared: int = 2, inner: int = 64) -> File:
    """A whole, valid, very small llama with random weights."""
    tokens, kinds = vocabulary()
    random = np.random.default_rng(7)

    def weight(*dims: int) -> bytes:
        return random.normal(0, 0.05, int(np.prod(dims))).astype("<f2").tobytes()

    def stored(name: str, *dims: int) -> Stored:
        if len(dims) == 1:
            return Stored(name, dims, TYPE_F32, np.ones(dims, "<f4").tobytes())
        return Stored(name, dims, TYPE_F16, weight(*dims))

    size = width // heads
    tensors = [stored("token_embd.weight", width, len(tokens))]
    for block in range(blocks):
        at = f"blk.{block}."
        tensors += [
            stored(at + "attn_norm.weight", width),
            stored(at + "attn_q.weight", width, width),
            stored(at + "attn_k.weight", width, size * shared),
            stored(at + "attn_v.weight", width, size * shared),
            stored(at + "attn_output.weight", width, width),
            stored(at + "ffn_norm.weight", width),
            stored(at + "ffn_gate.weight", width, inner),
            stored(at + "ffn_up.weight", width, inner),
            stored(at + "ffn_down.weight", inner, width),
        ]
    tensors.append(stored("output_norm.weight", width))
    return File(
        pairs=(
            Pair("general.architecture", STRING, "llama"),
            Pair("general.name", STRING, "tiny"),
            Pair("general.file_type", U32, 1),
            Pair("llama.context_length", U32, 256),
            Pair("llama.embedding_length", U32, width),
            Pair("llama.block_count", U32, blocks),
            Pair("llama.feed_forward_length", U32, inner),
            Pair("llama.attention.head_count", U32, heads),
            Pair("llama.attention.head_count_kv", U32, shared),
            Pair("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
            Pair("llama.rope.dimension_count", U32, size),
            Pair("llama.rope.freq_base", F32, 10000.0),
            Pair("tokenizer.ggml.model", STRING, "llama"),
            Pair("tokenizer.ggml.tokens", ARRAY, tokens, STRING),
            Pair("tokenizer.ggml.scores", ARRAY, [float(-place) for place in range(len(tokens))], F32),
            Pair("tokenizer.ggml.token_type", ARRAY, kinds, I32),
            Pair("tokenizer.ggml.bos_token_id", U32, 1),
            Pair("tokenizer.ggml.eos_token_id", U32, 2),
            Pair("tokenizer.ggml.unknown_token_id", U32, 0),
            Pair("tokenizer.ggml.add_bos_token", BOOL, 1),
            Pair("tokenizer.chat_template", STRING, TEMPLATE),
        ),
        tensors=tuple(tensors),
    )
