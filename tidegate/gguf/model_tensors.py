"""Rules about which tensors a model has, their shapes, and types that abort the engine.

The tensors of `llama` are known exactly; for other architectures only what all of them share is checked.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tidegate.gguf.architecture import LANGUAGE_MODELS, LLAMA_LIKE
from tidegate.gguf.findings import Finding, quote
from tidegate.gguf.header import Header, TensorInfo
from tidegate.gguf.limits import LIMITS
from tidegate.gguf.rules import finding
from tidegate.gguf.tensor_types import FILE_TYPES, UNUSABLE_WEIGHTS

BLOCK_NAME = re.compile(r"^blk\.(\d{1,6})\.")
NEEDS_F32 = re.compile(r"(norm\.weight|\.bias|^rope_(freqs|factors_long|factors_short)\.weight)$")
QUANTIZATION_VERSION = 2
GUESSED_FILE_TYPE = 1024
PLAIN_TYPES = frozenset({"F32", "F16", "BF16", "F64"})


@dataclass(frozen=True, slots=True)
class Sizes:
    """The numbers from which the shapes of a dense or mixture `llama` follow."""

    width: int
    vocabulary: int
    blocks: int
    heads: tuple[int, ...]
    kv_heads: tuple[int, ...]
    feed_forward: tuple[int, ...]
    key_length: int
    value_length: int
    experts: int
    shared_feed_forward: int


def check_model_tensors(header: Header) -> Iterator[Finding]:
    """Missing, extra and misshapen tensors, types the engine cannot use, and the stated file type."""
    if header.architecture not in LANGUAGE_MODELS:
        return
    by_name = {tensor.name: tensor for tensor in header.tensors}
    yield from _usable_types(header)
    yield from _stated_type(header)
    yield from _embedding(header, by_name)
    sizes = _sizes(header)
    if header.architecture in LLAMA_LIKE and sizes is not None:
        yield from _exact(sizes, by_name)
    else:
        yield from _blocks(header, by_name)


def _usable_types(header: Header) -> Iterator[Finding]:
    for tensor in header.tensors:
        kind = tensor.type
        if kind is None:
            continue
        name, at = quote(tensor.name), tensor.info_offset
        if NEEDS_F32.search(tensor.name) and kind.name != "F32":
            yield finding("S-NORM", f"{name} is {kind.name} instead of F32.", offset=at, subject=tensor.name)
        elif kind.name in UNUSABLE_WEIGHTS and tensor.name.startswith(("blk.", "token_embd.", "output.")):
            yield finding("S-WEIGHT", f"{name} is {kind.name}.", offset=at, subject=tensor.name)


def _stated_type(header: Header) -> Iterator[Finding]:
    weights = Counter[str]()
    for tensor in header.tensors:
        if tensor.type is not None and len(tensor.dims) > 1:
            weights[tensor.type.name] += 1
    stated = header.integer("general.file_type")
    if stated is not None and weights:
        name = FILE_TYPES.get(stated % GUESSED_FILE_TYPE)
        # Quantizers fall back to another quantized type for rows that do not divide into blocks.
        is_fallback = name not in PLAIN_TYPES and not PLAIN_TYPES.issuperset(weights)
        if name is None or (name not in weights and not is_fallback):
            usual = weights.most_common(1)[0][0]
            text = f"general.file_type is {stated} ({name or 'unknown'}); most weights are {usual}."
            at = header.metadata["general.file_type"].offset
            yield finding("S-FTYPE", text, offset=at, subject="general.file_type")
    version = header.integer("general.quantization_version")
    is_quantized = any(tensor.type is not None and tensor.type.is_quantized for tensor in header.tensors)
    if is_quantized and version != QUANTIZATION_VERSION:
        shown = "missing" if version is None else str(version)
        yield finding(
            "S-QVER", f"general.quantization_version is {shown}.", subject="general.quantization_version"
        )


def _embedding(header: Header, by_name: dict[str, TensorInfo]) -> Iterator[Finding]:
    """The rows of the embedding are the vocabulary, its columns the width: true for every architecture."""
    embedding = by_name.get("token_embd.weight")
    if embedding is None:
        yield finding("S-MISSING", "token_embd.weight is missing.", subject="token_embd.weight")
        return
    tokens = header.array("tokenizer.ggml.tokens")
    columns, *other = embedding.dims
    rows = other[0] if other else 1
    if tokens is not None and rows != tokens.count:
        text = f"The embedding has {rows} rows, the tokenizer {tokens.count} tokens."
        yield finding("V-SIZE", text, offset=embedding.info_offset, subject="token_embd.weight")
    width = header.of_model("embedding_length")
    if width is not None and columns != width:
        text = f"token_embd.weight has {columns} columns; embedding_length is {width}."
        yield finding("S-SHAPE", text, offset=embedding.info_offset, subject="token_embd.weight")


def _blocks(header: Header, by_name: dict[str, TensorInfo]) -> Iterator[Finding]:
    """Each block has tensors, and there is no block beyond the count."""
    count = header.of_model("block_count") or 0
    found: set[int] = set()
    for name, tensor in by_name.items():
        match = BLOCK_NAME.match(name)
        if match is None:
            continue
        number = int(match[1])
        found.add(number)
        if number >= count:
            text = f"{quote(name)} belongs to block {number}; block_count is {count}."
            yield finding("S-EXTRA", text, offset=tensor.info_offset, subject=name)
    for number in range(min(count, LIMITS.max_blocks)):
        if number not in found:
            yield finding("S-MISSING", f"Block {number} has no tensors.", subject=f"blk.{number}")


def _sizes(header: Header) -> Sizes | None:
    """None when metadata is so incomplete that other rules have refused the file already."""
    width, blocks = header.of_model("embedding_length"), header.of_model("block_count")
    heads = header.per_block("attention.head_count")
    feed_forward = header.per_block("feed_forward_length", 0)
    usual = max(heads or (0,))
    if not width or not blocks or blocks > LIMITS.max_blocks or not heads or not feed_forward or usual < 1:
        return None
    kv_heads = header.per_block("attention.head_count_kv", usual)
    tokens = header.array("tokenizer.ggml.tokens")
    if not kv_heads or tokens is None:
        return None
    size = width // usual
    return Sizes(
        width=width,
        vocabulary=tokens.count,
        blocks=blocks,
        heads=heads,
        kv_heads=kv_heads,
        feed_forward=feed_forward,
        key_length=header.of_model("attention.key_length") or size,
        value_length=header.of_model("attention.value_length") or size,
        experts=header.of_model("expert_count") or 0,
        shared_feed_forward=header.of_model("expert_shared_feed_forward_length") or 0,
    )


Shapes = dict[str, tuple[int, ...]]


def _exact(sizes: Sizes, by_name: dict[str, TensorInfo]) -> Iterator[Finding]:
    required, optional = _shapes(sizes, by_name)
    for name, shape in required.items():
        if name not in by_name:
            yield finding("S-MISSING", f"{name} {list(shape)} is missing.", subject=name)
    known = required | optional
    for name, tensor in by_name.items():
        expected = known.get(name)
        if expected is None:
            if not name.endswith((".scale", ".input_scale")):
                text = f"{quote(name)} is not used by this architecture."
                yield finding("S-EXTRA", text, offset=tensor.info_offset, subject=name)
        elif _squeezed(tensor.dims) != _squeezed(expected):
            text = f"{quote(name)} has the shape {list(tensor.dims)} instead of {list(expected)}."
            yield finding("S-SHAPE", text, offset=tensor.info_offset, subject=name)


def _squeezed(dims: tuple[int, ...]) -> tuple[int, ...]:
    """Trailing dimensions of 1 mean nothing to the engine."""
    end = len(dims)
    while end > 1 and dims[end - 1] == 1:
        end -= 1
    return dims[:end]


def _shapes(sizes: Sizes, present: dict[str, TensorInfo]) -> tuple[Shapes, Shapes]:
    width, vocabulary = sizes.width, sizes.vocabulary
    required: Shapes = {"token_embd.weight": (width, vocabulary), "output_norm.weight": (width,)}
    rope = (sizes.key_length // 2,)
    optional: Shapes = {
        "output.weight": (width, vocabulary),
        "rope_freqs.weight": rope,
        "rope_factors_long.weight": rope,
        "rope_factors_short.weight": rope,
    }
    for block in range(sizes.blocks):
        attention, biases = _attention(sizes, block, present)
        required |= attention
        optional |= biases
        needed, extra = _experts(sizes, block) if sizes.experts else _dense(sizes, block)
        required |= needed
        optional |= extra
    return required, optional


def _attention(sizes: Sizes, block: int, present: dict[str, TensorInfo]) -> tuple[Shapes, Shapes]:
    at, width = f"blk.{block}.", sizes.width
    queries = sizes.key_length * sizes.heads[block]
    keys = sizes.key_length * sizes.kv_heads[block]
    values = sizes.value_length * sizes.kv_heads[block]
    needed: Shapes = {
        at + "attn_norm.weight": (width,),
        at + "attn_output.weight": (queries, width),
        at + "ffn_norm.weight": (width,),
    }
    extra: Shapes = {at + "attn_output.bias": (width,)}
    if at + "attn_qkv.weight" in present:
        needed[at + "attn_qkv.weight"] = (width, queries + keys + values)
        extra[at + "attn_qkv.bias"] = (queries + keys + values,)
        return needed, extra
    for name, size in (("attn_q", queries), ("attn_k", keys), ("attn_v", values)):
        needed[f"{at}{name}.weight"] = (width, size)
        extra[f"{at}{name}.bias"] = (size,)
    return needed, extra


def _dense(sizes: Sizes, block: int) -> tuple[Shapes, Shapes]:
    at, width, inner = f"blk.{block}.ffn_", sizes.width, sizes.feed_forward[block]
    needed: Shapes = {
        at + "gate.weight": (width, inner),
        at + "up.weight": (width, inner),
        at + "down.weight": (inner, width),
    }
    return needed, {at + "gate.bias": (inner,), at + "up.bias": (inner,), at + "down.bias": (width,)}


def _experts(sizes: Sizes, block: int) -> tuple[Shapes, Shapes]:
    at, width, inner, count = f"blk.{block}.ffn_", sizes.width, sizes.feed_forward[block], sizes.experts
    needed: Shapes = {
        at + "gate_inp.weight": (width, count),
        at + "gate_exps.weight": (width, inner, count),
        at + "up_exps.weight": (width, inner, count),
        at + "down_exps.weight": (inner, width, count),
    }
    shared = sizes.shared_feed_forward
    if not shared:
        return needed, {}
    return needed, {
        at + "gate_shexp.weight": (width, shared),
        at + "up_shexp.weight": (width, shared),
        at + "down_shexp.weight": (shared, width),
    }
