"""The two tail functions taken from scipy; the only file of the room that imports it (it has no types).

Imported when first used: loading scipy costs a short process more than all of its other work.
"""


def binomial_tail(at_least: int, trials: int, chance: float) -> float:
    """P(X >= at_least) for X ~ Bin(trials, chance), as the regularised incomplete beta function."""
    from scipy.special import betainc  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

    if at_least <= 0:
        return 1.0
    return float(betainc(at_least, trials - at_least + 1, chance)) if at_least <= trials else 0.0  # pyright: ignore[reportUnknownArgumentType]


def t_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t distribution."""
    from scipy.special import stdtrit  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

    return float(stdtrit(degrees, probability))  # pyright: ignore[reportUnknownArgumentType]
