"""The memory estimate against numbers that llama.cpp itself reported (`tests/data/llama_cpp`)."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.unit.gguf.writer import ARRAY, STRING, U32, File, Pair, Stored, tiny_llama
from tidegate.domain import InvalidInput
from tidegate.gguf import (
    GPUS,
    Gpu,
    Header,
    ServingOptions,
    cache_bytes,
    cheapest,
    estimate_memory,
    fit,
    read_header,
    with_prices,
)
from tidegate.gguf.cache_plan import cache_plan

MEBIBYTE = 1024**2
RECORDED = json.loads((Path(__file__).parents[2] / "data" / "llama_cpp" / "memory.json").read_text())
PRINTED_MIB = 0.005


def _header(**numbers: int) -> Header:
    file = tiny_llama()
    for key, value in numbers.items():
        file = file.with_pair("llama." + key.replace("__", "."), U32, value)
    return _read(file)


def _read(file: File) -> Header:
    header = read_header(file.encode()).header
    assert header is not None
    return header


@cache
def _recorded(part: str, name: str) -> Header:
    """The header of a recorded shape; of its tensors only the embedding matters here."""
    shape = RECORDED[part][name]
    architecture = shape["architecture"]
    pairs = [Pair(f"{architecture}.{key}", *value) for key, value in shape["metadata"].items()]
    width = shape["metadata"]["embedding_length"][1]
    embedding = Stored("token_embd.weight", (width, shape["vocabulary"]), 0, b"")
    return _read(File((Pair("general.architecture", STRING, architecture), *pairs), (embedding,)))


def _options(need: dict[str, Any]) -> tuple[int, int, ServingOptions]:
    given = {
        key: value
        for key, value in need.items()
        if key not in ("cache_mib", "caches", "compute_mib", "context_tokens", "parallel")
    }
    return need.get("context_tokens", 1024), need.get("parallel", 1), ServingOptions(**given)


@pytest.mark.parametrize("name", RECORDED["shapes"])
def test_the_cache_is_what_the_engine_allocates(name: str):
    for need in RECORDED["shapes"][name]["needs"]:
        context, parallel, options = _options(need)
        ours = cache_bytes(_recorded("shapes", name), context, parallel, options) / MEBIBYTE
        assert ours == pytest.approx(need["cache_mib"], abs=PRINTED_MIB * max(1, need["caches"]) + 1e-9), need


@pytest.mark.parametrize("name", RECORDED["real"])
def test_compute_buffers_of_dense_models_are_within_two_percent_of_the_engine(name: str):
    header = _recorded("real", name)
    for need in RECORDED["real"][name]["needs"]:
        context, parallel, options = _options(need)
        estimate = estimate_memory(header, context, parallel, options=options)
        output = 4 * RECORDED["real"][name]["vocabulary"] * parallel
        ours = (estimate.compute_bytes - output) / MEBIBYTE
        assert ours == pytest.approx(need["compute_mib"], rel=0.02), need
        assert estimate.kv_cache_bytes / MEBIBYTE == pytest.approx(need["cache_mib"], abs=0.02)


def test_published_figures_of_an_8b_model_are_met():
    header = _recorded("real", "llama 8b")
    per_layer = 7
    assert cache_bytes(header, 8192, 1) * 32 // per_layer == 1024 * MEBIBYTE
    q8 = ServingOptions(key_type="q8_0", value_type="q8_0")
    assert cache_bytes(header, 8192, 1, q8) * 32 // per_layer == 544 * MEBIBYTE


def test_a_sliding_window_saves_most_of_a_long_cache_unless_the_engine_keeps_all():
    header = _recorded("shapes", "gemma3")
    windowed = cache_bytes(header, 131072, 1)
    assert cache_bytes(header, 131072, 1, ServingOptions(swa_full=True)) > 5 * windowed


def test_latent_attention_keeps_one_compressed_row_per_token():
    assert {layer.values for layer in cache_plan(_recorded("shapes", "deepseek2")).layers} == {0}


def test_a_recurrent_state_does_not_grow_with_the_context():
    header = _recorded("shapes", "mamba2")
    assert cache_bytes(header, 256, 1) == cache_bytes(header, 131072, 1) > 0
    assert cache_bytes(header, 256, 3) == 3 * cache_bytes(header, 256, 1)


def test_weights_are_the_exact_bytes_of_the_tensors():
    file = tiny_llama()
    header = _read(file)
    estimate = estimate_memory(header, 256, 1)
    assert estimate.weights_bytes == sum(len(tensor.data) for tensor in file.tensors)
    assert estimate.gpu_bytes == 0
    assert estimate.host_bytes == estimate.total_bytes


def test_on_a_gpu_a_tied_embedding_is_needed_twice_and_the_first_stays_on_the_host():
    file = tiny_llama()
    header = _read(file)
    embedding = next(len(tensor.data) for tensor in file.tensors if tensor.name == "token_embd.weight")
    on_host, on_gpu = estimate_memory(header, 256, 1), estimate_memory(header, 256, 1, is_on_gpu=True)
    assert on_gpu.weights_bytes == on_host.weights_bytes + embedding
    assert on_gpu.overhead_bytes > on_host.overhead_bytes
    assert embedding < on_gpu.host_bytes < on_gpu.total_bytes


def test_layers_left_on_the_host_take_their_weights_and_cache_with_them():
    header = _header()
    sizes = [
        estimate_memory(header, 4096, 1, is_on_gpu=True, options=ServingOptions(gpu_layers=layers)).gpu_bytes
        for layers in range(4)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] == 0
    assert sizes[2] - sizes[1] >= cache_bytes(header, 4096, 1) // 2
    assert sizes[3] == estimate_memory(header, 4096, 1, is_on_gpu=True).gpu_bytes


def test_the_parts_add_up():
    estimate = estimate_memory(_header(), 4096, 2)
    parts = (estimate.weights_bytes, estimate.kv_cache_bytes, estimate.compute_bytes, estimate.overhead_bytes)
    assert estimate.total_bytes == sum(parts)


@pytest.mark.parametrize(("context", "parallel"), [(0, 1), (1, 0), (-1, 1)])
def test_a_senseless_request_is_refused(context: int, parallel: int):
    with pytest.raises(InvalidInput):
        estimate_memory(_header(), context, parallel)


@pytest.mark.parametrize(
    "options",
    [
        ServingOptions(key_type="f12"),
        ServingOptions(value_type="q8_0", flash_attention=False),
        ServingOptions(micro_batch=0),
        ServingOptions(gpu_layers=-1),
    ],
)
def test_settings_that_the_engine_refuses_are_refused(options: ServingOptions):
    with pytest.raises(InvalidInput):
        estimate_memory(_header(), 256, 1, options=options)


def test_a_header_without_sizes_is_refused_not_guessed():
    header = _read(tiny_llama().without_pair("llama.block_count"))
    with pytest.raises(InvalidInput, match="block_count"):
        estimate_memory(header, 256, 1)


def test_absurd_numbers_do_not_use_up_memory():
    with pytest.raises(InvalidInput):
        estimate_memory(_header(block_count=2**32 - 1), 256, 1)
    huge = 2**32 - 1
    header = _header(attention__head_count_kv=huge, attention__key_length=huge, ssm__state_size=huge)
    assert estimate_memory(header, 2**40, 2**20).total_bytes > 0


def test_a_pattern_shorter_than_the_model_leaves_the_other_layers_whole():
    file = tiny_llama(blocks=4).with_pair("general.architecture", STRING, "gemma3")
    for pair in file.pairs:
        if isinstance(pair.key, str) and pair.key.startswith("llama."):
            file = file.with_pair("gemma3." + pair.key[6:], pair.kind, pair.value)
    file = file.with_pair("gemma3.attention.sliding_window", U32, 512)
    file = file.with_pair("gemma3.attention.sliding_window_pattern", ARRAY, [1, 1], 7)
    windowed = [layer.is_windowed for layer in cache_plan(_read(file)).layers]
    assert windowed == [True, True, False, False]


def test_an_architecture_with_a_cache_of_its_own_kind_says_that_it_is_an_upper_bound():
    file = tiny_llama().with_pair("general.architecture", STRING, "deepseek4")
    for pair in file.pairs:
        if isinstance(pair.key, str) and pair.key.startswith("llama."):
            file = file.with_pair("deepseek4." + pair.key[6:], pair.kind, pair.value)
    assert estimate_memory(_read(file), 256, 1).is_upper_bound
    assert not estimate_memory(_header(), 256, 1).is_upper_bound


def test_gpus_come_cheapest_first_and_say_what_is_missing():
    estimate = estimate_memory(_recorded("real", "llama 8b"), 8192, 4, is_on_gpu=True)
    small, large = Gpu("small", 1, 0.1), Gpu("large", 80, 2.0)
    fits = fit(estimate, (large, Gpu("unpriced", 80), small))
    assert [(one.gpu, one.fits) for one in fits] == [("small", False), ("large", True), ("unpriced", True)]
    assert fits[0].headroom_bytes < 0 < fits[1].headroom_bytes
    assert fits[1].headroom_bytes == large.usable_bytes - estimate.gpu_bytes
    best = cheapest(fits)
    assert best is not None
    assert best.gpu == "large"


def test_a_gpu_of_24_gib_has_about_a_gibibyte_less_to_use():
    (card,) = (gpu for gpu in GPUS if gpu.id == "NVIDIA L4")
    assert 23 * 1024**3 < card.usable_bytes < 23.6 * 1024**3


def test_prices_of_a_live_catalog_replace_the_list():
    assert with_prices((Gpu("a", 8, 1.0), Gpu("b", 8, 1.0)), {"a": 2.5}) == (Gpu("a", 8, 2.5), Gpu("b", 8))


def test_every_gpu_is_listed_once():
    assert len({gpu.id for gpu in GPUS}) == len(GPUS)


def test_an_estimate_without_a_gpu_cannot_be_fitted():
    with pytest.raises(InvalidInput, match="without a GPU"):
        fit(estimate_memory(_header(), 256, 1))
