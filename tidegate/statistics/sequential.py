"""Evidence that may be looked at after every observation, and lets a test stop early without more errors.

An e-value is the capital of a gambler who bets against a hypothesis, starting with 1. While the hypothesis
holds the capital ever reaches 1 / alpha with a chance of at most alpha (J. Ville, 1939), however often and
whenever somebody looks. So "stop at 20" errs in at most 5 % of cases. Looking at exact McNemar after each of
1000 questions errs in 21 %. The questions must come in a random order that was fixed before the run.

Capital is kept as its natural logarithm: `log(20)` decides at alpha = 0.05.
Sources: G. Shafer, JRSS A 184 (2021) 407-431; A. Ramdas et al., Statistical Science 38 (2023) 576-601.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tidegate.statistics.arrays import Reals
from tidegate.statistics.distributions import beta_tail, log_beta


class SignEvidence(NamedTuple):
    """E-values of "most pairs are within the limit" and of "most pairs are beyond it"."""

    within: float
    beyond: float


def log_share_evidence(misses: ArrayLike, trials: ArrayLike, allowed: float) -> Reals:
    """Logarithm of the e-value against "at most `allowed` miss", element by element.

    E = integral over p from a to 1 of (p/a)^k ((1-p)/(1-a))^(n-k) dp / (1-a), a = allowed, k misses of n:
    the likelihood ratio, averaged over all larger shares alike (a beta mixture). In closed form
    E = B(k+1, n-k+1) P(Beta(k+1, n-k+1) > a) / (a^k (1-a)^(n-k+1)).
    At a = 1/2 this is 2^(n+1) B(k+1, n-k+1) P(Beta > 1/2), the e-value on discordant pairs.
    Source: H. Robbins, Ann. Math. Statist. 41 (1970) 1397-1409, the method of mixtures.
    Raises ValueError for counts that cannot be or an allowed share outside 0 <= a < 1.
    """
    k, n = np.asarray(misses, dtype=float), np.asarray(trials, dtype=float)
    if np.any(k < 0) or np.any(k > n):
        raise ValueError("misses must lie between 0 and trials")
    if not 0 <= allowed < 1:
        raise ValueError(f"an allowed share must lie between 0 and 1, not {allowed}")
    a, b = k + 1, n - k + 1
    with np.errstate(divide="ignore"):
        mixture = log_beta(a, b) + np.log(beta_tail(a, b, allowed))
    rest = mixture - b * math.log1p(-allowed)
    # Where nothing at all is allowed, one miss is proof.
    return np.where(k > 0, math.inf, rest) if allowed == 0 else rest - k * math.log(allowed)


def share_e_value(misses: int, trials: int, allowed: float) -> float:
    """E-value against "at most `allowed` miss" (errors, requests beyond an SLO). See `log_share_evidence`.

    Allowed 1 %, true 5 %: it reaches 20 at a median of about 110 requests; 30 % against 5 %: 11.
    """
    return _exp(float(log_share_evidence(misses, trials, allowed)))


def share_below_e_value(misses: int, trials: int, allowed: float) -> float:
    """E-value against "at least `allowed` miss": large when the share is proven to be smaller."""
    return share_e_value(trials - misses, trials, 1 - allowed)


def discordant_e_value(losses: int, wins: int) -> float:
    """E-value against "losses are not more likely than wins" among the questions whose answers differ.

    E = 2^(b+c+1) B(b+1, c+1) P(Beta(b+1, c+1) > 1/2), b losses, c wins. The early-stopping form of exact
    McNemar; says "worse" at 20 (alpha = 0.05). Raises ValueError for negative counts.
    """
    return share_e_value(losses, losses + wins, 0.5)


def sign_e_value(ratios: Sequence[float], limit: float) -> SignEvidence:
    """E-values over block pairs: is the ratio candidate / baseline of a pair more often within `limit`, or beyond?

    The formula of `discordant_e_value` on the signs; a ratio equal to the limit counts against both. Assumes
    nothing about the distribution: 7 pairs of 7 decide at 0.05, 10 of 11, 12 of 14. Looks at the median pair
    only; the t interval of `quantile_ratio` says how much slower. Raises ValueError for ratios of 0 or less.
    """
    if any(not ratio > 0 for ratio in ratios):
        raise ValueError("a ratio needs positive values")
    below = sum(ratio < limit for ratio in ratios)
    above = sum(ratio > limit for ratio in ratios)
    return SignEvidence(
        share_e_value(below, len(ratios), 0.5),
        share_e_value(above, len(ratios), 0.5),
    )


def first_crossing(log_evidence: Reals, alpha: float = 0.05) -> int | None:
    """How many observations it took until the capital reached 1 / alpha; None when it never did.

    A decision once made stays made: it depends on the order of observations, never on when somebody looked.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha}")
    crossed = np.flatnonzero(log_evidence >= math.log(1 / alpha))
    return int(crossed[0]) + 1 if len(crossed) else None


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
