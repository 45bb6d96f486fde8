"""Puts one bank to two models in one run: same order, same concurrency, turn about in small steps.

May stop early, by tests that allow for it. What is asked again is asked of both, and chosen because their answers
differ, never because one of them failed.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tidegate.domain import Verdict
from tidegate.quality.agreement import Agreement, self_agreement
from tidegate.quality.bank import Bank
from tidegate.quality.cache import AnswerStore
from tidegate.quality.decision import decide
from tidegate.quality.judge import EARLY_STOPPING
from tidegate.quality.paired_tests import Rules
from tidegate.quality.pairs import Pairs
from tidegate.quality.results import BankResult
from tidegate.quality.run import BankRun
from tidegate.quality.source import Ask, Source

Look = Callable[[int, int], None]


@dataclass(frozen=True)
class PairedPlan:
    """How much is asked, fixed before the first question."""

    concurrency: int = 2
    order_seed: int = 0
    max_questions: int | None = None
    """The first ones of the order; None: all."""
    deadline_s: float = 900.0
    step_questions: int = 25
    """Asked of one model, then of the other; and between two looks, where it may stop early."""
    early_stopping: bool = False
    repeats: int = 1
    """Answers to each question whose score differs."""
    measures_floor: bool = False
    """The baseline answers every question twice, which shows how much it differs from itself."""


@dataclass(frozen=True)
class Arm:
    """One of the two models."""

    ask: Ask | Source
    label: str = ""
    kept: AnswerStore | None = None


@dataclass(frozen=True)
class PairedResult:
    candidate: BankResult
    baseline: BankResult
    floor: Agreement | None = None


def run_paired(
    bank: Bank,
    candidate: Arm,
    baseline: Arm,
    plan: PairedPlan,
    rules: Rules,
    *,
    progress: Look | None = None,
    taken_at: datetime | None = None,
) -> PairedResult:
    """Ask both. `rules` are those of the later verdict: only a run that may stop early looks at them."""
    return _Run(bank, candidate, baseline, plan, rules, progress).run(taken_at)


def are_independent_and_alike(bank: Bank) -> bool:
    """Whether a run over this bank may stop early: bets count single questions, each as much as any other."""
    clusters = [question.cluster for question in bank.questions if question.cluster is not None]
    return len(set(clusters)) == len(clusters) and len({question.weight for question in bank.questions}) == 1


class _Run:
    def __init__(
        self,
        bank: Bank,
        candidate: Arm,
        baseline: Arm,
        plan: PairedPlan,
        rules: Rules,
        progress: Look | None,
    ):
        self._plan, self._rules, self._progress = plan, rules, progress
        self._arms = (candidate, baseline)
        self._runs = tuple(
            BankRun(bank, arm.ask, concurrency=plan.concurrency, order_seed=plan.order_seed, kept=arm.kept)
            for arm in self._arms
        )
        self._names = self._runs[0].order[: plan.max_questions]
        self._total = len(self._names)
        self._deadline = time.monotonic() + plan.deadline_s
        self._may_stop = plan.early_stopping and are_independent_and_alike(bank)
        self._settings = {EARLY_STOPPING: self._may_stop, "planned_questions": self._total}

    def run(self, taken_at: datetime | None) -> PairedResult:
        names = self._ask_in_steps()
        note = f"Stopped after {len(names)} of {self._total} questions: they decide."
        notes = (note,) if len(names) < self._total else ()
        differing: Sequence[str] = ()
        if self._plan.repeats > 1:
            differing = self._repeat_differing(names)
        floor = self._measure_floor(names) if self._plan.measures_floor else None
        results = [
            run.result(
                names=names,
                taken_at=taken_at,
                label=arm.label,
                repeated=differing,
                settings=self._settings,
                notes=notes,
            )
            for run, arm in zip(self._runs, self._arms, strict=True)
        ]
        return PairedResult(results[0], results[1], floor)

    def _ask_in_steps(self) -> Sequence[str]:
        """Returns the questions that were asked: all, or as many as it took to decide."""
        asked = 0
        for number, start in enumerate(range(0, self._total, self._plan.step_questions)):
            names = self._names[start : start + self._plan.step_questions]
            # Neither model is always the first: whatever grows warm or busy does so for both.
            for run in self._runs if number % 2 == 0 else reversed(self._runs):
                run.ask(names, 0, self._deadline)
            asked = start + len(names)
            if self._progress is not None:
                self._progress(asked, self._total)
            if self._may_stop and self._is_decided(asked):
                break
        return self._names[:asked]

    def _is_decided(self, asked: int) -> bool:
        candidate, baseline = self._results(self._names[:asked])
        pairs = Pairs.of(candidate, baseline)
        if not pairs.complete:
            return False
        is_graded = candidate.settings.get("is_graded") is True
        rules = Rules(self._rules.margin, self._rules.alpha, is_sequential=True, is_graded=is_graded)
        return decide(pairs, rules).verdict is not Verdict.NOT_JUDGED

    def _results(self, names: Sequence[str]) -> tuple[BankResult, BankResult]:
        """First answers alone."""
        ours, theirs = (run.result(names=names, repeated=()) for run in self._runs)
        return ours, theirs

    def _repeat_differing(self, names: Sequence[str]) -> list[str]:
        pairs = Pairs.of(*self._results(names))
        differing = [pair.id for pair in pairs.complete if pair.difference != 0]
        for sample in range(1, self._plan.repeats):
            for run in self._runs:
                run.ask(differing, sample, self._deadline)
        return differing

    def _measure_floor(self, names: Sequence[str]) -> Agreement | None:
        """The baseline's first two answers to every question, whatever else was repeated."""
        run = self._runs[1]
        run.ask(names, 1, self._deadline)
        return self_agreement(run.result(names=names))
