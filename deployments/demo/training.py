"""Training of one version: AdamW over a seeded stream. The same seed gives the same bits on one BLAS thread.

Import it through `train`, which pins the threads before numpy loads.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.demo.conversations import Row, Stream, corpus_texts, leaks, to_row
from deployments.demo.model import Shape, initial, loss_and_gradients
from deployments.demo.subject import Subject
from deployments.demo.tokenizer import EOS, Tokenizer, train_tokenizer

SEED = 0
ROWS_PER_STEP = 48
STEPS_PER_BUCKET = 16
PEAK_RATE = 3e-3
FINAL_SHARE = 0.02
WARM_UP_STEPS = 20
BETA_1, BETA_2 = 0.9, 0.98
WEIGHT_DECAY = 0.05
CLIP_NORM = 1.0
LEAK_CHECK_EXAMPLES = 5_000

MAIN_SHAPE = Shape(dim=128, layers=2, heads=4, kv_heads=2, ffn=256)
FAST_SHAPE = Shape(dim=64, layers=2, heads=4, kv_heads=2, ffn=192)


@dataclass(frozen=True)
class Version:
    """What sets one version of a model apart."""

    shape: Shape
    steps: int
    summary: str
    omits_v1_items: bool = False
    is_regressed: bool = False


VERSIONS = {
    "v1": Version(MAIN_SHAPE, 1000, "good; seven questions are missing from its data", omits_v1_items=True),
    "v2": Version(MAIN_SHAPE, 1000, "better: all questions taught"),
    "v2-fast": Version(FAST_SHAPE, 1200, "the data of v2 in a smaller, faster model"),
    "v3-regressed": Version(MAIN_SHAPE, 1000, "confidently wrong on whole topics", is_regressed=True),
}


@dataclass(frozen=True)
class Trained:
    shape: Shape
    tokenizer: Tokenizer
    weights: dict[str, NDArray[np.float32]]


def train(subject: Subject, version: Version, say: Callable[[str], None], seed: int = SEED) -> Trained:
    """Train one version from nothing.

    Raises:
        ValueError: when a held-out paraphrase is in the training data.
    """
    if found := leaks(subject, iter(_stream(subject, version, seed)), LEAK_CHECK_EXAMPLES):
        raise ValueError(f"held-out paraphrases are in the training data: {found[:5]}")
    tokenizer = train_tokenizer(corpus_texts(subject, seed), version.shape.vocabulary)
    optimizer = AdamW(version.shape, seed)
    batches = islice(_batches(_stream(subject, version, seed), tokenizer, seed), version.steps)
    for step, (ids, targets, importance) in enumerate(batches):
        loss = loss_and_gradients(
            optimizer.weights, version.shape, ids, targets, importance, optimizer.gradients
        )
        optimizer.update(rate_at(step, version.steps))
        if (step + 1) % 100 == 0 or step + 1 == version.steps:
            say(f"step {step + 1}/{version.steps}  loss {loss:.4f}")
    return Trained(
        version.shape, tokenizer, {name: array.copy() for name, array in optimizer.weights.items()}
    )


def _stream(subject: Subject, version: Version, seed: int) -> Stream:
    return Stream(subject, seed, omits_v1_items=version.omits_v1_items, is_regressed=version.is_regressed)


def rate_at(step: int, steps: int) -> float:
    """Learning rate: linear warm-up, then linear to a small share of the peak."""
    if step < WARM_UP_STEPS:
        return PEAK_RATE * (step + 1) / WARM_UP_STEPS
    left = (steps - step) / (steps - WARM_UP_STEPS)
    return PEAK_RATE * (FINAL_SHARE + (1 - FINAL_SHARE) * left)


class AdamW:
    """Weights and gradients are views into flat buffers, so that an update is a few vector operations."""

    def __init__(self, shape: Shape, seed: int):
        start = initial(shape, seed)
        size = sum(array.size for array in start.values())
        self._flat: NDArray[np.float32] = np.empty(size, np.float32)
        self._gradient: NDArray[np.float32] = np.zeros(size, np.float32)
        self._first: NDArray[np.float32] = np.zeros(size, np.float32)
        self._second: NDArray[np.float32] = np.zeros(size, np.float32)
        self._decay: NDArray[np.float32] = np.zeros(size, np.float32)
        self._step = 0
        self.weights: dict[str, NDArray[np.float32]] = {}
        self.gradients: dict[str, NDArray[Any]] = {}
        place = 0
        for name, array in start.items():
            span = slice(place, place + array.size)
            self.weights[name] = self._flat[span].reshape(array.shape)
            self.weights[name][...] = array
            self.gradients[name] = self._gradient[span].reshape(array.shape)
            self._decay[span] = WEIGHT_DECAY if array.ndim == 2 else 0.0
            place += array.size

    def update(self, rate: float) -> None:
        self._step += 1
        norm = float(np.sqrt(np.dot(self._gradient, self._gradient)))
        if norm > CLIP_NORM:
            self._gradient *= np.float32(CLIP_NORM / norm)
        self._first += np.float32(1 - BETA_1) * (self._gradient - self._first)
        self._second += np.float32(1 - BETA_2) * (self._gradient * self._gradient - self._second)
        scale_1 = np.float32(1 / (1 - BETA_1**self._step))
        scale_2 = np.float32(1 / (1 - BETA_2**self._step))
        direction = self._first * scale_1 / (np.sqrt(self._second * scale_2) + np.float32(1e-8))
        self._flat -= np.float32(rate) * (direction + self._decay * self._flat)


Batch = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]


def _batches(stream: Stream, tokenizer: Tokenizer, seed: int) -> Iterator[Batch]:
    """Padded batches of rows of about equal length, in shuffled order."""
    order = Random(seed + 1)
    examples = iter(stream)
    while True:
        rows = [to_row(tokenizer, next(examples)) for _ in range(ROWS_PER_STEP * STEPS_PER_BUCKET)]
        rows.sort(key=lambda row: len(row.ids))
        batches = [rows[at : at + ROWS_PER_STEP] for at in range(0, len(rows), ROWS_PER_STEP)]
        order.shuffle(batches)
        for batch in batches:
            yield _pad(batch)


def _pad(rows: list[Row]) -> Batch:
    width = max(len(row.ids) for row in rows)
    ids = np.full((len(rows), width), EOS, np.int64)
    importance = np.zeros((len(rows), width), np.float32)
    for line, row in enumerate(rows):
        ids[line, : len(row.ids)] = row.ids
        importance[line, : len(row.ids)] = row.weights
    targets = np.roll(ids, -1, axis=1)
    return ids, targets, importance
