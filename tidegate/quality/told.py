"""Decisions in sentences that a manager understands. Pure."""

from tidegate.domain import Verdict
from tidegate.quality.agreement import Agreement
from tidegate.quality.decision import Decision


def points(share: float) -> str:
    """`3.4 points`; a share of all questions, or of the score."""
    return f"{share * 100:.1f}".removesuffix(".0") + (" point" if abs(share * 100 - 1) < 0.05 else " points")


def told_decision(found: Decision, margin: float, floor: Agreement | None = None) -> str:
    """One or two sentences: what was found, what it shows, and what more would be needed."""
    losses, wins, tested = len(found.losses), len(found.wins), found.tested
    text = f"Of {found.pairs} questions {losses} lost and {wins} won against the baseline"
    noise = _noise(floor)
    if found.verdict is Verdict.PASS:
        most = f"at most {points(max(0.0, tested.most_loss))}"
        return f"{text}; a loss of {points(margin)} is ruled out ({most}){noise}."
    if found.verdict is Verdict.FAIL:
        by = f"p = {tested.worse_p:.2g}" if tested.worse_p is not None else "by its bounds"
        return f"{text}: worse ({by}; {_range(found)}){noise}."
    if found.missing:
        return f"{text}; {found.missing} have no answer{noise}."
    why = f"neither shown to lose less than {points(margin)} nor shown to be worse ({_range(found)})"
    return f"{text}: {why}; this bank {found.reach}{_more(found)}{noise}."


def told_numbers(found: Decision, alpha: float) -> str:
    """The same for an engineer."""
    tested = found.tested
    test = "" if tested.worse_p is None else f", p of worse {tested.worse_p:.3g}"
    return (
        f"loss {tested.loss * 100:.2f} points, {1 - 2 * alpha:.0%} interval {tested.least_loss * 100:.2f} to "
        f"{tested.most_loss * 100:.2f}; {tested.method}{test}"
    )


def _range(found: Decision) -> str:
    low, high = found.tested.least_loss, found.tested.most_loss
    if low < 0 < high:
        return f"between {points(-low)} better and {points(high)} worse"
    if high <= 0:
        return f"{points(-high)} to {points(-low)} better"
    return f"{points(low)} to {points(high)} worse"


def _more(found: Decision) -> str:
    if found.more is None:
        return ""
    questions = "one more question" if found.more == 1 else f"about {found.more:,} more questions"
    return f"; {questions} would decide, if they came out as these did"


def _noise(floor: Agreement | None) -> str:
    if floor is None:
        return ""
    return f"; the baseline differs from itself in {floor.other_score} of {floor.compared}"
