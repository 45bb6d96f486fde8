"""Rules about hyper-parameters: present, of the type that the engine reads, in range, fitting together."""

import math
from collections.abc import Iterator

import numpy as np

from tidegate.gguf.architecture import (
    EXPERTS_MAY_BE_ONE,
    GENERAL_TYPES,
    MODEL_TYPES,
    MUST_HAVE_EXPERTS,
    ONE_KEY_PER_HEAD,
    RECURRENT,
    REQUIRED_EXTRA,
    REQUIRED_FOR_ALL,
    ROPE_IS_HEAD,
    ROPE_IS_HEAD_AT_LOAD,
    ROPE_SCALINGS,
    VALUE_IS_KEY,
    KeyType,
)
from tidegate.gguf.findings import Finding, Severity, bounded, quote
from tidegate.gguf.header import ArrayValue, Header, Value, ValueType
from tidegate.gguf.kind import check_kind, is_whole_model
from tidegate.gguf.limits import LIMITS
from tidegate.gguf.model_sizes import needs_query_rank
from tidegate.gguf.rules import finding
from tidegate.gguf.split import check_split_keys

LARGEST_CONTEXT = 2**26
LARGEST_WIDTH = 2**20
LARGEST_EPSILON = 0.1
PIECE_ITEMS = 2**20


@bounded
def check_model(header: Header) -> Iterator[Finding]:
    """Everything about metadata that is no tokenizer and no template."""
    yield from check_split_keys(header)
    yield from _key_types(header)
    yield from _finite(header)
    yield from check_kind(header)
    if not is_whole_model(header):
        return
    yield from _required(header)
    yield from _ranges(header)
    yield from _experts(header)
    yield from _rope(header)
    if header.architecture not in RECURRENT:
        yield from _heads(header)


def _key_types(header: Header) -> Iterator[Finding]:
    for key, expected in GENERAL_TYPES.items():
        value = header.metadata.get(key)
        if value is not None and value.type is not expected:
            yield _wrong_type(key, value, (expected,))
    prefix = header.architecture + "."
    for suffix, allowed in MODEL_TYPES.items():
        value = header.metadata.get(prefix + suffix)
        if value is not None:
            yield from _as_read(header, prefix + suffix, value, allowed)


def _as_read(header: Header, key: str, value: Value, allowed: KeyType) -> Iterator[Finding]:
    content = value.content
    if not isinstance(content, ArrayValue):
        if value.type is not allowed.single:
            yield _wrong_type(key, value, (allowed.single,))
        return
    if content.item_type not in allowed.items:
        names = ", ".join(kind.name for kind in allowed.items)
        text = f"{quote(key)} is an array of {content.item_type.name}; "
        text += f"the engine reads items of {names}." if names else "the engine reads one value."
        yield finding("S-KEYTYPE", text, offset=value.offset, subject=key)
    blocks = header.of_model("block_count")
    if allowed.is_per_block and blocks is not None and content.count != blocks:
        text = f"{quote(key)} has {content.count} items for {blocks} blocks."
        yield finding("S-HEADS", text, offset=value.offset, subject=key)


def _wrong_type(key: str, value: Value, allowed: tuple[ValueType, ...]) -> Finding:
    names = " or ".join(kind.name for kind in allowed)
    text = f"{quote(key)} is {value.type.name}; the engine reads {names}."
    return finding("S-KEYTYPE", text, offset=value.offset, subject=key)


def _finite(header: Header) -> Iterator[Finding]:
    """No NaN anywhere; no infinity among the model's own settings."""
    prefix = header.architecture + "."
    for key, value in header.metadata.items():
        content = value.content
        if isinstance(content, float) and not math.isfinite(content):
            is_ours = key.startswith(prefix) or math.isnan(content)
            level = Severity.ERROR if is_ours else Severity.WARNING
            text = f"{quote(key)} is {content}."
            yield finding("K-NAN", text, offset=value.offset, subject=key, severity=level)
        elif isinstance(content, ArrayValue) and _holds_nan(content):
            yield finding("K-NAN", f"{quote(key)} holds NaN.", offset=value.offset, subject=key)


def _holds_nan(array: ArrayValue) -> bool:
    if array.item_type not in (ValueType.F32, ValueType.F64):
        return False
    items = array.numeric()
    pieces = (items[at : at + PIECE_ITEMS] for at in range(0, array.count, PIECE_ITEMS))
    return any(bool(np.isnan(piece).any()) for piece in pieces)


def _required(header: Header) -> Iterator[Finding]:
    architecture = header.architecture
    wanted = [*REQUIRED_FOR_ALL, *REQUIRED_EXTRA.get(architecture, ())]
    if architecture in ("deepseek2", "mistral4") and needs_query_rank(header):
        wanted.append("attention.q_lora_rank")
    if architecture == "ernie4_5-moe":
        wanted += ["expert_feed_forward_length", "interleave_moe_layer_step"]
    for suffix in wanted:
        key = f"{architecture}.{suffix}"
        if key not in header.metadata:
            yield finding("S-REQKEY", f"{key} is missing.", subject=key)


def _ranges(header: Header) -> Iterator[Finding]:
    yield from _between(header, "block_count", 1, LIMITS.max_blocks)
    yield from _between(header, "context_length", 1, LARGEST_CONTEXT)
    yield from _between(header, "embedding_length", 1, LARGEST_WIDTH)
    for suffix in ("feed_forward_length", "attention.key_length", "attention.value_length"):
        yield from _between(header, suffix, 0, LARGEST_WIDTH)
    yield from _between(header, "nextn_predict_layers", 0, header.of_model("block_count") or 0)
    for suffix in ("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"):
        key = f"{header.architecture}.{suffix}"
        epsilon = header.real(key)
        if epsilon is not None and not 0 < epsilon <= LARGEST_EPSILON:
            at = header.metadata[key].offset
            yield finding("S-RANGE", f"{key} is {epsilon}; about 1e-5 is usual.", offset=at, subject=key)
    vocabulary, tokens = header.of_model("vocab_size"), header.array("tokenizer.ggml.tokens")
    if vocabulary is not None and tokens is not None and vocabulary != tokens.count:
        key = f"{header.architecture}.vocab_size"
        text = f"{key} is {vocabulary}; the tokenizer has {tokens.count} tokens."
        at = header.metadata[key].offset
        yield finding("V-SIZE", text, offset=at, subject=key, severity=Severity.WARNING)


def _between(header: Header, suffix: str, low: int, high: int) -> Iterator[Finding]:
    key = f"{header.architecture}.{suffix}"
    number = header.integer(key)
    if number is not None and not low <= number <= high:
        at = header.metadata[key].offset
        yield finding("S-RANGE", f"{key} is {number}, not {low} to {high}.", offset=at, subject=key)


def _experts(header: Header) -> Iterator[Finding]:
    """The engine asserts all of this: a wrong number ends the process that loads the model."""
    architecture, key = header.architecture, f"{header.architecture}.expert_count"
    count = header.of_model("expert_count") or 0
    used = max(header.per_block("expert_used_count", 0) or (0,))
    if count <= 1 and architecture in EXPERTS_MAY_BE_ONE:
        return
    if not 0 <= count <= LIMITS.max_experts:
        yield finding("S-RANGE", f"{key} is {count}, not 0 to {LIMITS.max_experts}.", subject=key)
    elif count == 0 and architecture in MUST_HAVE_EXPERTS:
        yield finding("S-RANGE", f"{key} is missing or 0; {architecture} is made of experts.", subject=key)
    elif used > count or (count > 0 and used < 1):
        yield finding("S-RANGE", f"{used} of {count} experts are used; the engine aborts.", subject=key)
    else:
        yield from _expert_groups(header, count)


def _expert_groups(header: Header, experts: int) -> Iterator[Finding]:
    key = f"{header.architecture}.expert_group_count"
    groups, used = header.of_model("expert_group_count") or 0, header.of_model("expert_group_used_count") or 0
    is_sound = groups < experts if experts else groups == 0
    if groups > 1:
        is_sound = is_sound and experts % groups == 0 and 0 < used < groups
    if not is_sound:
        text = f"{groups} groups, {used} of them used, cannot share out {experts} experts; the engine aborts."
        yield finding("S-RANGE", text, subject=key)


# Ten times what any model was published with: beyond, all positions look alike.
LARGEST_FREQ_BASE = 1e12
LARGEST_SCALING = 1e5


def _rope(header: Header) -> Iterator[Finding]:
    prefix = header.architecture + ".rope."
    base = header.real(prefix + "freq_base")
    if base is not None and not 0 < base <= LARGEST_FREQ_BASE:
        at = header.metadata[prefix + "freq_base"].offset
        text = f"{prefix}freq_base is {base:g}; known models have 100 to 10 billion."
        yield finding("S-ROPE", text, offset=at, subject=prefix + "freq_base")
    scaling = header.text(prefix + "scaling.type")
    if scaling is not None and scaling not in ROPE_SCALINGS:
        at = header.metadata[prefix + "scaling.type"].offset
        text = f"{prefix}scaling.type is {quote(scaling)}; the engine aborts."
        yield finding("S-ROPE", text, offset=at, subject=prefix + "scaling.type")
    for suffix in ("scaling.factor", "scale_linear"):
        factor = header.real(prefix + suffix)
        if factor is not None and not 0 <= factor <= LARGEST_SCALING:
            text = f"{prefix}{suffix} is {factor:g}; known models have 0 to 128."
            yield finding(
                "S-ROPE", text, offset=header.metadata[prefix + suffix].offset, subject=prefix + suffix
            )


def _heads(header: Header) -> Iterator[Finding]:
    heads, blocks = header.per_block("attention.head_count"), header.of_model("block_count") or 0
    key = f"{header.architecture}.attention.head_count"
    if heads is None:
        if key in header.metadata:
            text = f"{key} has not one number for each of {blocks} blocks."
            yield finding("S-HEADS", text, offset=header.metadata[key].offset, subject=key)
        else:
            yield finding("S-REQKEY", f"{key} is missing.", subject=key)
        return
    kv_heads = header.per_block("attention.head_count_kv", heads[0] if heads else 0)
    if kv_heads is None:
        yield finding(
            "S-HEADS", f"{key}_kv has not one number for each of {blocks} blocks.", subject=key + "_kv"
        )
        return
    is_single = header.array(key) is None
    for block, (all_heads, shared) in enumerate(zip(heads, kv_heads, strict=True)):
        if all_heads < 1 and is_single:
            yield finding(
                "S-HEADS", f"{key} is {all_heads}.", offset=header.metadata[key].offset, subject=key
            )
            return
        if all_heads > 0 and shared > 0 and (shared > all_heads or all_heads % shared):
            text = f"{all_heads} heads cannot share {shared} key-value heads (block {block})."
            yield finding("S-HEADS", text, subject=key)
            return
        if all_heads < 0 or shared < 0:
            yield finding("S-HEADS", f"Negative head count in block {block}.", subject=key)
            return
    if header.architecture in ONE_KEY_PER_HEAD and kv_heads != heads:
        text = (
            f"{header.architecture} needs one key-value head for each of {heads[0]} heads; the engine aborts."
        )
        yield finding("S-HEADS", text, subject=key + "_kv")
    yield from _head_sizes(header, max(heads, default=0))


def _head_sizes(header: Header, heads: int) -> Iterator[Finding]:
    width = header.of_model("embedding_length") or 0
    key_length = header.of_model("attention.key_length")
    if heads and key_length is None and width % heads:
        text = f"embedding_length {width} is no multiple of {heads} heads, and key_length is not given."
        yield finding("S-HEADS", text, subject=f"{header.architecture}.attention.head_count")
        return
    size = key_length if key_length is not None else (width // heads if heads else 0)
    yield from _value_size(header, size, width // heads if heads else 0)
    turned = header.of_model("rope.dimension_count")
    key = f"{header.architecture}.rope.dimension_count"
    if turned is None or not size:
        return
    at = header.metadata[key].offset
    if header.architecture in ROPE_IS_HEAD and turned != size:
        how = (
            "refuses the model"
            if header.architecture in ROPE_IS_HEAD_AT_LOAD
            else "aborts at the first token"
        )
        text = f"{key} is {turned}; heads have {size}, and the engine {how}."
        yield finding("S-ROPE", text, offset=at, subject=key)
    elif turned % 2:
        yield finding("S-ROPE", f"{key} is {turned}, not even.", offset=at, subject=key)
    elif turned > size:
        yield finding("S-ROPE", f"{key} is {turned}; heads have only {size}.", offset=at, subject=key)


def _value_size(header: Header, size: int, usual: int) -> Iterator[Finding]:
    value = header.of_model("attention.value_length")
    value = usual if value is None else value
    if header.architecture in VALUE_IS_KEY and size and value != size:
        key = f"{header.architecture}.attention.value_length"
        text = f"Keys have heads of {size}, values of {value}; the engine aborts at the first token."
        yield finding("S-HEADS", text, subject=key)
