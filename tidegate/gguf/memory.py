"""How much memory a model needs to be served: weights, key-value cache, compute buffers, overhead.

The formulas agree with what llama.cpp reports for dense, grouped-query and latent-attention models. Sliding
windows are not subtracted: the estimate is then an upper bound, and says so.
"""

from dataclasses import dataclass

from tidegate.domain import InvalidInput
from tidegate.gguf.architecture import RECURRENT
from tidegate.gguf.header import Header, padded
from tidegate.gguf.limits import LIMITS

CELL_UNIT = 256
MICRO_BATCH = 512
PROCESS_BYTES = 64 * 1024**2
GPU_CONTEXT_BYTES = 500 * 1024**2
BYTES_PER_VOCABULARY_ITEM = 100
RESERVE_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes by purpose for one set."""

    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int
    overhead_bytes: int
    context_tokens: int
    parallel: int
    is_upper_bound: bool
    """True for models with sliding windows, whose cache is often smaller than counted here."""

    @property
    def total_bytes(self) -> int:
        return self.weights_bytes + self.kv_cache_bytes + self.compute_bytes + self.overhead_bytes


def estimate_memory(
    header: Header, context_tokens: int, parallel: int, kv_bytes: int = 2, *, is_on_gpu: bool = False
) -> MemoryEstimate:
    """Memory of a set that serves `parallel` sequences of `context_tokens` each.

    Raises:
        InvalidInput: when context or parallel is below 1, or the header lacks what the formulas need.
    """
    if context_tokens < 1 or parallel < 1:
        raise InvalidInput("context_tokens and parallel must be at least 1.", field="context_tokens")
    width, blocks = header.of_model("embedding_length"), header.of_model("block_count")
    if not width or not blocks or blocks > LIMITS.max_blocks:
        raise InvalidInput(
            "The header has no usable embedding_length or block_count.",
            remedy="Read the findings of the structure check first.",
            field="block_count",
        )
    weights = sum(tensor.n_bytes or 0 for tensor in header.tensors)
    names = {tensor.name: tensor.n_bytes or 0 for tensor in header.tensors}
    if is_on_gpu and "output.weight" not in names:
        # A tied embedding is needed by both ends of the model and gets a copy on the device.
        weights += names.get("token_embd.weight", 0)
    tokens, merges = header.array("tokenizer.ggml.tokens"), header.array("tokenizer.ggml.merges")
    vocabulary = tokens.count if tokens else 0
    cache = _cache_bytes(header, padded(context_tokens, CELL_UNIT) * parallel, kv_bytes)
    cache += _recurrent_bytes(header, blocks) * parallel
    compute = 4 * MICRO_BATCH * (vocabulary + 2 * width) + 4 * vocabulary * parallel
    lists = BYTES_PER_VOCABULARY_ITEM * (vocabulary + (merges.count if merges else 0))
    fixed = GPU_CONTEXT_BYTES if is_on_gpu else PROCESS_BYTES
    reserve = int(RESERVE_SHARE * (weights + cache + compute))
    return MemoryEstimate(
        weights_bytes=weights,
        kv_cache_bytes=cache,
        compute_bytes=compute,
        overhead_bytes=fixed + lists + reserve,
        context_tokens=context_tokens,
        parallel=parallel,
        is_upper_bound=bool(header.of_model("attention.sliding_window")),
    )


def _cache_bytes(header: Header, cells: int, kv_bytes: int) -> int:
    if header.architecture in RECURRENT:
        return 0
    blocks = header.of_model("block_count") or 0
    rank = header.of_model("attention.kv_lora_rank")
    if rank:
        # Latent attention keeps one compressed row per token and no values.
        return blocks * cells * (rank + (header.of_model("rope.dimension_count") or 0)) * kv_bytes
    heads = header.per_block("attention.head_count") or ()
    usual = max(heads, default=0)
    shared = header.per_block("attention.head_count_kv", usual) or heads
    size = (header.of_model("embedding_length") or 0) // usual if usual > 0 else 0
    keys = _or(header.of_model("attention.key_length"), size)
    values = _or(header.of_model("attention.value_length"), size)
    return sum(max(0, count) for count in shared) * cells * (keys + values) * kv_bytes


def _recurrent_bytes(header: Header, blocks: int) -> int:
    """State of state-space layers for one sequence, in float32; it does not grow with the context."""
    inner, state = header.of_model("ssm.inner_size"), header.of_model("ssm.state_size")
    if not inner or not state:
        return 0
    convolution = max(0, (header.of_model("ssm.conv_kernel") or 1) - 1)
    groups = header.of_model("ssm.group_count") or 0
    return 4 * blocks * (convolution * (inner + 2 * groups * state) + state * inner)


def _or(value: int | None, default: int) -> int:
    return default if value is None else max(0, value)
