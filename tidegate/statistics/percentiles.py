"""Percentiles, only where there are samples enough to speak of one."""

import math
from collections.abc import Sequence


def smallest_sample(share: float) -> int:
    """Samples needed before the quantile at `share` (0.95 for p95) has one sample expected beyond it."""
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, not {share}")
    # The rounding keeps 1 / (1 - 0.95) from becoming 21 by floating point.
    return math.ceil(round(1 / min(share, 1 - share), 9))


def percentile(values: Sequence[float], share: float) -> float | None:
    """Quantile at `share`, linear between samples (type 7 of Hyndman and Fan, The American Statistician 50
    (1996) 361-365); None when there are fewer than `smallest_sample(share)` values. The median needs one."""
    import numpy as np

    needed = 1 if share == 0.5 else smallest_sample(share)
    return float(np.quantile(np.asarray(values, dtype=float), share)) if len(values) >= needed else None
