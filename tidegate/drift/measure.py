"""What two models say of the same next token: pure numpy, a block of positions at a time.

The formulas, with p the baseline's and q the candidate's distribution over the whole vocabulary:

| quantity | formula |
|---|---|
| `kl` | sum over all tokens of p ln(p / q), in nats |
| `reverse_kl` | sum of q ln(q / p) |
| `base_nll`, `cand_nll` | -ln p(actual), -ln q(actual) |
| `delta_p` | q(actual) - p(actual) |
| `base_entropy` | -sum of p ln p |
| `same_top` | the likeliest token is the same |

Kullback and Leibler, Annals of Mathematical Statistics 22 (1951) 79-86; the same quantities as llama.cpp's own
tool for perplexity reports, whose figures are so comparable.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float32]
Reals = NDArray[np.float64]

ROWS_AT_ONCE = 16
"""Positions computed together: their temporary arrays stay in the processor's cache for usual vocabularies."""


@dataclass(slots=True)
class TokenMeasures:
    """One value for each scored token, in order."""

    kl: Reals
    reverse_kl: Reals
    base_nll: Reals
    cand_nll: Reals
    delta_p: Reals
    base_entropy: Reals
    same_top: Reals
    """1 or 0."""
    base_top: Reals
    """Id of the baseline's likeliest token."""
    cand_top: Reals
    base_top_p: Reals
    """The baseline's probability of that token."""
    cand_top_p: Reals

    def __len__(self) -> int:
        return len(self.kl)

    @property
    def is_finite(self) -> bool:
        return all(bool(np.isfinite(getattr(self, field.name)).all()) for field in fields(self))


NAMES = tuple(field.name for field in fields(TokenMeasures))


def joined(parts: "list[TokenMeasures]") -> TokenMeasures:
    """The parts as one, in order; without any part nothing was scored."""
    empty = np.zeros(0)
    return TokenMeasures(
        *(np.concatenate([empty, *(getattr(part, name) for part in parts)]) for name in NAMES)
    )


def compare(base: Logits, cand: Logits, actual: NDArray[np.int64]) -> TokenMeasures:
    """Measures of one block: a row of logits for each position, and the token that really comes next.

    Sums run in 64 bits over 32-bit logits. The sum of p ln(p/q) is taken as the p-weighted mean of the logits'
    differences less the difference of the log-sums: differences of near equal logits are exact in floating point,
    so identical logits give exactly 0.
    Raises ValueError when the shapes do not agree.
    """
    if base.shape != cand.shape or len(base) != len(actual):
        raise ValueError(f"logits of {base.shape} and {cand.shape} for {len(actual)} tokens")
    return joined(
        [
            _rows(
                base[first : first + ROWS_AT_ONCE],
                cand[first : first + ROWS_AT_ONCE],
                actual[first : first + ROWS_AT_ONCE],
            )
            for first in range(0, len(base), ROWS_AT_ONCE)
        ]
    )


def _rows(base: Logits, cand: Logits, actual: NDArray[np.int64]) -> TokenMeasures:
    rows = np.arange(len(base))
    base_top, cand_top = base.argmax(axis=1), cand.argmax(axis=1)
    p, base_sum = _weights(base, base[rows, base_top])
    q, cand_sum = _weights(cand, cand[rows, cand_top])
    base_log = base[rows, base_top].astype(np.float64) + np.log(base_sum)
    cand_log = cand[rows, cand_top].astype(np.float64) + np.log(cand_sum)
    difference = base - cand
    shift = base_log - cand_log
    base_nll = base_log - base[rows, actual]
    cand_nll = cand_log - cand[rows, actual]
    return TokenMeasures(
        # Rounding alone can make a divergence of nearly equal distributions negative.
        kl=np.maximum(_mean(p, difference) / base_sum - shift, 0.0),
        reverse_kl=np.maximum(shift - _mean(q, difference) / cand_sum, 0.0),
        base_nll=base_nll,
        cand_nll=cand_nll,
        delta_p=np.exp(-cand_nll) - np.exp(-base_nll),
        base_entropy=np.maximum(base_log - _mean(p, base) / base_sum, 0.0),
        same_top=(base_top == cand_top).astype(np.float64),
        base_top=base_top.astype(np.float64),
        cand_top=cand_top.astype(np.float64),
        base_top_p=1 / base_sum,
        cand_top_p=1 / cand_sum,
    )


def _weights(logits: Logits, top: Logits) -> tuple[Logits, Reals]:
    """exp(logit - largest) and its sum."""
    weights = np.exp(logits - top[:, None])
    return weights, weights.sum(axis=1, dtype=np.float64)


def _mean(weights: Logits, values: Logits) -> Reals:
    return (weights * values).sum(axis=1, dtype=np.float64)
