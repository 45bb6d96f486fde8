"""Writes safetensors files and adapter folders for tests: what it is told, also when that is wrong."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tidegate.gguf import Severity
from tidegate.safetensors import ArtifactInspection, inspect_artifact

Arrays = Mapping[str, tuple[str, np.ndarray]]


def floats(*shape: int, dtype: str = "<f4") -> np.ndarray:
    return np.random.default_rng(7).standard_normal(shape).astype(dtype)


def entries(arrays: Arrays) -> tuple[dict[str, Any], bytes]:
    """Header entries and data of sound tensors."""
    table: dict[str, Any] = {}
    data = b""
    for name, (dtype, array) in arrays.items():
        raw = array.tobytes()
        table[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    return table, data


def encode(table: Mapping[str, Any] | str | bytes, data: bytes, *, length: int | None = None) -> bytes:
    """A file from a header, which may be wrong in any way."""
    text = table if isinstance(table, str | bytes) else json.dumps(table)
    raw = text.encode() if isinstance(text, str) else text
    return (len(raw) if length is None else length).to_bytes(8, "little") + raw + data


def small_model() -> Arrays:
    return {
        "model.embed_tokens.weight": ("F32", floats(32, 8)),
        "model.layers.0.self_attn.q_proj.weight": ("F16", floats(8, 8, dtype="<f2")),
        "model.norm.weight": ("F32", np.ones(8, "<f4")),
    }


def sound() -> bytes:
    return encode(*entries(small_model()))


def lora(
    rank: int = 4, layers: int = 2, **changes: tuple[str, np.ndarray] | None
) -> dict[str, tuple[str, np.ndarray]]:
    """Matrices of an adapter for `q_proj` and `v_proj`; a change by `layer_module_side` replaces or drops one."""
    tensors: dict[str, tuple[str, np.ndarray]] = {}
    for layer in range(layers):
        for module, out in (("q_proj", 16), ("v_proj", 8)):
            stem = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            for side, shape in (("A", (rank, 16)), ("B", (out, rank))):
                change = changes.get(f"{layer}_{module}_{side}".replace("_proj", ""), ("F32", floats(*shape)))
                if change is not None:
                    tensors[f"{stem}.lora_{side}.weight"] = change
    return tensors


CONFIG: dict[str, Any] = {
    "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "lora_dropout": 0.05, "bias": "none",
    "target_modules": ["q_proj", "v_proj"], "base_model_name_or_path": "example-org/pipit", "use_dora": False,
    "modules_to_save": None, "rank_pattern": {}, "inference_mode": True, "auto_mapping": None,
}  # fmt: skip
MODEL_CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "vocab_size": 32,
    "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 16,
}  # fmt: skip


def write_adapter(
    folder: Path, tensors: Arrays | None = None, config: Mapping[str, Any] | None = None, **changes: Any
) -> Path:
    folder.mkdir(exist_ok=True)
    stated = {**(CONFIG if config is None else config), **changes}
    (folder / "adapter_config.json").write_text(json.dumps(stated))
    (folder / "adapter_model.safetensors").write_bytes(encode(*entries(tensors or lora())))
    return folder


def inspect(path: Path) -> ArtifactInspection:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return inspect_artifact(descriptor, path.name)
    finally:
        os.close(descriptor)


def inspect_bytes(content: bytes, name: str = "") -> ArtifactInspection:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        return inspect_artifact(file.fileno(), name)


def errors(seen: ArtifactInspection) -> list[str]:
    return [found.check for found in seen.findings if found.severity is Severity.ERROR]


def checks(seen: ArtifactInspection) -> list[str]:
    return [found.check for found in seen.findings]
