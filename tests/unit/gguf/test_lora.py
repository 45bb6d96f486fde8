"""LoRA adapters in GGUF are judged as what they are, by themselves and against a base model."""

import os
import tempfile
from typing import Any

import numpy as np
import pytest

from tests.unit.gguf.writer import (
    ARRAY,
    F32,
    STRING,
    TYPE_F16,
    TYPE_F32,
    TYPE_Q4_K,
    U32,
    File,
    Pair,
    Stored,
    tiny_llama,
)
from tidegate.gguf import Header, Severity, inspect_file, read_header
from tidegate.gguf.lora import check_adapter_on

BASE_WIDTH = 64


def matrix(name: str, dims: tuple[int, ...], kind: int = TYPE_F32, fill: float | None = None) -> Stored:
    array = (
        np.random.default_rng(3)
        .standard_normal(int(np.prod(dims)))
        .astype("<f2" if kind == TYPE_F16 else "<f4")
    )
    if fill is not None:
        array[:] = fill
    data = bytes(int(np.prod(dims)) // 256 * 144) if kind == TYPE_Q4_K else array.tobytes()
    return Stored(name, dims, kind, data)


PAIRS = (
    Pair("general.architecture", STRING, "llama"),
    Pair("general.type", STRING, "adapter"),
    Pair("adapter.type", STRING, "lora"),
    Pair("adapter.lora.alpha", F32, 16.0),
)
QUERY = "blk.0.attn_q.weight"
ADAPTER = File(
    PAIRS, (matrix(QUERY + ".lora_a", (BASE_WIDTH, 4)), matrix(QUERY + ".lora_b", (4, BASE_WIDTH)))
)


def _found(file: File) -> list[tuple[str, Severity]]:
    with tempfile.TemporaryFile() as target:
        target.write(file.encode())
        target.flush()
        os.lseek(target.fileno(), 0, os.SEEK_SET)
        seen = inspect_file(target.fileno())
    # That it is an adapter and needs its base model is always told.
    assert "S-KIND" in [found.check for found in seen.findings]
    return [(found.check, found.severity) for found in seen.findings if found.check != "S-KIND"]


def _header(file: File) -> Header:
    header = read_header(file.encode()).header
    assert header is not None
    return header


def _with(*tensors: Stored) -> File:
    return File(PAIRS, tensors)


def test_a_sound_adapter_passes_with_no_more_than_a_word_about_what_it_is():
    assert _found(ADAPTER) == []


A, B = ADAPTER.tensors
FAULTS: dict[str, tuple[File, str]] = {
    "another kind": (ADAPTER.with_pair("adapter.type", STRING, "control_vector"), "AD-KIND"),
    "no kind": (ADAPTER.without_pair("adapter.type"), "AD-KIND"),
    "kind as number": (ADAPTER.with_pair("adapter.type", U32, 1), "AD-KIND"),
    "unknown architecture": (ADAPTER.with_pair("general.architecture", STRING, "nonesuch"), "AD-ARCH"),
    "alpha of zero": (ADAPTER.with_pair("adapter.lora.alpha", F32, 0.0), "AD-ALPHA"),
    "alpha NaN": (ADAPTER.with_pair("adapter.lora.alpha", F32, float("nan")), "AD-ALPHA"),
    "alpha as integer": (ADAPTER.with_pair("adapter.lora.alpha", U32, 16), "AD-ALPHA"),
    "half a pair": (_with(A), "AD-PAIR"),
    "another tensor": (_with(A, B, matrix("output.weight", (BASE_WIDTH, 4))), "AD-TENSOR"),
    "ranks differ": (_with(A, matrix(QUERY + ".lora_b", (8, BASE_WIDTH))), "AD-SHAPE"),
    "transposed": (_with(matrix(QUERY + ".lora_a", (4, BASE_WIDTH)), B), "AD-SHAPE"),
    "a vector": (_with(matrix(QUERY + ".lora_a", (BASE_WIDTH,)), B), "AD-SHAPE"),
    "rank too large": (
        _with(matrix(QUERY + ".lora_a", (8, 2048)), matrix(QUERY + ".lora_b", (2048, 8))), "AD-RANK"
    ),
    "NaN": (_with(matrix(QUERY + ".lora_a", (BASE_WIDTH, 4), fill=float("nan")), B), "N-NAN"),
    "never trained": (_with(A, matrix(QUERY + ".lora_b", (4, BASE_WIDTH), fill=0.0)), "AD-UNTRAINED"),
    "tokens as text": (
        ADAPTER.with_pair("adapter.alora.invocation_tokens", ARRAY, ["a"], STRING), "AD-TOKENS"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_rule(fault: str):
    file, check = FAULTS[fault]
    assert (check, Severity.ERROR) in _found(file)


def test_a_missing_alpha_is_told_since_the_engine_then_does_not_scale():
    assert _found(ADAPTER.without_pair("adapter.lora.alpha")) == [("AD-ALPHA", Severity.WARNING)]


def test_extreme_strength_is_told():
    assert _found(ADAPTER.with_pair("adapter.lora.alpha", F32, 4096.0)) == [("AD-SCALE", Severity.WARNING)]


def test_norms_and_embeddings_are_understood():
    embedding = (
        matrix("token_embd.weight.lora_a", (4, 32)),
        matrix("token_embd.weight.lora_b", (4, BASE_WIDTH)),
    )
    assert _found(_with(A, B, *embedding, matrix("blk.0.attn_norm.weight", (BASE_WIDTH,)))) == []


def test_a_matching_base_model_raises_nothing():
    assert list(check_adapter_on(_header(ADAPTER), _header(tiny_llama(width=BASE_WIDTH)))) == []


@pytest.mark.parametrize(
    ("adapter", "check"),
    [
        (ADAPTER.with_pair("general.architecture", STRING, "qwen2"), "AD-ARCH"),
        (_with(matrix(QUERY + ".lora_a", (128, 4)), B), "AD-SHAPE"),
        (_with(A, matrix(QUERY + ".lora_b", (4, 128))), "AD-SHAPE"),
        (_with(matrix("blk.9.attn_q.weight.lora_a", (64, 4)), matrix("blk.9.attn_q.weight.lora_b", (4, 64))), "AD-MODEL"),
    ],
)  # fmt: skip
def test_an_adapter_for_another_base_is_refused(adapter: Any, check: str):
    found = list(check_adapter_on(_header(adapter), _header(tiny_llama(width=BASE_WIDTH))))
    assert [one.check for one in found] == [check]
