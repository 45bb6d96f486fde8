"""From trained weights to an F16 GGUF file that llama.cpp serves, and back."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.demo import gguf_file as gguf
from deployments.demo.gguf_file import Field, GgufFile, Tensor
from deployments.demo.model import Shape
from deployments.demo.tokenizer import BOS, EOS, UNKNOWN, Tokenizer
from deployments.demo.training import Trained

FILE_TYPE_MOSTLY_F16 = 1

# The template writes bos_token itself: a client that renders it says that special tokens are already there.
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + eos_token }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def to_gguf(trained: Trained, name: str, version: str, summary: str) -> GgufFile:
    """Matrices in half precision, norms in single precision, as llama.cpp's own converter does."""
    return GgufFile(
        fields=(
            *_general(name, version, summary),
            *_architecture(trained.shape),
            *_tokenizer(trained.tokenizer),
        ),
        tensors=tuple(_tensor(name, array) for name, array in trained.weights.items()),
    )


def from_gguf(path: Path) -> Trained:
    """The model of a file that `to_gguf` wrote, with weights as rounded in the file."""
    file = gguf.read(path)
    shape = Shape(
        dim=file.value("llama.embedding_length"),
        layers=file.value("llama.block_count"),
        heads=file.value("llama.attention.head_count"),
        kv_heads=file.value("llama.attention.head_count_kv"),
        ffn=file.value("llama.feed_forward_length"),
        vocabulary=file.value("llama.vocab_size"),
        context=file.value("llama.context_length"),
        rope_base=file.value("llama.rope.freq_base"),
        epsilon=file.value("llama.attention.layer_norm_rms_epsilon"),
    )
    tokenizer = Tokenizer(
        file.value("tokenizer.ggml.tokens"),
        file.value("tokenizer.ggml.scores"),
        file.value("tokenizer.ggml.token_type"),
    )
    return Trained(shape, tokenizer, {tensor.name: to_array(tensor) for tensor in file.tensors})


def to_array(tensor: Tensor) -> NDArray[np.float32]:
    """Rows-first array in single precision."""
    kind = {gguf.TENSOR_F32: np.float32, gguf.TENSOR_F16: np.float16}[tensor.kind]
    return np.frombuffer(tensor.data, kind).reshape(tensor.dims[::-1]).astype(np.float32)


def _tensor(name: str, array: NDArray[Any]) -> Tensor:
    kind, stored = (gguf.TENSOR_F16, np.float16) if array.ndim == 2 else (gguf.TENSOR_F32, np.float32)
    return Tensor(name, array.shape[::-1], kind, array.astype(stored).tobytes())


def _general(name: str, version: str, summary: str) -> list[Field]:
    return [
        Field("general.architecture", gguf.STRING, "llama"),
        Field("general.type", gguf.STRING, "model"),
        Field("general.name", gguf.STRING, f"{name}-{version}"),
        Field("general.basename", gguf.STRING, name),
        Field("general.version", gguf.STRING, version),
        Field("general.description", gguf.STRING, summary),
        Field("general.author", gguf.STRING, "Tidegate contributors"),
        Field("general.license", gguf.STRING, "apache-2.0"),
        Field("general.file_type", gguf.U32, FILE_TYPE_MOSTLY_F16),
        Field("general.quantization_version", gguf.U32, 2),
    ]


def _architecture(shape: Shape) -> list[Field]:
    return [
        Field("llama.context_length", gguf.U32, shape.context),
        Field("llama.embedding_length", gguf.U32, shape.dim),
        Field("llama.block_count", gguf.U32, shape.layers),
        Field("llama.feed_forward_length", gguf.U32, shape.ffn),
        Field("llama.attention.head_count", gguf.U32, shape.heads),
        Field("llama.attention.head_count_kv", gguf.U32, shape.kv_heads),
        Field("llama.attention.layer_norm_rms_epsilon", gguf.F32, shape.epsilon),
        Field("llama.rope.dimension_count", gguf.U32, shape.head_dim),
        Field("llama.rope.freq_base", gguf.F32, shape.rope_base),
        Field("llama.vocab_size", gguf.U32, shape.vocabulary),
    ]


def _tokenizer(tokenizer: Tokenizer) -> list[Field]:
    return [
        Field("tokenizer.ggml.model", gguf.STRING, "llama"),
        Field("tokenizer.ggml.tokens", gguf.ARRAY, list(tokenizer.tokens), gguf.STRING),
        Field("tokenizer.ggml.scores", gguf.ARRAY, list(tokenizer.scores), gguf.F32),
        Field("tokenizer.ggml.token_type", gguf.ARRAY, list(tokenizer.types), gguf.I32),
        Field("tokenizer.ggml.bos_token_id", gguf.U32, BOS),
        Field("tokenizer.ggml.eos_token_id", gguf.U32, EOS),
        Field("tokenizer.ggml.unknown_token_id", gguf.U32, UNKNOWN),
        Field("tokenizer.ggml.add_bos_token", gguf.BOOL, True),
        Field("tokenizer.ggml.add_eos_token", gguf.BOOL, False),
        Field("tokenizer.ggml.add_space_prefix", gguf.BOOL, False),
        Field("tokenizer.chat_template", gguf.STRING, CHAT_TEMPLATE),
    ]
