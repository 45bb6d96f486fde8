"""The numbers from which the shapes of a model's tensors follow, by the names that `architecture_tensors.py` uses."""

from collections.abc import Mapping
from math import prod

from tidegate.gguf.header import Header
from tidegate.gguf.limits import LIMITS

Sizes = Mapping[str, int]

# The loader looks for the rank of queries in none of these, whatever the file says.
LITE_BLOCKS = frozenset({26, 27})
LITE_BLOCKS_OF_VOCABULARY = (48, 128_256)


def sizes_of(header: Header) -> Sizes | None:
    """None when metadata is so incomplete that other rules refuse the file, or so unusual that shapes are not known."""
    heads = header.per_block("attention.head_count")
    feed_forward = header.per_block("feed_forward_length", 0)
    width, blocks = header.of_model("embedding_length") or 0, header.of_model("block_count") or 0
    tokens = header.array("tokenizer.ggml.tokens")
    if width < 1 or not 1 <= blocks <= LIMITS.max_blocks or not heads or heads[0] < 1 or not feed_forward:
        return None
    shared = header.per_block("attention.head_count_kv", heads[0])
    if shared is None or tokens is None or _is_unusual(header):
        return None
    # The loader takes all shapes from the first block's numbers.
    return _attention(header, width, heads[0], shared[0]) | _feed_forward(header, feed_forward[0]) | {
        "width": width,
        "blocks": blocks,
        "vocabulary": tokens.count,
        "context": header.of_model("context_length") or 0,
        "dense_2_out": header.of_model("dense_2_feat_out") or 0,
        "dense_3_in": header.of_model("dense_3_feat_in") or 0,
        "labels": labels.count if (labels := header.array(f"{header.architecture}.classifier.output_labels")) else 1,
    }  # fmt: skip


def _is_unusual(header: Header) -> bool:
    """Heads that differ between blocks, or extra blocks for guessing ahead: their shapes are not in the table."""
    return any(header.of_model(name) for name in ("nextn_predict_layers", "attention.key_length_swa"))


def _attention(header: Header, width: int, heads: int, shared: int) -> dict[str, int]:
    head = _given(header, "attention.key_length", width // heads)
    value = _given(header, "attention.value_length", width // heads)
    rope = _given(header, "rope.dimension_count", head)
    is_long = header.text(f"{header.architecture}.rope.scaling.type") == "longrope"
    return {
        "heads": heads,
        "kv_heads": shared,
        "head": head,
        "queries": head * heads,
        "keys": head * shared,
        "values": value * shared,
        "shared_width": width // heads * shared,
        "rope": rope,
        "half_rope": rope // 2,
        "half_rope_plain": 0 if is_long else rope // 2,
        "half_rope_long": rope // 2 if is_long else 0,
        **_latent(header, heads, head, value, rope),
    }


def _latent(header: Header, heads: int, head: int, value: int, rope: int) -> dict[str, int]:
    """Sizes of attention that keeps one compressed vector per token; nothing of it is used by other models."""
    given = [header.of_model(f"attention.{part}_length_mla") or 0 for part in ("key", "value")]
    is_new = all(given)
    key, out = given if is_new else (head, value)
    rank = 0 if _is_lite(header) else header.of_model("attention.q_lora_rank") or 0
    plain = max(key - rope, 0)
    return {
        "q_rank": rank,
        "latent": header.of_model("attention.kv_lora_rank") or 0,
        "latent_queries": heads * key,
        "plain_latent_queries": 0 if rank else heads * key,
        "latent_plain": plain if is_new else 0,
        "latent_value": out if is_new else 0,
        "legacy_latent_values": 0 if is_new else heads * (plain + out),
        "latent_outputs": heads * out,
    }


def _is_lite(header: Header) -> bool:
    blocks, tokens = header.of_model("block_count"), header.array("tokenizer.ggml.tokens")
    vocabulary = header.of_model("vocab_size") or (tokens.count if tokens else 0)
    return blocks in LITE_BLOCKS or (blocks, vocabulary) == LITE_BLOCKS_OF_VOCABULARY


def needs_query_rank(header: Header) -> bool:
    """Whether the loader of `deepseek2` and `mistral4` asks for `attention.q_lora_rank`."""
    return not _is_lite(header)


def _feed_forward(header: Header, inner: int) -> dict[str, int]:
    used = header.per_block("expert_used_count", 0) or (0,)
    of_expert = header.per_block("expert_feed_forward_length", 0) or (0,)
    expert = of_expert[0] or (inner // used[0] if used[0] > 0 else 0)
    shared = header.of_model("expert_shared_feed_forward_length") or 0
    experts = header.of_model("expert_count") or 0
    return {
        "ff": inner,
        "experts": experts,
        "expert_ff": expert,
        "shared_ff": shared,
        "shared_ff_or_ff": shared or inner,
        "shared_experts_ff": expert * (header.of_model("expert_shared_count") or 0),
        "dense_blocks": (header.of_model("leading_dense_block_count") or 0) if experts else LIMITS.max_blocks,
    }


def _given(header: Header, suffix: str, otherwise: int) -> int:
    number = header.of_model(suffix)
    return otherwise if number is None else number


def evaluate(dim: str, sizes: Sizes) -> int:
    """A term such as `width+2*values` with the sizes of a model."""
    return sum(
        prod(int(factor) if factor.isdecimal() else sizes[factor] for factor in term.split("*"))
        for term in dim.split("+")
    )
