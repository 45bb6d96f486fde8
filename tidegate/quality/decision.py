"""Whether the candidate is shown to lose less than the margin, shown to be worse, or neither. Pure.

pass: a loss of the margin or more is ruled out at error rate alpha.
fail: the candidate is shown to be worse than the baseline at alpha, and not shown to be inside the margin.
not judged: neither. "No significant difference" passes nothing: a small bank must not be the easy way through.

| scores | inside the margin | worse |
|---|---|---|
| right/wrong | Tango's score test | exact McNemar |
| right/wrong in clusters | Tango, and t over clusters | McNemar, and t over clusters |
| graded or weighted | the lower of the t and BCa bounds | the upper of them below 0 |
| graded in clusters | t over clusters | t over clusters |
| looked at while it runs | bet on the margin | e-value on discordant pairs; graded: bet on 0 |

Simulated at 5 points, 15 % of the answers differing, with the true loss at the margin: the wider of t and BCa passes
4 to 8 % of 60 to 250 questions, t alone up to 15 %. `benchmarks/quality_simulation.py` has all figures.
"""

import math
from dataclasses import dataclass

from tidegate.domain import Verdict
from tidegate.quality.paired_tests import Rules, Tested, by_bets, by_counts, by_means
from tidegate.quality.pairs import Pairs
from tidegate.statistics import plan_quality

MOST_MORE = 1_000_000


@dataclass(frozen=True)
class Decision:
    """What the pairs show. Shares of all questions; the loss is positive when the candidate is worse."""

    verdict: Verdict
    pairs: int
    missing: int
    losses: tuple[str, ...]
    wins: tuple[str, ...]
    tested: Tested
    more: int | None
    """About so many more questions would decide, if they came out as these did; None: no number would."""
    detectable_drop: float
    reach: str
    """What to put after "this bank": "can detect a drop of 7 points"."""
    plan: str

    @property
    def is_undecided(self) -> bool:
        """Every answer is there, and they do not decide. A missing answer is another thing: nobody looked."""
        return self.verdict is Verdict.NOT_JUDGED and self.missing == 0


def decide(pairs: Pairs, rules: Rules) -> Decision:
    """Judge by the rules of the module docstring. Raises ValueError without a single complete pair.

    A missing answer never helps: a pass needs every answer, and a fail must stand even if all missing ones were
    answered in favour of the candidate.
    """
    tested = _test(pairs, rules)
    complete, differing = len(pairs.complete), len(pairs.losses) + len(pairs.wins)
    # One more of each than was seen: an unknown share is not 0.
    plan = plan_quality(complete, rules.margin, (differing + 1) / (complete + 2), alpha=rules.alpha)
    return Decision(
        _verdict(tested, pairs),
        complete,
        pairs.missing,
        tuple(pairs.losses),
        tuple(pairs.wins),
        tested,
        _more(tested, complete),
        plan.detectable_drop,
        plan.reach,
        plan.describe(),
    )


def _test(pairs: Pairs, rules: Rules) -> Tested:
    if rules.is_sequential and not pairs.has_clusters and not pairs.is_weighted:
        # Bets count single questions alike: those of one cluster are related, and weights are known at the end only.
        return by_bets(pairs, rules)
    if pairs.is_graded:
        return by_means(pairs, rules)
    if pairs.has_clusters:
        return _both(by_counts(pairs, rules), by_means(pairs, rules))
    return by_counts(pairs, rules)


def _both(first: Tested, second: Tested) -> Tested:
    """Only what both show is shown."""
    return Tested(
        f"{first.method}, and {second.method}",
        first.is_inside and second.is_inside,
        first.is_worse and second.is_worse,
        first.loss,
        min(first.least_loss, second.least_loss),
        max(first.most_loss, second.most_loss),
        first.worse_p,
        max(first.factor, second.factor),
        first.used,
    )


def _verdict(tested: Tested, pairs: Pairs) -> Verdict:
    if tested.is_inside and not pairs.missing:
        return Verdict.PASS
    if tested.is_worse and not tested.is_inside:
        return Verdict.FAIL
    return Verdict.NOT_JUDGED


def _more(tested: Tested, complete: int) -> int | None:
    if not math.isfinite(tested.factor) or tested.factor * complete > MOST_MORE:
        return None
    return max(1, math.ceil(complete * tested.factor) - complete)
