"""The highest load that keeps a service level: doubling, then bisection, each step decided by an interval. Pure.

A level holds when Wilson's interval of its attainment lies above the wanted share, misses when it lies below, and
is measured again when it says neither. Every look at a level has its part of the error rate (Bonferroni), so that
looking again does not make a verdict easier. What no look decides stays undecided, and the result says so.
Requests of one probe share its queue, so that the interval is optimistic near the limit: a level that only just
holds is better read as "about there".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import floor

from tidegate.domain import InvalidInput
from tidegate.statistics import wilson_interval

ALPHA = 0.05


class Verdict(StrEnum):
    """Of one level."""

    HOLDS = "holds"
    MISSES = "misses"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Probe:
    """What is known of a level after all looks at it."""

    level: float
    good: int
    planned: int
    looks: int
    low: float
    high: float
    verdict: Verdict


class Answer(StrEnum):
    """What a search found."""

    AT_LEAST = "at least"
    """The highest level that may be tried still holds."""
    BETWEEN = "between"
    """One level holds and a higher one misses (or the lowest one already misses)."""
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class HighestLoad:
    """The result. `holds` is the highest level shown to hold, `misses` the lowest shown to miss."""

    answer: Answer
    holds: float | None
    misses: float | None
    probes: tuple[Probe, ...]
    why: str
    """What ended the search."""

    def describe(self, unit: str) -> str:
        """One sentence for people."""
        tail = f" ({self.why})"
        if self.answer is Answer.AT_LEAST:
            return f"at least {self.holds:g} {unit}{tail}"
        if self.answer is Answer.BETWEEN and self.holds is None:
            return f"below {self.misses:g} {unit}{tail}"
        if self.answer is Answer.BETWEEN:
            return f"between {self.holds:g} and {self.misses:g} {unit}{tail}"
        known = f"; {self.holds:g} {unit} hold" if self.holds is not None else ""
        return f"undecided{known}{tail}"


@dataclass(frozen=True)
class SearchPlan:
    """Where a search looks, and what ends it."""

    start: float = 1.0
    most: float = 1024.0
    wanted: float = 0.95
    """Share of the planned requests that must be good."""
    resolution: float = 0.1
    """Good enough when the two ends differ by this share of the lower one."""
    is_whole: bool = False
    """Levels are numbers of requests at once."""
    most_probes: int = 16
    looks: int = 3
    """Measurements of one level at most."""

    def __post_init__(self) -> None:
        is_sound = 0 < self.start <= self.most and 0 < self.wanted < 1 and self.resolution > 0
        if not is_sound or self.most_probes < 1 or self.looks < 1 or (self.is_whole and self.start < 1):
            raise InvalidInput(
                "A search needs 0 < start <= most, a wanted share between 0 and 1, and at least one probe.",
                remedy="Give numbers in these ranges.",
                field="start, most, wanted, resolution, most_probes, looks",
            )


class LevelSearch:
    """Asked for the next level and told what it gave, until there is no next one."""

    def __init__(self, plan: SearchPlan):
        self._plan = plan
        self._probes: dict[float, Probe] = {}
        self._sent = 0
        self._why = ""

    def next_level(self) -> float | None:
        """The level to measure now; None when the search is over."""
        if not self._why:
            self._why, level = self._next()
            if not self._why:
                return level
        return None

    def tell(self, level: float, good: int, planned: int) -> Probe:
        """One measurement of a level; several of the same level add up."""
        before = self._probes.get(level)
        looks = 1 + (before.looks if before else 0)
        good += before.good if before else 0
        planned += before.planned if before else 0
        low, high = wilson_interval(good, planned, 1 - ALPHA / self._plan.looks)
        verdict = Verdict.UNDECIDED
        if planned and low >= self._plan.wanted:
            verdict = Verdict.HOLDS
        elif planned and high < self._plan.wanted:
            verdict = Verdict.MISSES
        self._probes[level] = Probe(level, good, planned, looks, low, high, verdict)
        self._sent += 1
        return self._probes[level]

    def end(self, why: str) -> None:
        """Nothing more is measured: the time is over, or somebody stopped it."""
        self._why = self._why or why

    def result(self) -> HighestLoad:
        holds, misses = self._holds(), self._misses()
        answer = Answer.UNDECIDED
        if holds is not None and holds >= self._plan.most:
            answer = Answer.AT_LEAST
        elif misses is not None and (holds is not None or self._is_lowest(misses)):
            answer = Answer.BETWEEN
        probes = tuple(sorted(self._probes.values(), key=lambda probe: probe.level))
        return HighestLoad(answer, holds, misses, probes, self._why or "still running")

    def _next(self) -> tuple[str, float]:
        """Why it is over, or the next level."""
        if self._sent >= self._plan.most_probes:
            return f"{self._sent} probes, as many as allowed", 0.0
        if not self._probes:
            return "", self._plan.start
        open_ones = [
            probe
            for probe in self._probes.values()
            if probe.verdict is Verdict.UNDECIDED and probe.looks < self._plan.looks
        ]
        if open_ones:
            return "", open_ones[-1].level
        return self._doubled() if self._upper() is None else self._bisected()

    def _doubled(self) -> tuple[str, float]:
        holds = self._holds() or self._plan.start
        if holds >= self._plan.most:
            return "the highest level that may be tried holds", 0.0
        return "", min(2 * holds, self._plan.most)

    def _bisected(self) -> tuple[str, float]:
        low, high = self._holds() or 0.0, self._upper() or 0.0
        if low > 0 and high - low <= max(self._plan.resolution * low, 1.0 if self._plan.is_whole else 0.0):
            return "the two ends are as close as asked", 0.0
        middle = (low + high) / 2
        middle = float(floor(middle)) if self._plan.is_whole else round(middle, 6)
        if self._is_lowest(high) or middle <= 0 or middle in self._probes:
            return "the lowest level that can be tried does not hold", 0.0
        return "", middle

    def _is_lowest(self, level: float) -> bool:
        return level <= (1.0 if self._plan.is_whole else self._plan.start / 64)

    def _holds(self) -> float | None:
        """Highest level that holds below every level that does not."""
        upper = self._upper()
        held = [
            probe.level
            for probe in self._probes.values()
            if probe.verdict is Verdict.HOLDS and (upper is None or probe.level < upper)
        ]
        return max(held, default=None)

    def _upper(self) -> float | None:
        """Lowest level that does not hold: it misses, or no look decides it."""
        return min(
            (probe.level for probe in self._probes.values() if probe.verdict is not Verdict.HOLDS),
            default=None,
        )

    def _misses(self) -> float | None:
        missed = [probe.level for probe in self._probes.values() if probe.verdict is Verdict.MISSES]
        return min(missed, default=None)


def rising_levels(
    first: float, last: float, factor: float = 1.5, *, is_whole: bool = False
) -> Sequence[float]:
    """Levels of a sweep, each `factor` times the one before it, `last` included."""
    if not 0 < first <= last or factor <= 1.0:
        raise InvalidInput(
            "A sweep rises: 0 < first <= last, and a factor above 1.",
            remedy="For example first 1, last 16, factor 2.",
            field="levels",
        )
    levels, level = [first], first
    while level * factor < last * 0.999:
        level *= factor
        levels.append(float(round(level)) if is_whole else float(f"{level:.4g}"))
    return sorted({*levels, last})
