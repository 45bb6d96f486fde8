import numpy as np
import pytest

from deployments.demo.model import Shape, hidden, initial, loss_and_gradients

TINY = Shape(dim=16, layers=2, heads=4, kv_heads=2, ffn=24, vocabulary=30)


@pytest.fixture
def tiny_weights():
    generator = np.random.default_rng(1)
    return {
        name: array.astype(np.float64) + generator.standard_normal(array.shape) * 0.1
        for name, array in initial(TINY, 0).items()
    }


def test_gradients_agree_with_finite_differences(tiny_weights) -> None:
    generator = np.random.default_rng(2)
    ids, targets = generator.integers(0, 30, (2, 3, 7))
    importance = (generator.random((3, 7)) < 0.5).astype(float)
    gradients = {name: np.zeros_like(array) for name, array in tiny_weights.items()}
    spare = {name: np.zeros_like(array) for name, array in tiny_weights.items()}
    loss_and_gradients(tiny_weights, TINY, ids, targets, importance, gradients)

    def loss_with(name: str, place: tuple[int, ...], shift: float) -> float:
        changed = {**tiny_weights, name: tiny_weights[name].copy()}
        changed[name][place] += shift
        return loss_and_gradients(changed, TINY, ids, targets, importance, spare)

    for name, array in tiny_weights.items():
        for _ in range(3):
            place = tuple(int(generator.integers(0, size)) for size in array.shape)
            slope = (loss_with(name, place, 1e-5) - loss_with(name, place, -1e-5)) / 2e-5
            assert gradients[name][place] == pytest.approx(slope, rel=1e-4, abs=1e-8), name


def test_a_later_token_never_changes_an_earlier_state(tiny_weights) -> None:
    ids = np.arange(8).reshape(1, 8)
    changed = ids.copy()
    changed[0, 5] = 29

    before, _ = hidden(tiny_weights, TINY, ids)
    after, _ = hidden(tiny_weights, TINY, changed)

    assert np.array_equal(before[0, :5], after[0, :5])
    assert not np.allclose(before[0, 5], after[0, 5])


def test_the_order_of_tokens_matters(tiny_weights) -> None:
    forward, _ = hidden(tiny_weights, TINY, np.array([[1, 2, 3, 4]]))
    swapped, _ = hidden(tiny_weights, TINY, np.array([[2, 1, 3, 4]]))

    assert not np.allclose(forward[0, 3], swapped[0, 3])


def test_the_same_seed_gives_the_same_start() -> None:
    first, again, other = initial(TINY, 3), initial(TINY, 3), initial(TINY, 4)

    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["token_embd.weight"], other["token_embd.weight"])
