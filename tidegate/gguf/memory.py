"""How much memory a model needs to be served: weights, cache, compute buffers, overhead; on the GPU and beside it.

The cache is what llama.cpp 0c1e57098 allocates, to the byte, for every architecture whose plan is exact
(`cache_plan.py`); weights are the bytes of the tensors; compute buffers follow what the engine reports for
dense models. Every figure is computed with Python integers: nothing wraps, whatever the file says.
"""

import re
from dataclasses import dataclass

from tidegate.domain import InvalidInput
from tidegate.gguf.cache_plan import CachePlan, LayerCache, cache_plan
from tidegate.gguf.header import Header, padded
from tidegate.gguf.tensor_types import TENSOR_TYPES, TensorType

CELL_UNIT = 256
PROCESS_BYTES = 64 * 1024**2
GPU_CONTEXT_BYTES = 500 * 1024**2
BYTES_PER_VOCABULARY_ITEM = 100
RESERVE_SHARE = 0.02

CACHE_TYPES: dict[str, TensorType] = {
    kind.name.lower(): kind
    for kind in TENSOR_TYPES.values()
    if kind.name in ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "IQ4_NL")
}
"""What `--cache-type-k` and `--cache-type-v` of the engine accept."""

BLOCK_NAME = re.compile(r"^blk\.(\d{1,6})\.")
INPUT_TENSORS = frozenset({"token_embd", "per_layer_token_embd", "position_embd", "token_types"})


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """Settings of the engine that change how much memory it takes."""

    key_type: str = "f16"
    value_type: str = "f16"
    flash_attention: bool = True
    swa_full: bool = False
    """Windowed layers keep the whole context. Off in llama-server, on in the C API and llama-cpp-python."""
    is_unified: bool = False
    """All sequences share one cache instead of having one each."""
    micro_batch: int = 512
    gpu_layers: int | None = None
    """Layers on the GPU, counted from the output; None means all of them."""


DEFAULT_OPTIONS = ServingOptions()


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes by purpose for one set."""

    weights_bytes: int
    kv_cache_bytes: int
    """Keys and values of attention, indexes of sparse attention, and recurrent states."""
    compute_bytes: int
    overhead_bytes: int
    context_tokens: int
    parallel: int
    is_upper_bound: bool
    """True for the few architectures whose cache is of a kind of its own: counted as if all layers kept all."""
    gpu_bytes: int = 0
    """Of the total, what has to fit on the GPU; 0 without one."""

    @property
    def total_bytes(self) -> int:
        return self.weights_bytes + self.kv_cache_bytes + self.compute_bytes + self.overhead_bytes

    @property
    def host_bytes(self) -> int:
        """What stays in the memory of the machine beside the GPU."""
        return self.total_bytes - self.gpu_bytes


def estimate_memory(
    header: Header,
    context_tokens: int,
    parallel: int,
    *,
    is_on_gpu: bool = False,
    options: ServingOptions = DEFAULT_OPTIONS,
) -> MemoryEstimate:
    """Memory of a set that serves `parallel` sequences of `context_tokens` each.

    Args:
        header: Of a file whose structure was judged sound.
        context_tokens: Of each sequence; the engine rounds up to 256.
        parallel: Sequences at once.
        is_on_gpu: Whether the set runs on a GPU, with as many layers as `options` say.
        options: Cache types, flash attention and the like; the defaults are those of our engine.

    Raises:
        InvalidInput: context, parallel or an option makes no sense, or the header lacks what is needed.
    """
    _refuse_nonsense(context_tokens, parallel, options)
    plan = cache_plan(header)
    blocks = header.of_model("block_count") or 0
    on_gpu = min(options.gpu_layers if options.gpu_layers is not None else blocks + 1, blocks + 1)
    # The engine offloads the output first, then the last blocks.
    first_on_gpu = blocks + 1 - on_gpu if is_on_gpu else blocks + 1
    weights, gpu_weights = _weights(header, blocks, first_on_gpu)
    caches = _cache(plan, context_tokens, parallel, options)
    gpu_cache = sum(caches[first_on_gpu:])
    cache = sum(caches)
    compute = _compute(header, plan, context_tokens, parallel, options)
    output = 4 * _vocabulary(header) * parallel
    gpu_compute = compute if first_on_gpu <= blocks else 0
    gpu_part = gpu_weights + gpu_cache + gpu_compute
    overhead = _host_lists(header) + int(RESERVE_SHARE * (weights + cache + compute))
    gpu_overhead = GPU_CONTEXT_BYTES + int(RESERVE_SHARE * gpu_part) if gpu_part else 0
    return MemoryEstimate(
        weights_bytes=weights,
        kv_cache_bytes=cache,
        compute_bytes=compute + output,
        overhead_bytes=overhead + (GPU_CONTEXT_BYTES if gpu_part else PROCESS_BYTES),
        context_tokens=context_tokens,
        parallel=parallel,
        is_upper_bound=not plan.is_exact,
        gpu_bytes=gpu_part + gpu_overhead,
    )


def cache_bytes(
    header: Header, context_tokens: int, parallel: int, options: ServingOptions = DEFAULT_OPTIONS
) -> int:
    """Keys, values, indexes and recurrent states alone: the part that the engine reports to the byte."""
    _refuse_nonsense(context_tokens, parallel, options)
    return sum(_cache(cache_plan(header), context_tokens, parallel, options))


def _refuse_nonsense(context_tokens: int, parallel: int, options: ServingOptions) -> None:
    if context_tokens < 1 or parallel < 1:
        raise InvalidInput(
            "context_tokens and parallel must be at least 1.",
            remedy="Give both as whole numbers of 1 or more.",
            field="context_tokens",
        )
    for kind in (options.key_type, options.value_type):
        if kind not in CACHE_TYPES:
            raise InvalidInput(
                f"{kind!r} is no type of a cache.",
                remedy=f"Use one of {', '.join(sorted(CACHE_TYPES))}.",
                field="key_type",
            )
    if CACHE_TYPES[options.value_type].is_quantized and not options.flash_attention:
        raise InvalidInput(
            "The engine keeps quantized values only with flash attention.",
            remedy="Switch flash attention on or keep values as f16.",
            field="value_type",
        )
    if options.micro_batch < 1 or (options.gpu_layers is not None and options.gpu_layers < 0):
        raise InvalidInput(
            "micro_batch is at least 1, gpu_layers at least 0.",
            remedy="Give numbers in these ranges.",
            field="micro_batch",
        )


def _weights(header: Header, blocks: int, first_on_gpu: int) -> tuple[int, int]:
    """Bytes of all weights and of those on the GPU, whose output may need a copy of a tied embedding."""
    total = on_gpu = 0
    names: dict[str, int] = {}
    for tensor in header.tensors:
        size = tensor.n_bytes or 0
        names[tensor.name] = size
        total += size
        match = BLOCK_NAME.match(tensor.name)
        # Input tensors stay on the host; what is neither input nor block belongs to the output.
        layer = int(match[1]) if match else -1 if tensor.name.split(".")[0] in INPUT_TENSORS else blocks
        on_gpu += size if layer >= first_on_gpu else 0
    if "output.weight" not in names and first_on_gpu <= blocks:
        copy = names.get("token_embd.weight", 0)
        total, on_gpu = total + copy, on_gpu + copy
    return total, on_gpu


def _cells(plan: CachePlan, context_tokens: int, parallel: int, options: ServingOptions) -> tuple[int, int]:
    """Cells of a full and of a windowed layer, over all sequences."""
    streams = 1 if options.is_unified else parallel
    whole = padded(context_tokens * parallel, CELL_UNIT)
    full = whole if options.is_unified else padded(whole // parallel, CELL_UNIT)
    if options.swa_full or not plan.window_tokens:
        return full * streams, full * streams
    reach = plan.window_tokens * (parallel if options.is_unified else 1)
    windowed = padded(min(full, reach + _micro_batch(context_tokens, parallel, options)), CELL_UNIT)
    return full * streams, windowed * streams


def _micro_batch(context_tokens: int, parallel: int, options: ServingOptions) -> int:
    """No batch is larger than the context."""
    return min(options.micro_batch, padded(context_tokens, CELL_UNIT) * parallel)


def _cache(plan: CachePlan, context_tokens: int, parallel: int, options: ServingOptions) -> list[int]:
    """Bytes that each layer keeps."""
    full, windowed = _cells(plan, context_tokens, parallel, options)
    keys, values = CACHE_TYPES[options.key_type], CACHE_TYPES[options.value_type]

    def of_layer(layer: LayerCache) -> int:
        cells = windowed if layer.is_windowed else full
        is_padded = layer.is_attended and not options.flash_attention
        width = plan.widest_values if is_padded else layer.values
        attended = cells * (_row(keys, layer.keys) + _row(values, width))
        index = full * (_row(keys, layer.index_keys) + _row(values, layer.index_values))
        return attended + index + 4 * layer.state * parallel

    return [of_layer(layer) for layer in plan.layers]


def _row(kind: TensorType, items: int) -> int:
    """Bytes of a row; rows that are no whole blocks do not exist in the engine and count as if rounded up."""
    return padded(items, kind.block_items) // kind.block_items * kind.block_bytes


def _compute(
    header: Header, plan: CachePlan, context_tokens: int, parallel: int, options: ServingOptions
) -> int:
    """Buffers of one step: the largest of what is alive at the logits, in a feed-forward and in attention.

    Fitted to what the engine reports: within 2 % for dense models; mixtures, latent attention and state-space
    layers need some tens of MiB more or less.
    """
    batch = _micro_batch(context_tokens, parallel, options)
    width = header.of_model("embedding_length") or 0
    streams = 1 if options.is_unified else parallel
    full, windowed = (cells // streams for cells in _cells(plan, context_tokens, parallel, options))
    has_windows = any(layer.is_windowed for layer in plan.layers)
    seen = full + (windowed if has_windows else 0)
    # Everything is counted in float32 numbers for one token of the batch; a mask is f16 with flash attention.
    mask = seen // 2 if options.flash_attention else seen
    is_rotated = CACHE_TYPES[options.key_type].is_quantized and not has_windows
    logits = _vocabulary(header) + (3 if is_rotated else 2) * width
    keys = max(layer.keys for layer in plan.layers)
    heads = max(0, *(header.per_block("attention.head_count", 0) or (0,)))
    attention = 2 * keys + (4 * width if options.flash_attention else heads * full + 5 * width)
    return 4 * batch * max(logits, mask + max(attention, _feed_forward(header, width)))


def _feed_forward(header: Header, width: int) -> int:
    """Numbers alive inside the widest feed-forward: gate, up and their product, beside the residual."""
    dense = 3 * max(0, *(header.per_block("feed_forward_length", 0) or (0,))) + 4 * width
    used = max(0, *(header.per_block("expert_used_count", 0) or (0,)))
    inner = max(0, *(header.per_block("expert_feed_forward_length", 0) or (0,)))
    if not used or not inner:
        return dense
    return max(3 * inner * used + (used + 4) * width, dense if _has_dense_blocks(header) else 0)


def _has_dense_blocks(header: Header) -> bool:
    return any(tensor.name.endswith("ffn_down.weight") for tensor in header.tensors)


def _vocabulary(header: Header) -> int:
    tokens = header.array("tokenizer.ggml.tokens")
    if tokens is not None:
        return tokens.count
    embedding = next((tensor for tensor in header.tensors if tensor.name == "token_embd.weight"), None)
    return embedding.dims[-1] if embedding is not None else 0


def _host_lists(header: Header) -> int:
    """The tokenizer as the engine keeps it: texts, maps and merges."""
    merges = header.array("tokenizer.ggml.merges")
    return BYTES_PER_VOCABULARY_ITEM * (_vocabulary(header) + (merges.count if merges else 0))
