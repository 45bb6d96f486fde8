"""Opt-in (`pytest -m retrain`): train the small models again, a minute or two each, and compare them."""

import subprocess
import sys
from pathlib import Path

import pytest

from deployments.demo.answers import score_bank, score_heldout
from deployments.demo.banks import MODELS
from deployments.demo.export import from_gguf
from deployments.demo.subject import load_subject

ROOT = Path(__file__).parents[3]
TRAINING_DEADLINE_S = 1800


@pytest.mark.retrain
@pytest.mark.parametrize("model", MODELS)
def test_training_again_gives_a_model_that_answers_as_well(model: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deployments.demo.train", model, "v2-fast", "--out", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True, timeout=TRAINING_DEADLINE_S)

    trained, subject = from_gguf(tmp_path / f"{model}-v2-fast.gguf"), load_subject(model)
    committed = from_gguf(ROOT / "deployments" / "demo" / "models" / f"{model}-v2-fast.gguf")

    bank, heldout = score_bank(trained, subject), score_heldout(trained, subject)
    assert bank.right == bank.total
    assert heldout.right / heldout.total > 0.95
    assert trained.tokenizer.tokens == committed.tokenizer.tokens
