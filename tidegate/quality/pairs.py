"""Two results of one bank side by side: the question is the unit. Pure."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal, Self

from tidegate.quality.results import BankResult, QuestionResult

REPEATED_NONE, REPEATED_ALL, REPEATED_DISCORDANT = "none", "all", "discordant"
"""Which questions were asked several times (`settings["repeated"]`)."""

Answers = Literal["first", "all", "again"]
"""Of a question that was asked several times: its first answer, the mean of all, or the mean of those after the first.
The first answers chose what was asked again, so only those after them are no choice of ours."""


@dataclass(frozen=True)
class Pair:
    """One question, put to both. A score is None where there is no answer."""

    id: str
    ours: QuestionResult
    theirs: QuestionResult
    ours_value: float | None
    theirs_value: float | None

    @property
    def is_complete(self) -> bool:
        return self.ours_value is not None and self.theirs_value is not None

    @property
    def difference(self) -> float:
        """Candidate minus baseline, -1 to 1; 0 where an answer is missing."""
        if self.ours_value is None or self.theirs_value is None:
            return 0.0
        return self.ours_value - self.theirs_value

    @property
    def weight(self) -> float:
        return self.ours.weight

    @property
    def cluster(self) -> str:
        """A question without a cluster is one of its own; its id cannot be the name of another one's cluster."""
        return f"c:{self.ours.cluster}" if self.ours.cluster is not None else f"q:{self.id}"

    @property
    def slices(self) -> tuple[str, ...]:
        """What it counts for beside the whole bank: its topic and its tags."""
        return tuple(dict.fromkeys((self.ours.topic, *self.ours.tags)))


@dataclass(frozen=True)
class Pairs:
    """All questions, in the order in which they were asked where that is known."""

    every: tuple[Pair, ...]

    @classmethod
    def of(cls, candidate: BankResult, baseline: BankResult, answers: Answers = "all") -> Self:
        """`answers` says which of several answers to a question count."""
        theirs = {result.id: result for result in baseline.results}
        ours = {result.id: result for result in candidate.results}
        names = [name for name in candidate.order if name in ours] or list(ours)
        return cls(
            tuple(
                Pair(
                    name,
                    ours[name],
                    theirs[name],
                    score_of(ours[name], answers),
                    score_of(theirs[name], answers),
                )
                for name in names
                if name in theirs
            )
        )

    def of_slice(self, name: str) -> "Pairs":
        return Pairs(tuple(pair for pair in self.every if name in pair.slices))

    @property
    def complete(self) -> tuple[Pair, ...]:
        return tuple(pair for pair in self.every if pair.is_complete)

    @property
    def missing(self) -> int:
        return sum(not pair.is_complete for pair in self.every)

    @property
    def losses(self) -> list[str]:
        return [pair.id for pair in self.complete if pair.difference < 0]

    @property
    def wins(self) -> list[str]:
        return [pair.id for pair in self.complete if pair.difference > 0]

    @property
    def is_graded(self) -> bool:
        """Some score is neither right nor wrong, or some questions count more than others."""
        values = {value for pair in self.complete for value in (pair.ours_value, pair.theirs_value)}
        return bool(values - {0.0, 1.0}) or self.is_weighted

    @property
    def is_weighted(self) -> bool:
        return len({pair.weight for pair in self.every}) > 1

    @property
    def has_clusters(self) -> bool:
        return any(count > 1 for count in Counter(pair.cluster for pair in self.every).values())

    def slices(self) -> list[str]:
        """Topics and tags, in order of appearance."""
        return list(dict.fromkeys(name for pair in self.every for name in pair.slices))


def score_of(result: QuestionResult, answers: Answers) -> float | None:
    """The score of a question; None where one of the answers that count is missing."""
    if answers == "all" or not result.repeats:
        return result.value
    if answers == "first":
        return result.repeats[0].value
    later = [entry.value for entry in result.repeats[1:]]
    known = [value for value in later if value is not None]
    return sum(known) / len(known) if len(known) == len(later) else None


def are_comparable(candidate: BankResult, baseline: BankResult) -> str:
    """Why two results cannot be compared; empty when they can."""
    if candidate.bank_digest != baseline.bank_digest or _ids(candidate) != _ids(baseline):
        return "Candidate and baseline answered different banks."
    differing = [
        name
        for name in ("max_tokens", "temperature", "seed", "stop", "cache_prompt", "concurrency")
        if candidate.settings
        and baseline.settings
        and candidate.settings.get(name) != baseline.settings.get(name)
    ]
    if differing:
        return f"Candidate and baseline were asked with other settings ({', '.join(differing)})."
    return ""


def _ids(result: BankResult) -> set[str]:
    return {entry.id for entry in result.results}
