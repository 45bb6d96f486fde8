"""LoRA adapters in GGUF: what llama.cpp asks of them when it loads one, and what it finds out too late.

An adapter has no layers, vocabulary or template of its own, so the rules for models do not hold for it.
"""

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from tidegate.gguf.architecture import LANGUAGE_MODELS
from tidegate.gguf.findings import Finding, Severity, quote
from tidegate.gguf.header import Header, TensorInfo, ValueType
from tidegate.gguf.rules import finding

A_SUFFIX, B_SUFFIX = ".lora_a", ".lora_b"
IGNORED_SUFFIX = "_norm.weight"
EMBEDDING = "token_embd.weight"
LARGEST_RANK = 1024
UNUSUAL_SCALE = 64.0
USABLE_TYPES = frozenset({"F32", "F16", "BF16", "Q8_0"})
INVOCATION_KEY = "adapter.alora.invocation_tokens"


def is_adapter(header: Header) -> bool:
    """Whether the file says that it is an adapter; everything else is judged as a model."""
    return header.text("general.type") == "adapter"


@dataclass(slots=True)
class _Pair:
    a: TensorInfo | None = None
    b: TensorInfo | None = None


def check_adapter(header: Header) -> Iterator[Finding]:
    """Metadata, pairs and ranks of an adapter by itself."""
    yield from _check_metadata(header)
    pairs, others = _pairs(header)
    for tensor in others:
        if not tensor.name.endswith(IGNORED_SUFFIX):
            text = f"Tensor {quote(tensor.name)} ends in neither {A_SUFFIX} nor {B_SUFFIX}."
            yield finding("AD-TENSOR", text, offset=tensor.info_offset, subject=tensor.name)
    if header.tensors and not pairs:
        yield finding("AD-PAIR", "The file holds no LoRA matrices.", offset=header.header_bytes)
    ranks: set[int] = set()
    for name, pair in pairs.items():
        yield from _check_pair(name, pair)
        if pair.b is not None and len(pair.b.dims) > 1 and name != EMBEDDING:
            ranks.add(pair.b.dims[0])
    yield from _check_alpha(header, min(ranks, default=1))


def check_adapter_on(adapter: Header, base: Header) -> Iterator[Finding]:
    """Whether an adapter fits a base model, by the headers of both."""
    if adapter.architecture != base.architecture:
        text = (
            f"The adapter is for {quote(adapter.architecture)}, the base model is {quote(base.architecture)}."
        )
        yield finding("AD-ARCH", text, subject="general.architecture")
    weights = {tensor.name: tensor for tensor in base.tensors}
    pairs, _ = _pairs(adapter)
    for name, pair in pairs.items():
        weight = weights.get(name)
        if weight is None:
            text = f"The base model has no tensor {quote(name)}."
            yield finding("AD-MODEL", text, offset=_place(pair), subject=name)
        elif pair.a is not None and pair.b is not None and not _fits(name, pair.a, pair.b, weight):
            text = (
                f"Matrices of shapes {list(pair.a.dims)} and {list(pair.b.dims)} do not fit {quote(name)} "
                f"of shape {list(weight.dims)}."
            )
            yield finding("AD-SHAPE", text, offset=_place(pair), subject=name)


def check_trained_file(header: Header, zero: Collection[str]) -> Iterator[Finding]:
    """Whether the B matrices of an adapter were trained; `zero` are the tensors of nothing but zeros."""
    matrices = [tensor.name for tensor in header.tensors if tensor.name.endswith(B_SUFFIX)]
    yield from check_trained([name for name in matrices if name in zero], matrices)


def check_trained(zero: Iterable[str], matrices: Iterable[str]) -> Iterator[Finding]:
    """What B matrices of nothing but zeros mean: all of them no training, some a question."""
    empty, every = sorted(zero), list(matrices)
    if empty and len(empty) == len(every):
        yield finding("AD-UNTRAINED", f"All {len(every)} B matrices hold nothing but zeros.")
    elif empty:
        text = f"{len(empty)} of {len(every)} B matrices hold nothing but zeros, {quote(empty[0])} first."
        yield finding("AD-UNTRAINED", text, subject=empty[0], severity=Severity.WARNING)


def _check_metadata(header: Header) -> Iterator[Finding]:
    for key in ("general.type", "adapter.type", "general.architecture"):
        value = header.metadata.get(key)
        if value is not None and value.type is not ValueType.STRING:
            text = f"{key} is {value.type.name}; reading it aborts the engine."
            yield finding("AD-KIND", text, offset=value.offset, subject=key)
    kind = header.text("adapter.type")
    if kind != "lora":
        shown = "is missing" if kind is None else f"is {quote(kind)}"
        yield finding("AD-KIND", f"adapter.type {shown}; only lora is known.", subject="adapter.type")
    if header.architecture not in LANGUAGE_MODELS:
        text = f"The architecture {quote(header.architecture)} is not one that the engine knows."
        yield finding("AD-ARCH", text, subject="general.architecture")
    tokens = header.metadata.get(INVOCATION_KEY)
    array = header.array(INVOCATION_KEY)
    if tokens is not None and (array is None or array.item_type is not ValueType.U32):
        yield finding("AD-TOKENS", f"{INVOCATION_KEY} is no array of u32.", offset=tokens.offset,
                      subject=INVOCATION_KEY)  # fmt: skip


def _check_alpha(header: Header, rank: int) -> Iterator[Finding]:
    key = "adapter.lora.alpha"
    value = header.metadata.get(key)
    if value is None:
        text = f"{key} is missing; the engine then applies the adapter unscaled."
        yield finding("AD-ALPHA", text, subject=key, severity=Severity.WARNING)
        return
    alpha = header.real(key)
    if value.type is not ValueType.F32 or alpha is None:
        text = f"{key} is {value.type.name}; the engine reads F32 and aborts on others."
        yield finding("AD-ALPHA", text, offset=value.offset, subject=key)
    elif not math.isfinite(alpha) or alpha <= 0:
        yield finding("AD-ALPHA", f"{key} is {alpha}.", offset=value.offset, subject=key)
    elif alpha / max(1, rank) > UNUSUAL_SCALE:
        text = f"alpha {alpha:g} over rank {rank} applies the adapter {alpha / max(1, rank):g}-fold."
        yield finding("AD-SCALE", text, offset=value.offset, subject=key)


def _pairs(header: Header) -> tuple[dict[str, _Pair], list[TensorInfo]]:
    pairs: dict[str, _Pair] = {}
    others: list[TensorInfo] = []
    for tensor in header.tensors:
        if tensor.name.endswith(A_SUFFIX):
            pairs.setdefault(tensor.name.removesuffix(A_SUFFIX), _Pair()).a = tensor
        elif tensor.name.endswith(B_SUFFIX):
            pairs.setdefault(tensor.name.removesuffix(B_SUFFIX), _Pair()).b = tensor
        else:
            others.append(tensor)
    return pairs, others


def _check_pair(name: str, pair: _Pair) -> Iterator[Finding]:
    at = _place(pair)
    if pair.a is None or pair.b is None:
        missing = A_SUFFIX if pair.a is None else B_SUFFIX
        yield finding("AD-PAIR", f"{quote(name)} has no {missing} matrix.", offset=at, subject=name)
        return
    for tensor in (pair.a, pair.b):
        if tensor.type is not None and tensor.type.name not in USABLE_TYPES:
            text = f"Tensor {quote(tensor.name)} is {tensor.type.name}."
            yield finding("AD-DTYPE", text, offset=tensor.info_offset, subject=tensor.name)
    if not 2 <= len(pair.a.dims) == len(pair.b.dims):
        text = f"{quote(name)} has matrices of {len(pair.a.dims)} and {len(pair.b.dims)} dimensions."
        yield finding("AD-SHAPE", text, offset=at, subject=name)
        return
    a_rank, b_rank = (
        (pair.a.dims[0], pair.b.dims[0]) if name == EMBEDDING else (pair.a.dims[1], pair.b.dims[0])
    )
    if a_rank != b_rank:
        text = f"{quote(name)} has rank {a_rank} in A and {b_rank} in B (one of them may be transposed)."
        yield finding("AD-SHAPE", text, offset=at, subject=name)
    elif not 1 <= a_rank <= LARGEST_RANK:
        yield finding("AD-RANK", f"{quote(name)} has rank {a_rank}.", offset=at, subject=name)


def _fits(name: str, a: TensorInfo, b: TensorInfo, weight: TensorInfo) -> bool:
    if min(len(a.dims), len(b.dims), len(weight.dims)) < 2:
        return False
    if name == EMBEDDING:
        # A and B are flipped for the embedding: it is looked up, not multiplied.
        return weight.dims[0] == b.dims[1] and weight.dims[1] == a.dims[1]
    return weight.dims[0] == a.dims[0] and weight.dims[1] == b.dims[1]


def _place(pair: _Pair) -> int | None:
    tensor = pair.a or pair.b
    return None if tensor is None else tensor.info_offset
