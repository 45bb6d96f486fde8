"""Our figures beside those of llama.cpp's own tool, token for token the same windows of the same text."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
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
    return "\n\n".join(one.text for one in general_texts().texts[:12])


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("quantized") / "pipit-v2-Q4_0.gguf"
    run(find_binary("llama-quantize"), BASE, path, "Q4_0")
    return path


@dataclass(frozen=True)
class Told:
    """What llama.cpp's tool said after its last windows that reached its output.

    It ends without waiting for the thread that writes its log: on a busy machine the summary, and now and then the
    last windows, are lost. Each line is of all windows up to it, so the last one that is there is enough.
    """

    base_windows: int
    base_ppl: float
    windows: int
    ppl: float
    kl: float
    same_top: float
    summary: Mapping[str, float]
    """Figures of all windows that stand in the summary alone; empty where that was lost."""


# Window, perplexity, ln of their ratio, divergence, RMS of the difference, share of equal first tokens. Whole lines only:
# one that was cut after the fifth would tell that as the sixth.
WINDOW = re.compile(
    r"^ *(\d+) +([\d.]+) ± +[\d.]+ +[-\d.]+ ± +[\d.]+ +([\d.]+) ± +[\d.]+ +[\d.]+ ± +[\d.]+ % +([\d.]+) ± +[\d.]+ %\n",
    re.MULTILINE,
)
SUMMARY = re.compile(r"^(Maximum KLD|95\.0%   KLD): +([\d.]+)\n", re.MULTILINE)


@pytest.fixture(scope="module")
def told_by_llama_cpp(text: str, quantized: Path, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """It scores the second half of every whole window, and stores the baseline's log-probabilities in 16 bits."""
    try:
        tool = find_binary("llama-perplexity")
    except NotFound:
        pytest.skip("llama-perplexity is not installed")
    folder = tmp_path_factory.mktemp("perplexity")
    (folder / "text.txt").write_text(text)
    usual = ("-t", 1, "-c", CONTEXT, "-b", CONTEXT, "-ub", CONTEXT)
    usual += ("--kl-divergence-base", folder / "base.kld")
    base = re.findall(r"\[(\d+)\]([\d.]+),", run(tool, "-m", BASE, "-f", folder / "text.txt", *usual))[-1]
    told = run(tool, "-m", quantized, "--kl-divergence", *usual)
    windows, ppl, kl, same_top = WINDOW.findall(told)[-1]
    summary = {name: float(value) for name, value in SUMMARY.findall(told)}
    return Told(int(base[0]), float(base[1]), int(windows), float(ppl), float(kl), float(same_top), summary)


def test_our_figures_are_those_of_llama_cpp(text: str, quantized: Path, told_by_llama_cpp: Told):
    sets = TextSet(name="one", texts=(PinnedText(id="one", text=text),))
    options = DriftOptions(context_tokens=CONTEXT, limit_tokens=100_000, noise_tokens=1)
    (found,) = measure_tokens(BASE, quantized, {"must_not_change": sets}, options)
    halves: list[range] = []
    at = 0
    for scored in found.windows:
        if scored == CONTEXT - 1:
            halves.append(range(at + CONTEXT // 2, at + CONTEXT - 1))
        at += scored
    told = told_by_llama_cpp
    assert min(told.base_windows, told.windows) >= 8, "enough of its output arrived to compare with"
    base = [row for half in halves[: told.base_windows] for row in half]
    rows = [row for half in halves[: told.windows] for row in half]
    # What is left is its 16 bits, and sums over batches of other shapes.
    assert found.kl[rows].mean() == pytest.approx(told.kl, rel=0.02)
    every = found.kl[[row for half in halves for row in half]]
    ours = {"Maximum KLD": every.max(), "95.0%   KLD": np.quantile(every, 0.95)}
    assert {name: ours[name] for name in told.summary} == pytest.approx(told.summary, rel=0.1)
    assert 100 * found.same_top[rows].mean() == pytest.approx(told.same_top, abs=1)
    assert np.exp(found.base_nll[base].mean()) == pytest.approx(told.base_ppl, rel=0.005)
    assert np.exp(found.cand_nll[rows].mean()) == pytest.approx(told.ppl, rel=0.005)
