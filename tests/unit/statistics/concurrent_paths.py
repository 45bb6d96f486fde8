"""`rate_paths` for many runs at once: the same formulas, with arrays for numbers. A test holds the two together."""

import numpy as np
from numpy.typing import NDArray

from tidegate.statistics.concurrent import EDGE, FEW_NEW, FEW_OLD, MEMORY, SHRINKAGE

Reals = NDArray[np.float64]


class ManyPaths:
    """Call it with counts of shape (runs, blocks, 4): events and requests of the old and of the new set."""

    @staticmethod
    def draw(
        generator: np.random.Generator,
        runs: int,
        blocks: int,
        shares: tuple[float, float],
        sizes: tuple[int, int],
    ) -> Reals:
        old, new = (
            generator.binomial(size, share, (runs, blocks)) for size, share in zip(sizes, shares, strict=True)
        )
        parts = (old, np.full_like(old, sizes[0]), new, np.full_like(new, sizes[1]))
        return np.stack(parts, axis=-1).astype(float)

    def __call__(self, counts: Reals, margin: float) -> tuple[Reals, Reals]:
        runs, blocks, _ = counts.shape
        beyond, within = np.zeros((runs, blocks)), np.zeros((runs, blocks))
        total, recent = np.zeros((runs, 4)), np.zeros((runs, 4))
        planned, adaptive, inside = np.zeros(runs), np.zeros(runs), np.zeros(runs)
        for number in range(blocks):
            block = counts[:, number]
            planned += self._harm(block, total, margin, planned=True)
            adaptive += self._harm(block, recent, margin, planned=False)
            inside += self._health(block, total, margin)
            total = total + block
            recent = np.exp(-block[:, 3:] / MEMORY) * recent + block
            beyond[:, number] = np.logaddexp(planned, adaptive) - np.log(2)
            within[:, number] = inside
        return beyond, within

    def _harm(self, block: Reals, seen: Reals, margin: float, *, planned: bool) -> Reals:
        p = (seen[:, 0] + 0.5) / (seen[:, 1] + FEW_OLD)
        q = (seen[:, 2] + 0.5) / (seen[:, 3] + FEW_NEW)
        q = np.minimum(np.maximum(q, p + 2 * margin) if planned else q, 1 - EDGE)
        return np.where(q > p + margin, self._evidence(block, p, q, margin), 0.0)

    def _health(self, block: Reals, seen: Reals, margin: float) -> Reals:
        mean = (seen[:, 0] + seen[:, 2] + 0.5) / (seen[:, 1] + seen[:, 3] + FEW_OLD)
        p = (seen[:, 0] + SHRINKAGE * mean) / (seen[:, 1] + SHRINKAGE)
        q = (seen[:, 2] + SHRINKAGE * mean) / (seen[:, 3] + SHRINKAGE)
        return np.where(q - p < margin, self._evidence(block, p, q, margin), 0.0)

    def _evidence(self, block: Reals, p: Reals, q: Reals, gap: float) -> Reals:
        old_events, old, new_events, new = block.T
        total, events = old + new, old * p + new * q
        a2 = (new + 2 * old) * gap - total - events
        a1 = (old * gap - total - 2 * old * p) * gap + events
        a0 = old * p * gap * (1 - gap)
        third = a2 / (3 * total)
        bend = third**3 - a1 * a2 / (6 * total**2) + a0 / (2 * total)
        width = np.copysign(np.sqrt(np.maximum(third**2 - a1 / (3 * total), EDGE**2)), bend)
        angle = (np.pi + np.arccos(np.clip(bend / width**3, -1, 1))) / 3
        x = np.clip(2 * width * np.cos(angle) - third, EDGE, 1 - gap - EDGE)
        return self._ratio(old_events, old, p, x) + self._ratio(new_events, new, q, x + gap)

    @staticmethod
    def _ratio(events: Reals, trials: Reals, chosen: Reals, null: Reals) -> Reals:
        return events * np.log(chosen / null) + (trials - events) * np.log((1 - chosen) / (1 - null))


many_paths = ManyPaths()
