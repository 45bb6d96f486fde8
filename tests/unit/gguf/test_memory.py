"""The memory estimate against numbers that llama.cpp itself reported."""

import pytest

from tests.unit.gguf.writer import U32, tiny_llama
from tidegate.domain import InvalidInput
from tidegate.gguf import Header, estimate_memory, read_header

MEBIBYTE = 1024**2


def _header(**numbers: int) -> Header:
    file = tiny_llama()
    for key, value in numbers.items():
        file = file.with_pair("llama." + key.replace("__", "."), U32, value)
    header = read_header(file.encode()).header
    assert header is not None
    return header


def _eight_billion() -> Header:
    return _header(
        embedding_length=4096, block_count=32, attention__head_count=32, attention__head_count_kv=8
    )


def test_grouped_query_attention_costs_what_the_engine_reports_for_an_8b_model():
    assert estimate_memory(_eight_billion(), 8192, 1).kv_cache_bytes == 1024 * MEBIBYTE


def test_latent_attention_keeps_one_compressed_row_per_token():
    header = _header(
        embedding_length=2048, block_count=27, attention__kv_lora_rank=512, rope__dimension_count=64
    )
    assert estimate_memory(header, 8192, 1).kv_cache_bytes == 243 * MEBIBYTE


def test_more_sequences_and_more_context_cost_more():
    header = _eight_billion()
    one, four = estimate_memory(header, 4096, 1), estimate_memory(header, 4096, 4)
    assert four.kv_cache_bytes == 4 * one.kv_cache_bytes
    assert estimate_memory(header, 8192, 1).total_bytes > one.total_bytes
    assert estimate_memory(header, 4096, 1, kv_bytes=1).kv_cache_bytes == one.kv_cache_bytes // 2


def test_weights_are_the_exact_bytes_of_the_tensors():
    file = tiny_llama()
    header = read_header(file.encode()).header
    assert header is not None
    estimate = estimate_memory(header, 256, 1)
    assert estimate.weights_bytes == sum(len(tensor.data) for tensor in file.tensors)
    embedding = next(len(tensor.data) for tensor in file.tensors if tensor.name == "token_embd.weight")
    on_gpu = estimate_memory(header, 256, 1, is_on_gpu=True)
    assert on_gpu.weights_bytes == estimate.weights_bytes + embedding
    assert on_gpu.overhead_bytes > estimate.overhead_bytes


def test_the_parts_add_up():
    estimate = estimate_memory(_eight_billion(), 4096, 2)
    parts = (estimate.weights_bytes, estimate.kv_cache_bytes, estimate.compute_bytes, estimate.overhead_bytes)
    assert estimate.total_bytes == sum(parts)


@pytest.mark.parametrize(("context", "parallel"), [(0, 1), (1, 0), (-1, 1)])
def test_a_senseless_request_is_refused(context: int, parallel: int):
    with pytest.raises(InvalidInput):
        estimate_memory(_eight_billion(), context, parallel)


def test_a_header_without_sizes_is_refused_not_guessed():
    header = read_header(tiny_llama().without_pair("llama.block_count").encode()).header
    assert header is not None
    with pytest.raises(InvalidInput, match="block_count"):
        estimate_memory(header, 256, 1)


def test_an_absurd_block_count_does_not_use_up_memory():
    with pytest.raises(InvalidInput):
        estimate_memory(_header(block_count=2**32 - 1), 256, 1)


def test_a_sliding_window_makes_the_estimate_an_upper_bound():
    assert estimate_memory(_header(attention__sliding_window=128), 256, 1).is_upper_bound
