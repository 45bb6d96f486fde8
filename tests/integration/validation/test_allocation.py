"""The engine's own plan of memory, asked in a confined child, against our formulas."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.gguf.writer import ARRAY, STRING, File, Pair, Stored, pad, tiny_llama
from tidegate.domain import InvalidInput, NotFound
from tidegate.validation import CrossCheck, EngineFigures, cross_check

RECORDED = json.loads((Path(__file__).parents[2] / "data" / "llama_cpp" / "memory.json").read_text())[
    "shapes"
]
PRINTED_BYTES = 0.011 * 1024**2


def _hollow_model(path: Path, name: str) -> Path:
    """A whole header of a recorded shape, with a small tokenizer, over a hole."""
    shape = RECORDED[name]
    architecture, place, stored = shape["architecture"], 0, []
    for tensor, dims in shape["tensors"].items():
        size = 4
        for items in dims:
            size *= items
        stored.append(Stored(tensor, tuple(dims), 0, b"", place))
        place = pad(place + size, 32)
    tokens = [f"token{number}" for number in range(shape["vocabulary"])]
    pairs = [
        Pair("general.architecture", STRING, architecture),
        Pair("tokenizer.ggml.model", STRING, "gpt2"),
        Pair("tokenizer.ggml.tokens", ARRAY, tokens),
        *(Pair(f"{architecture}.{key}", *value) for key, value in shape["metadata"].items()),
    ]
    head = File(tuple(pairs), tuple(stored)).head()
    with path.open("wb") as file:
        file.write(head)
        file.truncate(pad(len(head), 32) + place)
    return path


@pytest.mark.parametrize("name", ["gemma4", "deepseek2", "jamba"])
def test_the_engine_plans_what_we_estimate(tmp_path: Path, name: str):
    checked = cross_check(_hollow_model(tmp_path / "model.gguf", name), 2048, 2)
    assert checked.problem == ""
    assert checked.ours is not None
    assert checked.engines is not None
    assert checked.ours.weights_bytes == checked.engines.weights_bytes
    assert checked.ours.kv_cache_bytes == pytest.approx(checked.engines.kv_cache_bytes, abs=PRINTED_BYTES)
    assert checked.findings == ()


def test_a_model_that_the_engine_refuses_has_no_figure_and_says_why(tmp_path: Path):
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny_llama().without_tensor("blk.1.ffn_up.weight").encode())
    checked = cross_check(path, 256, 1)
    assert "refuses" in checked.problem
    assert any("ffn_up" in line for line in checked.log)
    assert checked.engines is None
    assert checked.findings == ()


def test_a_header_that_aborts_the_engine_is_no_figure_and_no_harm(tmp_path: Path):
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny_llama().with_pair("llama.expert_used_count", 4, 3).encode())
    assert "SIGABRT" in cross_check(path, 256, 1).problem


def test_what_is_no_model_or_no_file_is_told(tmp_path: Path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"<html>")
    assert "header" in cross_check(path, 256, 1).problem
    with pytest.raises(NotFound):
        cross_check(tmp_path / "missing.gguf", 256, 1)
    with pytest.raises(InvalidInput):
        cross_check("a\0b", 256, 1)


def test_a_difference_that_matters_is_a_warning_and_a_small_one_is_not():
    ours = EngineFigures(10 * 1024**3, 1024**3, 0)
    agreed = CrossCheck(ours, replace(ours, compute_bytes=200 * 1024**2))
    apart = CrossCheck(ours, replace(ours, kv_cache_bytes=3 * 1024**3))
    tiny = CrossCheck(EngineFigures(100, 0, 0), EngineFigures(60 * 1024**2, 0, 0))
    assert agreed.findings == tiny.findings == ()
    assert [found.check for found in apart.findings] == ["M-CROSS"]
