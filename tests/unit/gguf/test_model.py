"""Hyper-parameters, tensors of the architecture and the vocabulary."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.gguf.judging import errors, inspect, warnings
from tests.unit.gguf.writer import (
    ARRAY,
    BOOL,
    F32,
    I32,
    STRING,
    TYPE_F16,
    U32,
    U64,
    File,
    Stored,
    tiny_llama,
    vocabulary,
)

TINY = tiny_llama()
TOKENS, KINDS = vocabulary()
T = "tokenizer.ggml."


def _tokens(change: dict[int, str]) -> File:
    return TINY.with_pair(T + "tokens", ARRAY, [change.get(n, text) for n, text in enumerate(TOKENS)])


def _kinds(change: dict[int, int]) -> File:
    return TINY.with_pair(T + "token_type", ARRAY, [change.get(n, kind) for n, kind in enumerate(KINDS)], I32)


@pytest.mark.parametrize(
    "key",
    [
        "general.architecture", "llama.context_length", "llama.embedding_length", "llama.block_count",
        "llama.attention.layer_norm_rms_epsilon", "llama.attention.head_count", "llama.feed_forward_length",
        "tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.eos_token_id", "tokenizer.chat_template",
    ],
)  # fmt: skip
def test_a_file_without_a_needed_key_is_refused(key: str):
    assert errors(TINY.without_pair(key))


@pytest.mark.parametrize(
    ("key", "kind", "value", "check"),
    [
        ("llama.block_count", U64, 2, "S-KEYTYPE"),
        ("llama.embedding_length", I32, 32, "S-KEYTYPE"),
        ("general.name", U32, 1, "S-KEYTYPE"),
        ("tokenizer.ggml.add_bos_token", U32, 1, "S-KEYTYPE"),
        ("general.architecture", STRING, "no-such-model", "S-ARCH"),
        ("general.architecture", STRING, "clip", "S-KIND"),
        ("llama.block_count", U32, 0, "S-RANGE"),
        ("llama.block_count", U32, 513, "S-RANGE"),
        ("llama.block_count", U32, 2**32 - 1, "S-RANGE"),
        ("llama.block_count", U32, 3, "S-MISSING"),
        ("llama.block_count", U32, 1, "S-EXTRA"),
        ("llama.context_length", U32, 0, "S-RANGE"),
        ("llama.attention.head_count", U32, 0, "S-HEADS"),
        ("llama.attention.head_count", U32, 5, "S-HEADS"),
        ("llama.attention.head_count", U32, 2, "S-ROPE"),
        ("llama.attention.head_count_kv", U32, 3, "S-HEADS"),
        ("llama.attention.head_count_kv", U32, 8, "S-HEADS"),
        ("llama.attention.head_count_kv", U32, 1, "S-SHAPE"),
        ("llama.rope.dimension_count", U32, 4, "S-ROPE"),
        ("llama.rope.scaling.type", STRING, "magic", "S-ROPE"),
        ("llama.rope.freq_base", F32, -1.0, "S-ROPE"),
        ("llama.attention.layer_norm_rms_epsilon", F32, -1e-5, "S-RANGE"),
        ("llama.attention.layer_norm_rms_epsilon", F32, float("inf"), "K-NAN"),
        ("llama.expert_count", U32, 4, "S-RANGE"),
        ("llama.expert_used_count", U32, 2, "S-RANGE"),
        ("llama.feed_forward_length", U32, 96, "S-SHAPE"),
        ("tokenizer.ggml.eos_token_id", U32, 100_000, "V-RANGE"),
        ("tokenizer.ggml.bos_token_id", U32, 2**32 - 1, "V-RANGE"),
        ("tokenizer.ggml.eos_token_id", U32, 1, "V-EOS"),
        ("tokenizer.ggml.eos_token_id", U32, 0, "V-EOS"),
        ("tokenizer.ggml.eos_token_id", U32, 40, "V-EOS"),
        ("tokenizer.ggml.eos_token_id", U32, 264, "V-EOS"),
        ("tokenizer.ggml.model", STRING, "gpt2", "V-MISSING"),
        ("tokenizer.ggml.model", STRING, "no_vocab", "V-MISSING"),
        ("tokenizer.ggml.model", STRING, "mystery", "V-MODEL"),
    ],
)
def test_a_wrong_value_is_named(key: str, kind: int, value: object, check: str):
    assert check in errors(TINY.with_pair(key, kind, value))


@pytest.mark.parametrize(
    ("file", "check"),
    [
        (TINY.with_pair(T + "tokens", ARRAY, list(range(9)), I32), "V-TYPE"),
        (TINY.with_pair(T + "tokens", ARRAY, TOKENS[:-1]), "V-SIZE"),
        (TINY.with_pair(T + "tokens", ARRAY, [*TOKENS, "more"]), "V-SIZE"),
        (TINY.with_pair(T + "scores", ARRAY, [0.0] * 4, F32), "V-LEN"),
        (TINY.with_pair(T + "scores", ARRAY, [0] * len(TOKENS), U64), "V-TYPE"),
        (TINY.with_pair(T + "token_type", ARRAY, [1] * len(TOKENS), 0), "V-TYPE"),
        (TINY.with_pair(T + "token_type", ARRAY, KINDS[:-1], I32), "V-LEN"),
        (TINY.with_pair(T + "merges", ARRAY, ["a b", "ab"]), "V-MERGE"),
        (_tokens({264: "word0", 265: "word0"}), "V-DUP"),
        (_tokens({265: "x" * 70_000}), "V-EMPTY"),
        (_kinds({265: 9}), "V-KIND"),
    ],
)
def test_tokenizer_arrays_must_agree(file: File, check: str):
    assert check in errors(file)


@pytest.mark.parametrize(
    ("file", "check"),
    [
        (_kinds({2: 1}), "V-EOS"),
        (_kinds({1: 1}), "V-BOS"),
        (_tokens({2: "<|never-seen|>"}), "V-EOS"),
        (_tokens({265: ""}), "V-EMPTY"),
        (_tokens({3: "not a byte"}), "V-BYTES"),
        (TINY.with_pair(T + "padding_token_id", U32, len(TOKENS)), "V-RANGE"),
        (TINY.with_pair("general.file_type", U32, 7), "S-FTYPE"),
        (TINY.with_pair("llama.vocab_size", U32, 9), "V-SIZE"),
    ],
)
def test_what_published_files_get_wrong_without_harm_is_a_warning(file: File, check: str):
    assert errors(file) == set()
    assert check in warnings(file)


def test_one_token_may_be_both_beginning_and_end_when_it_is_an_end():
    both = _tokens({1: "<bos-of-old>", 2: "<|endoftext|>"}).with_pair(T + "bos_token_id", U32, 2)
    assert errors(both) == set()


def test_a_tensor_that_is_missing_extra_or_misshapen_is_named():
    assert "S-MISSING" in errors(TINY.without_tensor("blk.1.ffn_up.weight"))
    assert "S-MISSING" in errors(TINY.without_tensor("token_embd.weight"))
    stray = Stored("blk.0.extra.weight", (32, 32), TYPE_F16, TINY.tensors[2].data)
    assert "S-EXTRA" in errors(replace(TINY, tensors=(*TINY.tensors, stray)))
    assert "S-SHAPE" in errors(TINY.with_tensor("blk.0.ffn_up.weight", dims=(64, 32)))


def test_norms_in_half_precision_are_refused_because_they_abort_the_engine():
    half = TINY.with_tensor("output_norm.weight", kind=TYPE_F16, data=np.ones(32, "<f2").tobytes())
    assert errors(half) == {"S-NORM"}


def test_integer_weights_are_refused():
    whole = TINY.with_tensor("blk.0.attn_q.weight", kind=24, data=bytes(range(256)) * 4)
    assert "S-WEIGHT" in errors(whole)


def test_a_separate_output_matrix_and_fused_attention_are_accepted():
    by_name = {tensor.name: tensor for tensor in TINY.tensors}
    output = replace(by_name["token_embd.weight"], name="output.weight")
    parts = [by_name[f"blk.0.attn_{part}.weight"] for part in "qkv"]
    fused = Stored("blk.0.attn_qkv.weight", (32, 64), TYPE_F16, b"".join(part.data for part in parts))
    rest = [tensor for tensor in TINY.tensors if tensor not in parts]
    assert inspect(replace(TINY, tensors=(*rest, fused, output))).findings == ()


def test_another_architecture_is_judged_by_what_all_share():
    other = replace(TINY, pairs=tuple(
        replace(pair, key=str(pair.key).replace("llama.", "qwen2.")) for pair in TINY.pairs
    )).with_pair("general.architecture", STRING, "qwen2")  # fmt: skip
    assert inspect(other).findings == ()
    assert "S-EXTRA" in errors(other.with_pair("qwen2.block_count", U32, 1))
    assert "S-MISSING" in errors(other.with_pair("qwen2.block_count", U32, 4))


def test_add_bos_without_a_bos_token_is_a_warning():
    assert warnings(TINY.without_pair(T + "bos_token_id").with_pair(T + "add_bos_token", BOOL, 1)) == {
        "V-BOS"
    }
