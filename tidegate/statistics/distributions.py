"""The two tail functions taken from scipy; the only file of the room that imports it (it has no types)."""

from scipy.special import betainc, stdtrit  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]


def binomial_tail(at_least: int, trials: int, chance: float) -> float:
    """P(X >= at_least) for X ~ Bin(trials, chance), as the regularised incomplete beta function."""
    if at_least <= 0:
        return 1.0
    return float(betainc(at_least, trials - at_least + 1, chance)) if at_least <= trials else 0.0  # pyright: ignore[reportUnknownArgumentType]


def t_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t distribution."""
    return float(stdtrit(degrees, probability))  # pyright: ignore[reportUnknownArgumentType]
