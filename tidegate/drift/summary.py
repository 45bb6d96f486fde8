"""From values of single tokens to one row for a set. Pure; chance comes from a seed made of the set's digest.

Tokens of one text are related, so the text is what counts as independent: the mean is over all tokens, and its
bounds, as those of percentiles, come from resampling whole texts.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tidegate.drift.measure import Reals
from tidegate.drift.report import Estimate, Histogram, PartDrift, Percentiles, SetDrift, SetName, WorstPlace
from tidegate.drift.said import TextMeasures
from tidegate.drift.texts import TextSet
from tidegate.statistics import cluster_mean, clustered_difference

ALPHA = 0.05
WORST_SHOWN = 10
RESAMPLES = 400
BEYOND = 10
"""Tokens that must lie beyond a percentile before it is stated."""
EXACT = 1e-12
EDGES = (0.0, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Of the histogram, in nats. What is beyond the last counts with it."""


def summarize_set(
    name: SetName,
    texts: TextSet,
    measured: Sequence[TextMeasures],
    problems: Mapping[tuple[str, str], str],
    left_out: int,
) -> SetDrift | None:
    """None when no text of the set could be measured."""
    own = [text for text in measured if text.set_name == name]
    if not own:
        return None
    owners = [text.id for text in own for _ in range(len(text.kl))]

    seed = int(texts.digest[:12], 16)

    def mean(values_of: Callable[[TextMeasures], Reals], low: float, high: float) -> Estimate:
        values = np.concatenate([values_of(text) for text in own]).tolist()
        return estimate(values, owners, low, high, seed)

    endless = float("inf")
    delta = np.concatenate([text.delta_p for text in own])
    return SetDrift(
        name=name,
        source=texts.name,
        digest=texts.digest,
        texts=len(own),
        tokens=len(owners),
        left_out=left_out,
        unmeasured={text: why for (owner, text), why in problems.items() if owner == name},
        cut_texts=sum(text.is_cut for text in own),
        kl=mean(lambda text: text.kl, 0.0, endless),
        kl_percentiles=_percentiles([text.kl for text in own], seed),
        kl_histogram=_histogram(np.concatenate([text.kl for text in own])),
        reverse_kl=mean(lambda text: text.reverse_kl, 0.0, endless),
        same_top=mean(lambda text: text.same_top, 0.0, 1.0),
        base_nll=mean(lambda text: text.base_nll, 0.0, endless),
        cand_nll=mean(lambda text: text.cand_nll, 0.0, endless),
        nll_change=mean(lambda text: text.cand_nll - text.base_nll, -endless, endless),
        delta_p=mean(lambda text: text.delta_p, -1.0, 1.0),
        delta_p_percentiles=_percentiles([text.delta_p for text in own], seed),
        delta_p_rms=float(np.sqrt(np.mean(delta**2))),
        base_entropy=mean(lambda text: text.base_entropy, 0.0, endless),
        kinds=_parts(own, {text.id: text.kind for text in texts.texts}),
        languages=_parts(own, {text.id: text.language for text in texts.texts if text.language}),
        worst=_worst(own),
    )


def estimate(
    values: Sequence[float], owners: Sequence[str], lowest: float, highest: float, seed: int
) -> Estimate:
    """Mean with bounds that lie in the range of the quantity, `owners` being the text of each value.

    Divergences and likelihoods are skewed: their t is resampled (`cluster_mean`). Shares have a smallest and a
    largest value, and often do not vary at all: `clustered_difference`, which also takes what is left, scaled.
    """
    texts = len(set(owners))
    mean, scale = math.fsum(values) / len(values), max(map(abs, values))
    if texts < 2:
        return Estimate(mean=mean, low=None, high=None, texts=texts)
    if scale < EXACT:
        return Estimate(mean=0.0, low=0.0, high=0.0, texts=texts)
    is_positive = lowest >= 0
    if highest == math.inf:
        generator = np.random.default_rng(seed)
        resampled = cluster_mean(values, owners, generator, ALPHA, is_positive=is_positive)
        if resampled is not None:
            return Estimate(mean=mean, low=resampled.low, high=resampled.high, texts=texts)
    found = clustered_difference([value / scale for value in values], owners, ALPHA)
    low, high = max(found.low * scale, lowest), min(found.high * scale, highest)
    return Estimate(mean=mean, low=low, high=high, texts=texts)


def _percentiles(texts: Sequence[Reals], seed: int) -> Percentiles:
    values = np.concatenate(list(texts))
    count = len(values)
    shares = {"p1": 0.01, "p5": 0.05, "p50": 0.5, "p95": 0.95, "p99": 0.99}
    stated: dict[str, Any] = {
        name: float(np.quantile(values, share))
        for name, share in shares.items()
        if count * min(share, 1 - share) >= BEYOND
    }
    bounds = _resampled(texts, [shares["p95"], shares["p99"]], seed) if len(texts) > 1 else [None, None]
    return Percentiles(
        **stated,
        lowest=float(values.min()),
        highest=float(values.max()),
        p95_bounds=bounds[0] if "p95" in stated else None,
        p99_bounds=bounds[1] if "p99" in stated else None,
    )


def _resampled(texts: Sequence[Reals], shares: Sequence[float], seed: int) -> list[tuple[float, float]]:
    """Quantiles of as many texts drawn with replacement; their own 5 % and 95 % quantiles."""
    generator = np.random.default_rng(seed)
    draws: list[list[int]] = generator.integers(0, len(texts), (RESAMPLES, len(texts))).tolist()
    found = np.array([np.quantile(np.concatenate([texts[n] for n in drawn]), shares) for drawn in draws])
    return [(float(np.quantile(column, ALPHA)), float(np.quantile(column, 1 - ALPHA))) for column in found.T]


def _histogram(values: Reals) -> Histogram:
    counts, _ = np.histogram(np.minimum(values, EDGES[-1]), bins=EDGES)
    return Histogram(edges=EDGES, counts=tuple(int(count) for count in counts))


def _parts(measured: Sequence[TextMeasures], names: Mapping[str, str]) -> tuple[PartDrift, ...]:
    """In order of the divergence, the largest first."""
    found: dict[str, list[TextMeasures]] = {}
    for text in measured:
        if text.id in names:
            found.setdefault(names[text.id], []).append(text)
    rows = [_part(name, texts) for name, texts in found.items()]
    return tuple(sorted(rows, key=lambda row: -row.kl_mean))


def _part(name: str, texts: Sequence[TextMeasures]) -> PartDrift:
    return PartDrift(
        name=name,
        texts=len(texts),
        tokens=sum(len(text.kl) for text in texts),
        kl_mean=float(np.concatenate([text.kl for text in texts]).mean()),
        same_top=float(np.concatenate([text.same_top for text in texts]).mean()),
        nll_change=float(np.concatenate([text.cand_nll - text.base_nll for text in texts]).mean()),
    )


def _worst(measured: Sequence[TextMeasures]) -> tuple[WorstPlace, ...]:
    places = [WorstPlace(text=text.id, token=token) for text in measured for token in text.worst]
    return tuple(sorted(places, key=lambda place: -place.token.kl)[:WORST_SHOWN])
