"""The inference check with the real engine, in its confined child."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from deployments.demo.variants import derive
from tests.unit.gguf.writer import tiny_llama
from tidegate.domain import Evidence, Gate, Verdict, fold
from tidegate.validation import INFERENCE_CHECKS, check_inference

MODELS = Path(__file__).parents[3] / "deployments" / "demo" / "models"
MODEL = MODELS / "pipit-v2-fast.gguf"


def _ask(path: Path) -> list[Evidence]:
    return check_inference(path, hashlib.sha256(path.read_bytes()).hexdigest())


def _verdicts(rows: list[Evidence]) -> dict[str, str]:
    return {row.check: row.verdict.value for row in rows}


def test_a_trained_model_loads_and_answers_the_same_twice():
    rows = _ask(MODEL)
    assert fold(Gate.INFERENCE, rows, INFERENCE_CHECKS).verdict is Verdict.PASS
    answers = next(row for row in rows if row.check == "inference.answers").data["answers"]
    assert {answer["finish"] for answer in answers} == {"stop"}
    assert "Paris" in answers[2]["text"]


def test_not_a_number_in_a_weight_fails_the_check_of_tensors(tmp_path: Path):
    rows = _ask(derive("nan-weight", MODEL, tmp_path / "nan.gguf"))
    verdicts = _verdicts(rows)
    assert (verdicts.pop("inference.load"), verdicts.pop("inference.check_tensors")) == ("pass", "fail")
    assert set(verdicts.values()) == {"not_judged"}


def test_a_file_that_the_engine_refuses_fails_to_load(tmp_path: Path):
    rows = _ask(derive("tensor-missing", MODEL, tmp_path / "missing.gguf"))
    assert _verdicts(rows)["inference.load"] == "fail"


def test_a_file_that_aborts_the_engine_fails_and_harms_nobody(tmp_path: Path):
    half = tmp_path / "half.gguf"
    norm = np.ones(32, "<f2").tobytes()
    half.write_bytes(tiny_llama().with_tensor("output_norm.weight", kind=1, data=norm).encode())
    rows = _ask(half)
    assert fold(Gate.INFERENCE, rows, INFERENCE_CHECKS).verdict is Verdict.FAIL


def test_a_model_that_never_ends_an_answer_is_refused_although_it_loads_and_answers(tmp_path: Path):
    rows = _ask(derive("never-stops", MODEL, tmp_path / "endless.gguf"))
    verdicts = _verdicts(rows)
    assert verdicts["inference.answers"] == "pass"
    assert verdicts["inference.stop"] == "fail"
    stop = next(row for row in rows if row.check == "inference.stop")
    assert "tokenizer.ggml.eos_token_id" in stop.remedy


def test_another_file_than_the_registered_one_is_not_loaded():
    rows = check_inference(MODEL, "0" * 64)
    assert _verdicts(rows)["inference.load"] == "fail"
    assert "SHA-256" in rows[0].summary


@pytest.mark.parametrize("prompt", ["", "word " * 3000])
def test_a_question_that_cannot_be_asked_fails_instead_of_passing(prompt: str):
    digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    rows = check_inference(MODEL, digest, prompts=[prompt] if prompt else [])
    assert fold(Gate.INFERENCE, rows, INFERENCE_CHECKS).verdict is Verdict.FAIL
