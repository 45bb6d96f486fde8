"""Bounds on a divergence of which only the likeliest tokens are known. Pure.

An endpoint tells the k likeliest tokens of each model and keeps the rest. With p the baseline and q the candidate:
A the tokens in both lists, B those only in the baseline's, C those only in the candidate's; P(S), Q(S) their sums;
Rp = 1 - P(A), Rq = 1 - Q(A); c_p, c_q the smallest listed probabilities, which no unlisted token exceeds.

**Lower bound.** Lumping tokens together never raises a divergence (log-sum inequality: T. M. Cover and J. A. Thomas,
Elements of Information Theory, 2nd ed. (2006), theorem 2.7.1). So for any split of the tokens outside A into S and
the others,

    KL >= sum over A of p ln(p/q) + P(S) ln(P(S) / Q(S)) + (Rp - P(S)) ln((Rp - P(S)) / (Rq - Q(S))).

With S = B, P(S) is known and Q(S) is anything from 0 to min(|B| c_q, Rq): the smallest value is taken, at
Q(S) = Rq P(B) / Rp or the border. With S = C it is the other way round. The larger of both bounds holds.

**Upper bound.** Nothing keeps an unlisted q from being 0, and the divergence from being infinite. It is bounded only
for models that give no token less than exp(FLOOR); no float32 softmax over a usual range of logits does. Then

    KL <= sum over A of p ln(p/q) + sum over B of p (ln p - FLOOR) + M (ln min(c_p, M) - FLOOR),  M = 1 - P(A) - P(B),

because unlisted tokens have p <= min(c_p, M) and q >= exp(FLOOR).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

FLOOR = -40.0
"""Natural logarithm of the smallest probability that a model is believed to give: 4e-18."""
SLACK = 1e-6
"""Listed log-probabilities are rounded; a rest that is larger by this makes the lower bound smaller."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The divergence in nats lies between them."""

    low: float
    high: float
    rest: float
    """Probability that the baseline's list leaves out."""

    @property
    def width(self) -> float:
        return self.high - self.low


def kl_bounds(base: Mapping[str, float], cand: Mapping[str, float]) -> Bounds:
    """From the natural log-probabilities of the likeliest tokens of each.

    Raises ValueError when a list is empty or holds more than the whole probability.
    """
    p, q = _probabilities(base), _probabilities(cand)
    both = p.keys() & q.keys()
    shared = math.fsum(p[token] * (base[token] - cand[token]) for token in both)
    p_rest = max(0.0, 1 - math.fsum(p[token] for token in both))
    q_rest = max(0.0, 1 - math.fsum(q[token] for token in both)) + SLACK
    only_p, only_q = p.keys() - both, q.keys() - both
    of_base = math.fsum(p[token] for token in only_p)
    of_cand = math.fsum(q[token] for token in only_q)
    low = shared + max(
        _least_for_known_p(of_base, p_rest, q_rest, len(only_p) * min(q.values())),
        _least_for_known_q(of_cand, p_rest, q_rest, len(only_q) * min(p.values())),
    )
    left = max(0.0, 1 - math.fsum(p.values()))
    high = shared + math.fsum(p[token] * (base[token] - FLOOR) for token in only_p if p[token] > 0)
    if left > 0:
        high += left * (math.log(min(*p.values(), left)) - FLOOR)
    return Bounds(max(0.0, low), max(0.0, low, high), left)


def _probabilities(listed: Mapping[str, float]) -> dict[str, float]:
    found = {token: math.exp(value) for token, value in listed.items()}
    if not found or math.fsum(found.values()) > 1 + 1e-3 or any(math.isnan(one) for one in found.values()):
        raise ValueError("needs the log-probabilities of at least one token, which sum to 1 at most")
    return found


def _least_for_known_p(known: float, p_rest: float, q_rest: float, q_most: float) -> float:
    """The smallest divergence of the two cells when the candidate's share of the first is free up to `q_most`."""
    if p_rest <= 0:
        return 0.0
    known = min(known, p_rest)
    free = min(q_rest * known / p_rest, q_most, q_rest)
    return _term(known, free) + _term(p_rest - known, q_rest - free)


def _least_for_known_q(known: float, p_rest: float, q_rest: float, p_most: float) -> float:
    """The same when the baseline's share is free."""
    known = min(known, q_rest)
    free = min(p_rest * known / q_rest, p_most, p_rest)
    return _term(free, known) + _term(p_rest - free, q_rest - known)


def _term(p: float, q: float) -> float:
    """P ln(p/q), which is 0 for p = 0. A share of 0 that should be more is rounding."""
    return 0.0 if p <= 0 else p * math.log(p / max(q, SLACK))
