"""Speed, memory and honesty of the drift measurement.

    python -m benchmarks.drift [--base BASE.gguf --candidate CANDIDATE.gguf] [--limit-tokens 8192]

Without files the demonstration's models are compared. Told are: both models together and one after the other; the
same text through llama.cpp's own tool, where it is installed; the comparison alone for a vocabulary of 128 thousand
tokens; and how often the bounds of the mean miss the truth when divergences are as skewed as they are.
"""

import argparse
import math
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from tidegate.domain import NotFound
from tidegate.drift import DriftOptions, general_texts, measure_drift
from tidegate.drift.measure import compare
from tidegate.drift.summary import estimate
from tidegate.engines.llama_server import find_binary

MODELS = Path(__file__).parent.parent / "deployments" / "demo" / "models"
LARGE_VOCABULARY, ROWS = 128_256, 128
REPETITIONS = 2000


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", type=Path, default=MODELS / "pipit-v2.gguf")
    parser.add_argument("--candidate", type=Path, default=MODELS / "pipit-v3-regressed.gguf")
    parser.add_argument("--limit-tokens", type=int, default=8192)
    arguments = parser.parse_args()
    for is_together in (True, False):
        print(_measured(arguments.base, arguments.candidate, arguments.limit_tokens, is_together=is_together))
    print(_by_llama_cpp(arguments.base, arguments.candidate))
    print(_comparison_alone())
    for texts in (10, 20, 58):
        print(_misses(texts))
    return 0


def _measured(base: Path, candidate: Path, limit: int, *, is_together: bool) -> str:
    started = time.monotonic()
    options = DriftOptions(limit_tokens=limit, is_together=is_together)
    report = measure_drift(base, candidate, {"must_not_change": general_texts()}, options)
    wall = time.monotonic() - started
    if not report.sets:
        return f"nothing measured: {report.refusal or report.problem}"
    found = report.sets[0]
    how = "together" if is_together else "one after the other"
    return (
        f"{how}: {found.tokens} tokens in {report.seconds:.2f} s ({report.tokens_per_second:,.0f} tokens/s), "
        f"{wall:.2f} s with both structural checks, peak {report.peak_memory_bytes / 1e6:.0f} MB; "
        f"mean KL {found.kl.mean:.4f} ({found.kl.low:.4f} to {found.kl.high:.4f})"
    )


def _by_llama_cpp(base: Path, candidate: Path) -> str:
    try:
        tool = find_binary("llama-perplexity")
    except NotFound:
        return "llama-perplexity: not installed"
    with tempfile.TemporaryDirectory() as folder:
        text, stored = Path(folder, "text.txt"), Path(folder, "base.kld")
        text.write_text("\n\n".join(one.text for one in general_texts().texts if one.text))
        usual = ["-t", "1", "-c", "128", "--kl-divergence-base", str(stored)]
        started = time.monotonic()
        for more in (["-m", str(base), "-f", str(text)], ["-m", str(candidate), "--kl-divergence"]):
            subprocess.run([str(tool), *more, *usual], check=True, capture_output=True)
        wall = time.monotonic() - started
        return (
            f"llama-perplexity: {wall:.2f} s for the raw texts, {stored.stat().st_size / 1e6:.1f} MB stored"
        )


def _comparison_alone() -> str:
    generator = np.random.default_rng(0)
    base = generator.normal(0, 3, (ROWS, LARGE_VOCABULARY)).astype(np.float32)
    cand = base + generator.normal(0, 0.1, base.shape).astype(np.float32)
    actual = generator.integers(0, LARGE_VOCABULARY, ROWS)
    started = time.process_time()
    compare(base, cand, actual)
    each = (time.process_time() - started) / ROWS
    return f"comparison of {LARGE_VOCABULARY} tokens: {1000 * each:.2f} ms of processor time a position"


def _misses(texts: int) -> str:
    """Texts of log-normal means with a spread of 0.6, their tokens exponential around them: as skewed as measured."""
    generator = np.random.default_rng(texts)
    tokens, spread = 60, 0.6
    truth = 0.05 * math.exp(spread**2 / 2)
    owners = [str(number) for number in range(texts) for _ in range(tokens)]
    low = high = 0
    for _ in range(REPETITIONS):
        means = 0.05 * np.exp(generator.normal(0, spread, texts))
        values = generator.exponential(np.repeat(means, tokens))
        found = estimate(values.tolist(), owners, 0.0, math.inf, 1)
        low += found.low is not None and found.low > truth
        high += found.high is not None and found.high < truth
    return f"bounds of {texts} texts: too high in {low / REPETITIONS:.1%}, too low in {high / REPETITIONS:.1%} (stated 5 %)"


if __name__ == "__main__":
    raise SystemExit(main())
