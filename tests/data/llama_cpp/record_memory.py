"""Records what llama.cpp itself needs for many shapes of models, into `memory.json` beside this file.

    python -m tests.data.llama_cpp.record_memory

No model is needed: the engine is asked to load files that have a header and a hole. Which tensors a model
of some architecture has, and in which shapes, is found out by asking the loader until it is content.
"""

import ctypes
import json
import os
import re
import sys
from itertools import chain
from pathlib import Path
from typing import Any

from llama_cpp import llama_cpp as engine

from tests.unit.gguf.writer import ARRAY, BOOL, F32, I32, STRING, U32, File, Pair, Stored, pad

RECORD = Path(__file__).parent / "memory.json"
TYPES = {"f16": 1, "q8_0": 8, "q4_0": 2}
VOCABULARY = 512
WITH_TENSORS = ("llama", "gemma3", "gemma4", "deepseek2", "jamba", "mamba2", "lfm2")

Metadata = dict[str, tuple[Any, ...]]

MIXTURE = {"expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 64}
STATE = {"ssm.conv_kernel": 4, "ssm.inner_size": 512, "ssm.state_size": 16, "ssm.time_step_rank": 16}
STATE_2 = {**STATE, "ssm.time_step_rank": 8, "ssm.group_count": 2}
DELTA = {**STATE, "ssm.state_size": 64, "ssm.time_step_rank": 8, "ssm.group_count": 4}
LATENT = {
    **MIXTURE,
    "attention.head_count_kv": 1,
    "attention.q_lora_rank": 64,
    "attention.kv_lora_rank": 128,
    "attention.key_length": 192,
    "attention.value_length": 128,
    "attention.key_length_mla": 96,
    "attention.value_length_mla": 64,
    "rope.dimension_count": 64,
    "expert_shared_count": 1,
    "leading_dense_block_count": 1,
    "expert_gating_func": 2,
}
INDEX = {
    "attention.indexer.head_count": 2,
    "attention.indexer.key_length": 128,
    "attention.indexer.top_k": 64,
}
WINDOW = {"attention.sliding_window": 512}
PATTERN = {**WINDOW, "attention.sliding_window_pattern": [False, True, True, True, True, False]}
EVERY_THIRD = {"attention.head_count_kv": [0, 0, 2, 0, 0, 2]}
NO_HEADS = {"attention.head_count": 0, "attention.head_count_kv": 0}
SHARED_EXPERT = {**MIXTURE, "expert_shared_count": 1, "leading_dense_block_count": 1, "expert_gating_func": 2}


def metadata(blocks: int = 6, **given: Any) -> Metadata:
    """Metadata without the prefix of the architecture, with GGUF types by the kind of value."""
    values: dict[str, Any] = {
        "context_length": 131072,
        "embedding_length": 256,
        "block_count": blocks,
        "feed_forward_length": 512,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "attention.layer_norm_epsilon": 1e-5,
        **given,
    }
    return {key: _typed(value) for key, value in values.items() if value is not None}


def _typed(value: Any) -> tuple[Any, ...]:
    if isinstance(value, list):
        item = BOOL if isinstance(value[0], bool) else F32 if isinstance(value[0], float) else U32
        return (ARRAY, [int(one) if isinstance(one, bool) else one for one in value], item)
    return (F32 if isinstance(value, float) else U32, value)


def per_block(names: str, blocks: Any) -> list[str]:
    return [f"blk.{block}.{name}" for block in blocks for name in names.split()]


INDEXER = "indexer.k_norm.weight indexer.k_norm.bias indexer.proj.weight indexer.attn_k.weight indexer.attn_q_b.weight"
SECTIONS = (ARRAY, [8, 8, 8, 0], I32)

# Name of the shape: architecture, metadata, optional tensors that the graph needs.
SHAPES: dict[str, tuple[str, Metadata, list[str]]] = {
    name: (name.split()[0], values, [])
    for name, values in {
        "llama": metadata(),
        "qwen2": metadata(),
        "qwen3": metadata(**{"attention.key_length": 128, "attention.value_length": 128}),
        "qwen3moe": metadata(**MIXTURE),
        "gemma": metadata(),
        "gemma2": metadata(**WINDOW),
        "gemma2 without a window": metadata(),
        "gemma3": metadata(12, **WINDOW),
        "gemma3 without a window": metadata(),
        "gemma3n": metadata(
            25,
            **WINDOW,
            **{"embedding_length_per_layer_input": 32, "altup.num_inputs": 4, "altup.active_idx": 0},
        ),
        "gemma4": metadata(
            **WINDOW,
            **{
                "attention.sliding_window_pattern": [True, True, False, True, True, False],
                "embedding_length_per_layer_input": 32,
                "attention.key_length": 128,
                "attention.value_length": 128,
                "attention.key_length_swa": 64,
                "attention.value_length_swa": 64,
                "attention.shared_kv_layers": 3,
                "final_logit_softcapping": 30.0,
            },
        ),
        "cohere2": metadata(8, **WINDOW, logit_scale=0.1),
        "cohere2moe": metadata(8, **WINDOW, **MIXTURE, logit_scale=0.1, leading_dense_block_count=1),
        "command-r": metadata(logit_scale=0.1),
        "gpt-oss": metadata(**WINDOW, **MIXTURE),
        "llama4": metadata(8, **MIXTURE, interleave_moe_layer_step=2),
        "llama4 without chunks": metadata(
            8, **MIXTURE, interleave_moe_layer_step=2, **{"attention.sliding_window": 0}
        ),
        "mistral3": metadata(),
        "olmo2": metadata(8, **WINDOW),
        "exaone4": metadata(),
        "exaone4 of 64 layers": metadata(64, **WINDOW),
        "exaone-moe": metadata(8, **WINDOW, **SHARED_EXPERT),
        "smallthinker": metadata(8, **WINDOW, **MIXTURE, expert_gating_func=2),
        "plamo3": metadata(16, **WINDOW),
        "mellum": metadata(8, **WINDOW, **MIXTURE),
        "afmoe": metadata(8, **WINDOW, **SHARED_EXPERT),
        "mimo2": metadata(**PATTERN, **MIXTURE),
        "step35": metadata(
            **PATTERN, **MIXTURE, expert_shared_feed_forward_length=64, leading_dense_block_count=1
        ),
        "spark2_5": metadata(**PATTERN),
        "granite_swa": metadata(**PATTERN, logit_scale=1.0),
        "maple": metadata(**PATTERN, **MIXTURE, expert_gating_func=2, swiglu_clamp_exp=[1.0] * 6),
        "muse-glimmer": metadata(8, **WINDOW, logit_scale=1.0),
        "deepseek2": metadata(**LATENT),
        "deepseek2 of old converters": metadata(
            **{
                **LATENT,
                "attention.key_length_mla": None,
                "attention.value_length_mla": None,
                "attention.head_count_kv": 4,
                "attention.key_length": 96,
                "attention.value_length": 64,
            }
        ),
        "deepseek32": metadata(**LATENT, **INDEX),
        "mistral4": metadata(**LATENT),
        "kimi-linear": metadata(
            **{**LATENT, "attention.head_count_kv": [0, 0, 0, 1, 0, 1]},
            **{"ssm.conv_kernel": 4, "kda.head_dim": 64},
        ),
        "mamba": metadata(**STATE, **NO_HEADS),
        "mamba2": metadata(**STATE, **NO_HEADS, **{"ssm.group_count": 2}),
        "jamba": metadata(**STATE, **EVERY_THIRD, **MIXTURE),
        "rwkv7": metadata(
            **NO_HEADS,
            **{
                "wkv.head_size": 64,
                "attention.decay_lora_rank": 32,
                "attention.iclr_lora_rank": 32,
                "attention.value_residual_mix_lora_rank": 32,
                "attention.gate_lora_rank": 32,
            },
        ),
        "lfm2": metadata(**EVERY_THIRD, **{"shortconv.l_cache": 3}),
        "lfm2 with a window": metadata(**EVERY_THIRD, **WINDOW, **{"shortconv.l_cache": 3}),
        "lfm2moe": metadata(
            **EVERY_THIRD,
            **MIXTURE,
            **{"shortconv.l_cache": 3, "expert_gating_func": 2, "leading_dense_block_count": 1},
        ),
        "minimax-01": metadata(8, **MIXTURE, residual_scale=1.0),
        "minimax-m3": metadata(
            **SHARED_EXPERT,
            **INDEX,
            **{"attention.indexer.block_size": 16, "attention.indexer.local_blocks": 1},
        ),
        "deci": metadata(
            **{"attention.head_count_kv": [1, 2, 0, 2, 1, 4], "attention.head_count": [4, 4, 0, 4, 4, 4]}
        ),
        "openelm": metadata(
            **{"attention.head_count_kv": [1, 2, 4, 2, 1, 4], "feed_forward_length": [256] * 6}
        ),
        "nanbeige": metadata(3, num_loops=2),
        "dream": metadata(),
        "falcon": metadata(),
        "gpt2": metadata(**{"attention.head_count_kv": 4}),
    }.items()
} | {
    "phi3": ("phi3", metadata(**WINDOW), per_block("attn_qkv.weight", range(6))),
    "glm-dsa": ("glm-dsa", metadata(**LATENT, **INDEX), per_block(INDEXER, range(6))),
    "glm-dsa with types": (
        "glm-dsa",
        metadata(**LATENT, **INDEX, **{"attention.indexer.types": [1, 1, 0, 0, 1, 0]}),
        per_block(INDEXER, [0, 1, 4]),
    ),
    "glm-dsa of a long context": (
        "glm-dsa",
        metadata(12, **LATENT, **INDEX, context_length=2**20),
        per_block(INDEXER, [0, 1, 2, 6, 10]),
    ),
    "qwen3next": (
        "qwen3next",
        metadata(8, **DELTA, **MIXTURE, expert_shared_feed_forward_length=64),
        per_block("attn_qkv.weight attn_gate.weight", [0, 1, 2, 4, 5, 6]),
    ),
    "qwen35": (
        "qwen35",
        {**metadata(8, **DELTA), "rope.dimension_sections": SECTIONS},
        per_block("attn_qkv.weight attn_gate.weight", [0, 1, 2, 4, 5, 6]),
    ),
    "falcon-h1": (
        "falcon-h1",
        metadata(4, **STATE_2),
        per_block("ssm_conv1d.bias ssm_norm.weight", range(4)),
    ),
    "granitehybrid": (
        "granitehybrid",
        metadata(**STATE_2, **EVERY_THIRD),
        per_block("ssm_conv1d.bias", [0, 1, 3, 4]),
    ),
    "nemotron_h": (
        "nemotron_h",
        metadata(**STATE_2, **EVERY_THIRD, feed_forward_length=[0, 512, 0, 0, 512, 0]),
        per_block("ssm_conv1d.bias", [0, 3]),
    ),
}

SETTINGS: list[dict[str, Any]] = [
    {},
    {"parallel": 2},
    {"parallel": 3, "is_unified": True},
    {"swa_full": True},
    {"key_type": "q8_0", "value_type": "q8_0"},
    {"key_type": "q4_0", "value_type": "q4_0"},
    {"flash_attention": False},
    {"context_tokens": 4000, "micro_batch": 128},
]
# Widths, inner width, heads, key-value heads, vocabulary and context of models as people use them.
REAL_SIZES = {
    "8b": (4096, 14336, 32, 8, 128256, 8192),
    "1b": (2048, 8192, 32, 8, 32000, 4096),
    "1b, long context": (2048, 8192, 32, 8, 32000, 131072),
    "large vocabulary": (2560, 10240, 8, 4, 262144, 32768),
}


class Engine:
    """Loads headers with holes and reports what the engine says it needs."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.callback = engine.llama_log_callback(
            lambda _level, text, _data: self.lines.append((text or b"").decode("utf-8", "replace"))
        )
        engine.llama_log_set(self.callback, ctypes.c_void_p(0))
        engine.llama_backend_init()

    def load(
        self, architecture: str, values: Metadata, tensors: dict[str, tuple[int, ...]], rows: int
    ) -> Any:
        self.lines.clear()
        params = engine.llama_model_default_params()
        params.no_alloc, params.n_gpu_layers = True, 0
        params.load_mode = engine.LLAMA_LOAD_MODE_NONE
        descriptor = hollow(architecture, values, tensors, rows)
        try:
            return engine.llama_model_load_from_file(f"/proc/self/fd/{descriptor}".encode(), params)
        finally:
            os.close(descriptor)

    def shapes(self, architecture: str, values: Metadata, optional: list[str], rows: int) -> dict[str, Any]:
        """The tensors that the loader wants, one answer at a time."""
        tensors: dict[str, tuple[int, ...]] = dict.fromkeys(optional, (1,))
        for _ in range(4000):
            model = self.load(architecture, values, tensors, rows)
            if model:
                engine.llama_model_free(model)
                return tensors
            said = "".join(self.lines)
            wrong = re.search(r"tensor '([^']+)' has wrong shape; expected ([\d, ]+), got", said)
            missing = re.search(r"(?:missing tensor|check_tensor_dims: tensor) '([^']+)'", said)
            if wrong:
                dims = [int(size) for size in wrong[2].split(",")]
                while len(dims) > 1 and dims[-1] == 1:
                    dims.pop()
                tensors[wrong[1]] = tuple(dims)
            elif missing:
                tensors[missing[1]] = (1,)
            else:
                raise RuntimeError(f"{architecture}: {said[-500:]}")
        raise RuntimeError(f"{architecture}: the loader never was content")

    def need(self, model: Any, settings: dict[str, Any]) -> dict[str, float]:
        self.lines.clear()
        parallel = settings.get("parallel", 1)
        params = engine.llama_context_default_params()
        params.n_ctx = settings.get("context_tokens", 1024) * parallel
        params.n_seq_max, params.n_ubatch = parallel, settings.get("micro_batch", 512)
        params.swa_full, params.kv_unified = (
            settings.get("swa_full", False),
            settings.get("is_unified", False),
        )
        params.type_k = TYPES[settings.get("key_type", "f16")]
        params.type_v = TYPES[settings.get("value_type", "f16")]
        params.flash_attn_type = int(settings.get("flash_attention", True))
        context = engine.llama_init_from_model(model, params)
        said = "".join(self.lines)
        if not context:
            raise RuntimeError(said[-500:])
        engine.llama_free(context)
        caches = re.findall(r"(?:kv_cache|memory_recurrent): size = +([\d.]+) MiB", said)
        compute = re.findall(r"compute buffer size = +([\d.]+) MiB", said)
        return {
            "cache_mib": round(sum(map(float, caches)), 2),
            "caches": len(caches),
            "compute_mib": round(sum(map(float, compute)), 2),
        }


def hollow(architecture: str, values: Metadata, tensors: dict[str, tuple[int, ...]], rows: int) -> int:
    """A file in memory with a header for float32 tensors and a hole where their data would be."""
    pairs = [
        Pair("general.architecture", STRING, architecture),
        Pair(f"{architecture}.vocab_size", U32, rows),
        Pair("tokenizer.ggml.model", STRING, "no_vocab"),
        *(Pair(f"{architecture}.{key}", *value) for key, value in values.items()),
    ]
    place, stored = 0, []
    for name, dims in tensors.items():
        items = 1
        for size in dims:
            items *= size
        stored.append(Stored(name, dims, 0, b"", place))
        place = pad(place + 4 * items, 32)
    head = File(tuple(pairs), tuple(stored)).head()
    descriptor = os.memfd_create("hollow")
    os.write(descriptor, head)
    os.ftruncate(descriptor, pad(len(head), 32) + place)
    return descriptor


def record(asked: Engine, name: str) -> dict[str, Any]:
    architecture, values, optional = SHAPES[name]
    tensors = asked.shapes(architecture, values, optional, VOCABULARY)
    model = asked.load(architecture, values, tensors, VOCABULARY)
    needs = [{**settings, **asked.need(model, settings)} for settings in SETTINGS]
    engine.llama_model_free(model)
    found: dict[str, Any] = {
        "architecture": architecture,
        "metadata": values,
        "vocabulary": VOCABULARY,
        "needs": needs,
    }
    if name in WITH_TENSORS:
        found["tensors"] = tensors
    return found


def record_real(asked: Engine, architecture: str, size: str) -> dict[str, Any]:
    width, inner, heads, shared, rows, context = REAL_SIZES[size]
    values = metadata(
        7,
        embedding_length=width,
        feed_forward_length=inner,
        **{"attention.head_count": heads, "attention.head_count_kv": shared},
        **(WINDOW if architecture.startswith("gemma") else {}),
    )
    tensors = asked.shapes(architecture, values, [], rows)
    model = asked.load(architecture, values, tensors, rows)
    settings: list[dict[str, Any]] = [
        {},
        {"flash_attention": False},
        {"parallel": 4},
        {"parallel": 4, "is_unified": True},
    ]
    needs = [
        {**one, "context_tokens": context, **asked.need(model, {**one, "context_tokens": context})}
        for one in settings
    ]
    engine.llama_model_free(model)
    return {"architecture": architecture, "metadata": values, "vocabulary": rows, "needs": needs}


def main() -> int:
    asked = Engine()
    shapes = {name: record(asked, name) for name in SHAPES}
    real = {
        f"{architecture} {size}": record_real(asked, architecture, size)
        for architecture in ("llama", "qwen2", "qwen3", "gemma3")
        for size in REAL_SIZES
    }
    lines = chain(_rows("shapes", shapes), [","], _rows("real", real))
    RECORD.write_text('{"engine": "llama-cpp-python 0.3.36",\n' + "\n".join(lines) + "}\n")
    return 0


def _rows(title: str, models: dict[str, Any]) -> list[str]:
    """One line for each model, so that a new recording can be compared."""
    rows = [
        f"{json.dumps(name)}: {json.dumps(model, separators=(',', ':'))}" for name, model in models.items()
    ]
    return [f'"{title}": {{', ",\n".join(rows), "}"]


if __name__ == "__main__":
    sys.exit(main())
