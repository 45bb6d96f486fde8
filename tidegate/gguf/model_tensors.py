"""Rules about which tensors a model has, their shapes, and types that abort the engine.

For the architectures of `architecture_tensors.py` the tensors are known exactly; for the others only what all of
them share is checked.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator

from tidegate.gguf.architecture_tensors import WANTED, Row
from tidegate.gguf.findings import Finding, quote
from tidegate.gguf.header import Header, TensorInfo
from tidegate.gguf.kind import is_whole_model
from tidegate.gguf.limits import LIMITS
from tidegate.gguf.model_sizes import Sizes, evaluate, sizes_of
from tidegate.gguf.rules import finding
from tidegate.gguf.tensor_types import FILE_TYPES, UNUSABLE_WEIGHTS

BLOCK_NAME = re.compile(r"^blk\.(\d{1,6})\.")
NEEDS_F32 = re.compile(r"(norm\.weight|\.bias|^rope_(freqs|factors_long|factors_short)\.weight)$")
# Beside any weight: the numbers by which NVFP4 weights and their inputs are scaled.
QUANTIZATION_SCALES = (".scale", ".input_scale")
QUANTIZATION_VERSION = 2
GUESSED_FILE_TYPE = 1024
PLAIN_TYPES = frozenset({"F32", "F16", "BF16", "F64"})


def check_model_tensors(header: Header) -> Iterator[Finding]:
    """Missing, extra and misshapen tensors, types the engine cannot use, and the stated file type."""
    if not is_whole_model(header) or not header.tensors:
        return
    by_name = {tensor.name: tensor for tensor in header.tensors}
    yield from _usable_types(header)
    yield from _stated_type(header)
    yield from _embedding(header, by_name)
    wanted, sizes = WANTED.get(header.architecture), sizes_of(header)
    if wanted is not None and sizes is not None:
        yield from _exact(wanted, sizes, by_name)
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


Shapes = dict[str, tuple[int, ...]]


def _exact(wanted: tuple[Row, ...], sizes: Sizes, by_name: dict[str, TensorInfo]) -> Iterator[Finding]:
    required, optional = _shapes(wanted, sizes, by_name)
    for name, shape in required.items():
        if name not in by_name:
            yield finding("S-MISSING", f"{name} {list(shape)} is missing.", subject=name)
    known = required | optional
    for name, tensor in by_name.items():
        expected = known.get(name)
        if expected is None:
            if not name.endswith(QUANTIZATION_SCALES):
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


def _shapes(wanted: tuple[Row, ...], sizes: Sizes, present: Collection[str]) -> tuple[Shapes, Shapes]:
    """Names and shapes that must be there, and those that may."""
    required: Shapes = {}
    optional: Shapes = {}
    shapes = [(row, tuple(evaluate(dim, sizes) for dim in row.dims)) for row in wanted]
    for row, dims in shapes:
        if not all(dims):
            continue
        for at in _places(row, sizes):
            if row.name == "qkv":
                _add_attention(at, dims, required, optional, present)
            elif row.name == "gate_up_exps":
                _add_experts(at, dims, required, present)
            else:
                (optional if row.is_optional else required)[at + row.name] = dims
    return required, optional


def _places(row: Row, sizes: Sizes) -> list[str]:
    if row.where == ".":
        return [""]
    dense = min(sizes["dense_blocks"], sizes["blocks"])
    first, last = {"d": (0, dense), "e": (dense, sizes["blocks"])}.get(row.where, (0, sizes["blocks"]))
    return [f"blk.{block}." for block in range(first, last)]


def _add_attention(
    at: str, dims: tuple[int, ...], required: Shapes, optional: Shapes, present: Collection[str]
) -> None:
    """One fused matrix, or three; biases beside either, as the loader takes them."""
    width, *parts = dims
    is_fused = at + "attn_qkv.weight" in present
    if is_fused:
        required[at + "attn_qkv.weight"] = (width, sum(parts))
        optional[at + "attn_qkv.bias"] = (sum(parts),)
    for name, size in zip(("attn_q", "attn_k", "attn_v"), parts, strict=True):
        if not is_fused:
            required[f"{at}{name}.weight"] = (width, size)
        optional[f"{at}{name}.bias"] = (size,)


def _add_experts(at: str, dims: tuple[int, ...], required: Shapes, present: Collection[str]) -> None:
    width, inner, count = dims
    if at + "ffn_gate_up_exps.weight" in present:
        required[at + "ffn_gate_up_exps.weight"] = (width, 2 * inner, count)
        return
    required[at + "ffn_gate_exps.weight"] = required[at + "ffn_up_exps.weight"] = dims
