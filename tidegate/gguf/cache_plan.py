"""What each layer of a model keeps between tokens: keys and values, an indexer, a recurrent state.

Follows llama.cpp 0c1e57098 (`llama_model::create_memory`, `llama_hparams`, `load_arch_hparams` of every
architecture). Three facts differ by architecture and are data here: which layers attend through a sliding
window, which layers are recurrent, and which of them share what earlier layers keep.
"""

from dataclasses import dataclass

from tidegate.domain import InvalidInput
from tidegate.gguf.header import Header
from tidegate.gguf.limits import LIMITS
from tidegate.gguf.words import words

LARGEST_WIDTH = 2**20


@dataclass(frozen=True, slots=True)
class Window:
    """How an architecture alternates between windowed and full layers when the file names no pattern."""

    period: int = 0
    """Every period-th layer is full; 0 means that the file must bring the pattern."""
    full_comes_first: bool = False
    default_tokens: int = 0
    is_fixed: bool = False
    """The engine uses `default_tokens` whatever the file says, as long as it wants a window at all."""


WINDOWS: dict[str, Window] = {
    "afmoe": Window(4),
    "cohere2": Window(4),
    "cohere2moe": Window(4, full_comes_first=True),
    "exaone-moe": Window(4, default_tokens=128),
    "exaone4": Window(4, default_tokens=4096),
    "gemma2": Window(2, default_tokens=4096),
    "gemma3": Window(6),
    "gemma3n": Window(5),
    "gemma4": Window(),
    "gpt-oss": Window(2),
    "granite_swa": Window(),
    "laguna": Window(4, full_comes_first=True),
    "llama4": Window(4, default_tokens=8192, is_fixed=True),
    "maple": Window(),
    "mellum": Window(4),
    "mimo2": Window(),
    "muse-glimmer": Window(4),
    "olmo2": Window(4),
    "plamo3": Window(8),
    "smallthinker": Window(4, full_comes_first=True, default_tokens=4096, is_fixed=True),
    "spark2_5": Window(),
    "step35": Window(),
}
# The file may name a window that this engine does not use: phi3, phimoe, mistral and all others.
EXAONE4_WITH_WINDOW = 64

PURELY_RECURRENT = words("mamba mamba2 rwkv6 rwkv6qwen2 rwkv7 arwkv7")
RECURRENT_WITHOUT_KEY_HEADS = words(
    "jamba plamo2 granitehybrid lfm2 lfm2moe kimi-linear kimi-k3 bailingmoe3 glm5-next"
)
NEMOTRONS = words("nemotron_h nemotron_h_moe")
FULL_ATTENTION_INTERVAL = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4, "qwen4exp": 4, "minimax-01": 8}
BOTH_IN_EVERY_LAYER = words("falcon-h1")
HYBRID = RECURRENT_WITHOUT_KEY_HEADS | NEMOTRONS | BOTH_IN_EVERY_LAYER | frozenset(FULL_ATTENTION_INTERVAL)
# These read no group count, so their convolution covers the inner width alone.
WITHOUT_GROUPS = words("mamba jamba")
INDEXED = words("glm-dsa deepseek32 glm5-next hy_v4 minimax-m3 qwen4exp")
WITHOUT_CACHE = words("dream llada llada-moe rnd1")
# Caches whose size follows rules that are not modelled here.
NOT_MODELLED = words("deepseek4 dots3note dflash graniteswitch gemma4-assistant eagle3")

GEMMA3N_LAYERS_WITH_CACHE = 20
# From this trained context on, GLM shares indexers: blocks 0, 1, 2 and every fourth after have one.
GLM_CONTEXT_WITH_SHARED_INDEXERS = 2**20
GLM_INDEXER_PERIOD = 4
DEFAULT_TOKEN_SHIFTS = 2


@dataclass(frozen=True, slots=True)
class LayerCache:
    """Items that one layer keeps: per cell of the cache, and per sequence for a recurrent state."""

    keys: int = 0
    values: int = 0
    index_keys: int = 0
    index_values: int = 0
    is_attended: bool = False
    is_windowed: bool = False
    state: int = 0


@dataclass(frozen=True, slots=True)
class CachePlan:
    """What all layers keep, in order."""

    layers: tuple[LayerCache, ...]
    window_tokens: int
    widest_values: int
    """Values are padded to this width when flash attention is off and the layers differ."""
    is_exact: bool
    """False for the few architectures with caches of their own kind: the plan is then an upper bound."""


def cache_plan(header: Header) -> CachePlan:
    """The plan of a model whose header was judged sound.

    Raises:
        InvalidInput: the header has no usable block count or width.
    """
    blocks, width = header.of_model("block_count"), header.of_model("embedding_length")
    if not width or not blocks or not 0 < blocks <= LIMITS.max_blocks or width > LARGEST_WIDTH:
        raise InvalidInput(
            "The header has no usable embedding_length or block_count.",
            remedy="Read the findings of the structure check first.",
            field="block_count",
        )
    sizes = _Sizes(header, blocks, width)
    if header.architecture == "nanbeige":
        loops = min(max(1, header.of_model("num_loops") or 1), LIMITS.max_blocks // blocks)
        layers = tuple(_layer(header, sizes, block) for _ in range(loops) for block in range(blocks))
    else:
        layers = tuple(_layer(header, sizes, block) for block in range(blocks))
    return CachePlan(
        layers=layers,
        window_tokens=sizes.window_tokens,
        widest_values=0 if sizes.is_latent else max(sizes.values(block) for block in range(blocks)),
        is_exact=header.architecture not in NOT_MODELLED,
    )


class _Sizes:
    """Numbers of the header as the engine reads them, with its defaults."""

    def __init__(self, header: Header, blocks: int, width: int):
        self.architecture = header.architecture
        self.width = width
        heads = header.per_block("attention.head_count", 0) or (0,) * blocks
        self.first_heads = _bounded(heads[0])
        shared = header.per_block("attention.head_count_kv") or heads
        self.kv_heads = tuple(_bounded(count) for count in shared)
        self.feed_forward = header.per_block("feed_forward_length", 0) or (0,) * blocks
        usual = width // self.first_heads if self.first_heads else 0
        # Without heads in the first block the engine takes no head size at all from the file.
        self.key_length = _given(header, "attention.key_length", usual) if self.first_heads else 0
        self.value_length = _given(header, "attention.value_length", usual) if self.first_heads else 0
        self.key_length_swa = _given(header, "attention.key_length_swa", self.key_length)
        self.value_length_swa = _given(header, "attention.value_length_swa", self.value_length)
        self.is_latent = bool(
            header.of_model("attention.key_length_mla") and header.of_model("attention.value_length_mla")
        )
        predicted = _bounded(header.of_model("nextn_predict_layers"))
        # Layers that only draft further tokens are never attended by the model itself.
        self.trunk = blocks - predicted if 0 < predicted < blocks else blocks
        self.windowed, self.window_tokens = _windows(header, self, blocks)
        self.recurrent = _recurrent(header, self, blocks)
        if self.architecture == "lfm2" and self.window_tokens:
            self.windowed = tuple(not is_recurrent for is_recurrent in self.recurrent)
        self.state = _state(header, self)
        self.index_keys = _bounded(header.of_model("attention.indexer.key_length"))

    def keys(self, block: int) -> int:
        length = self.key_length_swa if self.windowed[block] else self.key_length
        return length * self.kv_heads[block]

    def values(self, block: int) -> int:
        length = self.value_length_swa if self.windowed[block] else self.value_length
        return length * self.kv_heads[block]


def _bounded(number: int | None) -> int:
    """A count or width from the file, without the harm of a huge or negative one."""
    return min(max(0, number or 0), LARGEST_WIDTH)


def _given(header: Header, suffix: str, default: int) -> int:
    number = header.of_model(suffix)
    return default if number is None else _bounded(number)


def _flags(header: Header, suffix: str) -> tuple[bool, ...] | None:
    """An array of one truth value per layer."""
    array = header.array(f"{header.architecture}.{suffix}")
    return None if array is None else tuple(bool(item) for item in array.numbers()[: LIMITS.max_blocks])


def _windows(header: Header, sizes: "_Sizes", blocks: int) -> tuple[tuple[bool, ...], int]:
    """Which layers attend through a window, and how many tokens it has."""
    none = (False,) * blocks
    window = WINDOWS.get(header.architecture)
    if header.architecture == "lfm2":
        return none, _bounded(header.of_model("attention.sliding_window"))
    if window is None or (header.architecture == "exaone4" and sizes.trunk != EXAONE4_WITH_WINDOW):
        return none, 0
    stated = header.of_model("attention.sliding_window")
    if stated is None and header.architecture == "smallthinker":
        return none, 0
    tokens = window.default_tokens if stated is None or (window.is_fixed and stated > 0) else _bounded(stated)
    if tokens <= 0:
        return none, 0
    flags = _flags(header, "attention.sliding_window_pattern")
    if flags is not None:
        return (flags + none)[:blocks], tokens
    period = _given(header, "attention.sliding_window_pattern", window.period)
    full = 0 if window.full_comes_first else period - 1
    # A period of 0 means that every layer is windowed.
    pattern = tuple(block < sizes.trunk and (not period or block % period != full) for block in range(blocks))
    return pattern, tokens


def _recurrent(header: Header, sizes: "_Sizes", blocks: int) -> tuple[bool, ...]:
    name = header.architecture
    if name in PURELY_RECURRENT or name in BOTH_IN_EVERY_LAYER:
        return (True,) * blocks
    if name in RECURRENT_WITHOUT_KEY_HEADS:
        return tuple(count == 0 for count in sizes.kv_heads)
    if name in NEMOTRONS:
        return tuple(
            block < sizes.trunk and sizes.kv_heads[block] == 0 and sizes.feed_forward[block] == 0
            for block in range(blocks)
        )
    if name in FULL_ATTENTION_INTERVAL:
        flags = _flags(header, "attention.recurrent_layers")
        if flags is not None:
            return (flags + (False,) * blocks)[:blocks]
        interval = _given(header, "full_attention_interval", FULL_ATTENTION_INTERVAL[name]) or 1
        return tuple(block < sizes.trunk and (block + 1) % interval != 0 for block in range(blocks))
    return (False,) * blocks


def _state(header: Header, sizes: "_Sizes") -> int:
    """Items of the recurrent state of one layer for one sequence: convolution and state together."""
    head_size = _bounded(header.of_model("wkv.head_size"))
    if head_size:
        shifts = _given(header, "token_shift_count", DEFAULT_TOKEN_SHIFTS)
        return shifts * sizes.width + sizes.width * head_size
    kernel = _bounded(header.of_model("ssm.conv_kernel"))
    inner, state = _bounded(header.of_model("ssm.inner_size")), _bounded(header.of_model("ssm.state_size"))
    short = _bounded(header.of_model("shortconv.l_cache"))
    if short:
        return sizes.width * (short - 1)
    delta = _bounded(header.of_model("kda.head_dim"))
    if delta:
        turned = sizes.first_heads * delta
        return 3 * (kernel - 1 if kernel else 3) * turned + delta * turned
    groups = 0 if sizes.architecture in WITHOUT_GROUPS else _bounded(header.of_model("ssm.group_count"))
    convolution = max(0, kernel - 1) * (inner + 2 * groups * state)
    if sizes.architecture == "minimax-01":
        return convolution + sizes.key_length**2 * sizes.first_heads
    return convolution + state * inner


def _layer(header: Header, sizes: _Sizes, block: int) -> LayerCache:
    name, is_recurrent = sizes.architecture, sizes.recurrent[block]
    if name in WITHOUT_CACHE:
        return LayerCache()
    state = sizes.state if is_recurrent and block < sizes.trunk else 0
    has_attention = name not in PURELY_RECURRENT and (not is_recurrent or name in BOTH_IN_EVERY_LAYER)
    if name in NEMOTRONS and sizes.feed_forward[block]:
        has_attention = False
    # Hybrid models without a filter of their own count drafting layers too.
    is_attended = block < sizes.trunk or (name in HYBRID and name not in FULL_ATTENTION_INTERVAL)
    if not has_attention or not is_attended or block >= _layers_with_cache(header, len(sizes.kv_heads)):
        return LayerCache(state=state)
    index_keys, index_values = _indexer(header, sizes, block)
    return LayerCache(
        keys=sizes.keys(block),
        # Latent attention keeps one compressed row per token and no values.
        values=0 if sizes.is_latent else sizes.values(block),
        index_keys=index_keys,
        index_values=index_values,
        is_attended=True,
        is_windowed=sizes.windowed[block],
        state=state,
    )


def _layers_with_cache(header: Header, blocks: int) -> int:
    """Later layers of these models read what the last of these layers keep."""
    if header.architecture == "gemma3n":
        return GEMMA3N_LAYERS_WITH_CACHE
    if header.architecture == "gemma4":
        return blocks - _bounded(header.of_model("attention.shared_kv_layers"))
    return blocks


def _indexer(header: Header, sizes: _Sizes, block: int) -> tuple[int, int]:
    """Keys (and, without latent attention, values) of the index by which sparse attention selects tokens."""
    name = sizes.architecture
    if name not in INDEXED or not sizes.index_keys:
        return 0, 0
    if name == "hy_v4" and not header.of_model("attention.indexer.top_k"):
        return 0, 0
    if name == "minimax-m3" and block < _bounded(header.of_model("leading_dense_block_count")):
        return 0, 0
    if name in ("glm-dsa", "glm5-next", "hy_v4") and not _owns_indexer(header, block):
        return 0, 0
    if name == "glm5-next":
        pooled = _bounded(header.of_model("attention.indexer.kpool"))
        return sizes.index_keys * (3 if pooled else 1), 0
    is_key_only = sizes.is_latent or name == "qwen4exp"
    return sizes.index_keys, 0 if is_key_only else sizes.value_length


def _owns_indexer(header: Header, block: int) -> bool:
    flags = _flags(header, "attention.indexer.types")
    if flags is not None:
        return block < len(flags) and flags[block]
    trained = header.of_model("context_length") or 0
    if header.architecture != "glm-dsa" or trained < GLM_CONTEXT_WITH_SHARED_INDEXERS:
        return True
    return block < 2 or (block - 2) % GLM_INDEXER_PERIOD == 0
