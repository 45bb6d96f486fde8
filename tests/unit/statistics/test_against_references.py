"""The same answers as statsmodels and scipy.stats, where they have the method."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.api import OLS
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from tidegate.statistics import (
    benjamini_hochberg,
    clustered_difference,
    holm,
    mcnemar_exact,
    paired_bca,
    percentile_interval,
    share_p_value,
    wilson_interval,
)

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=15)


@given(st.integers(1, 400), st.data(), st.floats(0.5, 0.99))
def test_wilson(trials: int, data: st.DataObject, confidence: float):
    successes = data.draw(st.integers(0, trials))
    expected = proportion_confint(successes, trials, 1 - confidence, method="wilson")

    assert wilson_interval(successes, trials, confidence) == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 60), st.integers(0, 60))
def test_exact_mcnemar(losses: int, wins: int):
    both_sides = mcnemar([[10, losses], [wins, 10]], exact=True).pvalue
    one_side = min(mcnemar_exact(losses, wins), mcnemar_exact(wins, losses))

    assert min(1.0, 2 * one_side) == pytest.approx(both_sides)


@given(st.integers(1, 300), st.data(), st.floats(0, 1))
def test_exact_share(trials: int, data: st.DataObject, allowed: float):
    misses = data.draw(st.integers(0, trials))
    expected = stats.binomtest(misses, trials, allowed, alternative="greater").pvalue

    assert share_p_value(misses, trials, allowed) == pytest.approx(expected, rel=1e-7, abs=1e-12)


@pytest.mark.parametrize(
    "values", [[0.04], [0.01, 0.04, 0.03, 0.005], [0.5, 0.011, 0.012, 1.0, 0.0, 0.02, 0.02]]
)
def test_holm_and_benjamini_hochberg(values: list[float]):
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1])
    assert benjamini_hochberg(values) == pytest.approx(multipletests(values, method="fdr_bh")[1])


@given(p_values)
def test_benjamini_hochberg(values: list[float]):
    assert benjamini_hochberg(values) == pytest.approx(stats.false_discovery_control(values))


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(15, 60))
def test_clustered_t(seed: int, groups: int, count: int):
    draw = np.random.default_rng(seed)
    values, clusters = draw.uniform(-0.3, 0.3, count), draw.integers(0, groups, count)
    units = len(set(clusters.tolist()))
    if units < 2:
        return
    fit = OLS(values, np.ones(count)).fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True)
    half = stats.t.ppf(0.95, units - 1) * fit.bse[0]

    found = clustered_difference(values.tolist(), clusters.tolist())

    assert found.mean == pytest.approx(fit.params[0])
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))


def test_paired_bca():
    draw = np.random.default_rng(157)
    ours, theirs = draw.beta(2, 1, 40), draw.beta(3, 1, 40)
    expected = stats.bootstrap(
        (ours, theirs), lambda a, b, axis: (a - b).mean(axis=axis), paired=True, vectorized=True,
        n_resamples=4999, confidence_level=0.9, method="BCa", random_state=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip

    found = paired_bca((ours - theirs).tolist(), np.random.default_rng(2))

    width = expected.high - expected.low
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.05 * width)


@pytest.mark.parametrize(("share", "samples"), [(0.5, 100), (0.9, 150), (0.95, 300)])
def test_order_statistic_interval(share: float, samples: int):
    values = np.random.default_rng(163).exponential(1, samples)
    expected = stats.quantile_test(values, q=float(np.quantile(values, share)), p=share)
    found = percentile_interval(values.tolist(), share)

    assert found is not None
    assert (found.low, found.high) == tuple(expected.confidence_interval(0.95))
