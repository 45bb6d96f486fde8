from dataclasses import replace

import numpy as np
import pytest

from deployments.demo.model import Shape
from deployments.demo.subject import load_subject
from deployments.demo.training import PEAK_RATE, VERSIONS, WARM_UP_STEPS, rate_at, train

TINY = replace(VERSIONS["v2"], shape=Shape(dim=16, layers=1, heads=2, kv_heads=1, ffn=16), steps=30)


@pytest.fixture(scope="module")
def tiny_runs():
    said: list[str] = []
    subject = load_subject("pipit")
    return train(subject, TINY, said.append), train(subject, TINY, said.append), said


def test_the_same_seed_trains_the_same_bits(tiny_runs) -> None:
    first, again, _ = tiny_runs

    assert first.tokenizer.tokens == again.tokenizer.tokens
    assert all(np.array_equal(first.weights[name], again.weights[name]) for name in first.weights)


def test_training_lowers_the_loss_and_reports_it(tiny_runs) -> None:
    _, _, said = tiny_runs

    assert said[0].startswith("step 30/30  loss ")
    assert float(said[0].rsplit(maxsplit=1)[1]) < np.log(768) - 0.3


def test_the_rate_rises_to_its_peak_and_falls_to_almost_nothing() -> None:
    rates = [rate_at(step, 1000) for step in range(1000)]

    assert max(rates) == pytest.approx(PEAK_RATE)
    assert rates.index(max(rates)) in (WARM_UP_STEPS - 1, WARM_UP_STEPS)
    assert rates[-1] < 0.03 * PEAK_RATE
