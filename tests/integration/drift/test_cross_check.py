"""Our figures beside those of llama.cpp's own tool, token for token the same windows of the same text."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tidegate.domain import NotFound
from tidegate.drift import DriftOptions, PinnedText, TextSet, general_texts
from tidegate.drift.running import measure_tokens
from tidegate.engines.llama_server import find_binary

MODELS = Path(__file__).parents[3] / "deployments" / "demo" / "models"
BASE = MODELS / "pipit-v2.gguf"
CONTEXT = 128


def run(*arguments: object) -> str:
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-500:]
    return done.stdout


@pytest.fixture(scope="module")
def text() -> str:
    return "\n\n".join(one.text for one in general_texts().texts[:20])


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("quantized") / "pipit-v2-Q4_0.gguf"
    run(find_binary("llama-quantize"), BASE, path, "Q4_0")
    return path


@pytest.fixture(scope="module")
def told_by_llama_cpp(
    text: str, quantized: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, float]:
    """It scores the second half of every whole window, and stores the baseline's log-probabilities in 16 bits."""
    try:
        tool = find_binary("llama-perplexity")
    except NotFound:
        pytest.skip("llama-perplexity is not installed")
    folder = tmp_path_factory.mktemp("perplexity")
    (folder / "text.txt").write_text(text)
    usual = (
        "-t",
        1,
        "-c",
        CONTEXT,
        "-b",
        CONTEXT,
        "-ub",
        CONTEXT,
        "--kl-divergence-base",
        folder / "base.kld",
    )
    base = run(tool, "-m", BASE, "-f", folder / "text.txt", *usual)
    told = run(tool, "-m", quantized, "--kl-divergence", *usual)
    found = {
        "base_ppl": float(re.findall(r"\[\d+\]([\d.]+)", base)[-1]),
        "cand_ppl": float(re.findall(r"Mean PPL\(Q\)\s*:\s*([\d.]+)", told)[0]),
    }
    for name in ("Mean    KLD", "Maximum KLD", "95.0%   KLD", "Same top p"):
        found[name] = float(re.findall(re.escape(name) + r":\s*([\d.]+)", told)[0])
    return found


def test_our_figures_are_those_of_llama_cpp(text: str, quantized: Path, told_by_llama_cpp: dict[str, float]):
    sets = TextSet(name="one", texts=(PinnedText(id="one", text=text),))
    options = DriftOptions(context_tokens=CONTEXT, limit_tokens=100_000, noise_tokens=1)
    (found,) = measure_tokens(BASE, quantized, {"must_not_change": sets}, options)
    rows: list[int] = []
    at = 0
    for scored in found.windows:
        if scored == CONTEXT - 1:
            rows += range(at + CONTEXT // 2, at + CONTEXT - 1)
        at += scored
    kl = found.kl[rows]
    # What is left is its 16 bits, and sums over batches of other shapes.
    assert kl.mean() == pytest.approx(told_by_llama_cpp["Mean    KLD"], rel=0.02)
    assert kl.max() == pytest.approx(told_by_llama_cpp["Maximum KLD"], rel=0.1)
    assert np.quantile(kl, 0.95) == pytest.approx(told_by_llama_cpp["95.0%   KLD"], rel=0.05)
    assert 100 * found.same_top[rows].mean() == pytest.approx(told_by_llama_cpp["Same top p"], abs=1)
    assert np.exp(found.base_nll[rows].mean()) == pytest.approx(told_by_llama_cpp["base_ppl"], rel=0.005)
    assert np.exp(found.cand_nll[rows].mean()) == pytest.approx(told_by_llama_cpp["cand_ppl"], rel=0.005)
