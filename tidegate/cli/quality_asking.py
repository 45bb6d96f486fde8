"""What `tidegate quality run` and `compare` do: open the targets, ask, judge, keep."""

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.cli.quality_judging import JudgeOptions, ask_and_judge
from tidegate.cli.quality_store import find, keep
from tidegate.cli.quality_target import AskOptions, Target, opened_target, refuse_same
from tidegate.domain import InvalidInput, Secret, ServiceRef

if TYPE_CHECKING:
    from tidegate.domain.policy import QualityPolicy
    from tidegate.quality import Bank
    from tidegate.quality.report import QualityReport
    from tidegate.quality.report.document import AskedQuestion


@dataclass(frozen=True)
class Limits:
    """How much is asked, and in which order."""

    concurrency: int
    most: int
    tags: tuple[str, ...]
    seed: int
    deadline_s: float
    is_quiet: bool


@dataclass(frozen=True)
class Comparing:
    """What decides between two models."""

    policy: "QualityPolicy"
    measures_floor: bool = True
    shown: dict[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def of(
        cls,
        margin: float,
        alpha: float,
        min_score: float,
        max_topic_drop: float,
        slices: Sequence[str],
        early_stopping: bool,
        repeats: int,
        measures_floor: bool,
    ) -> "Comparing":
        """Raises: InvalidInput for a slice that is not NAME=MARGIN."""
        from tidegate.domain.policy import QualityPolicy, QuestionBudget

        policy = QualityPolicy(
            margin=margin,
            alpha=alpha,
            min_score=min_score,
            max_topic_drop=max_topic_drop,
            slices=_slices(slices),
            early_stopping=early_stopping,
            budget=QuestionBudget(repeats=repeats),
        )
        shown: dict[str, Any] = {
            "margin": margin, "alpha": alpha, "min_score": min_score, "max_topic_drop": max_topic_drop,
        }  # fmt: skip
        shown |= {f"slice {name}": own.margin for name, own in policy.slices.items()}
        return cls(policy, measures_floor, shown)


@dataclass(frozen=True)
class Kept:
    """A report, and where it was put."""

    report: "QualityReport"
    where: str = ""


def run_banks(
    text: str,
    paths: Sequence[Path],
    key: Secret,
    options: AskOptions,
    limits: Limits,
    *,
    label: str,
    repeats: int,
    min_score: float,
    is_stored: bool,
) -> list[Kept]:
    """Every bank is put to the same model, one after the other. Raises: as `opened_target`; InvalidInput for a bank."""
    from tidegate.domain.policy import QualityPolicy
    from tidegate.quality import judge_quality, read_bank, run_bank
    from tidegate.quality.report import run_report

    banks = [chosen(read_bank(path), limits) for path in paths]
    found: list[Kept] = []
    with opened_target(text, key, options) as target:
        label = label or (str(target.ref) if target.ref else "")
        for bank in banks:
            with _progress(f"asking {bank.name}", limits) as tell:
                result = run_bank(
                    bank, target.source, concurrency=limits.concurrency, deadline_s=limits.deadline_s,
                    order_seed=limits.seed, repeats=repeats, kept=target.kept, progress=tell,
                    taken_at=datetime.now(UTC), label=label,
                )  # fmt: skip
            result = result.model_copy(update={"notes": (*result.notes, *_notes(bank, target))})
            policy = QualityPolicy(min_score=min_score)
            rows = [row for row in judge_quality(result, None, policy) if row.check == "quality.score"]
            report = run_report(bank, result, rows, {"min_score": min_score}, datetime.now(UTC), label)
            found.append(_kept(report, target.ref, is_stored=is_stored))
    return found


@dataclass(frozen=True)
class Side:
    """One of two targets, as the user named it."""

    option: str
    text: str
    key: Secret
    options: AskOptions


def compare_targets(
    old: Side,
    new: Side,
    path: Path,
    comparing: Comparing,
    limits: Limits,
    *,
    judge: JudgeOptions | None,
    label: str,
    is_stored: bool,
) -> Kept:
    """Baseline and candidate in one run. Raises: as `opened_target`; Refused when both are the same file."""
    from tidegate.quality import judge_quality, read_bank
    from tidegate.quality.paired_run import Arm, PairedPlan, run_paired
    from tidegate.quality.paired_tests import Rules
    from tidegate.quality.report import comparison_report
    from tidegate.quality.report.document import asked_questions

    bank, policy = chosen(read_bank(path), limits), comparing.policy
    plan = PairedPlan(
        concurrency=limits.concurrency,
        order_seed=limits.seed,
        deadline_s=limits.deadline_s,
        early_stopping=policy.early_stopping,
        repeats=policy.budget.repeats,
        measures_floor=comparing.measures_floor,
    )
    with ExitStack() as stack:
        theirs, ours = (
            stack.enter_context(opened_target(side.text, side.key, side.options, side.option))
            for side in (old, new)
        )
        refuse_same(theirs, ours)
        with _progress("asking both", limits) as tell:
            found = run_paired(
                bank, Arm(ours.source, new.text, ours.kept), Arm(theirs.source, old.text, theirs.kept), plan,
                Rules(policy.margin, policy.alpha), progress=tell, taken_at=datetime.now(UTC),
            )  # fmt: skip
        notes = dict.fromkeys((*found.candidate.notes, *_notes(bank, ours), *_notes(bank, theirs)))
        candidate = found.candidate.model_copy(update={"notes": tuple(notes)})
        rows = judge_quality(candidate, found.baseline, policy, floor=found.floor)
        if judge is not None:
            rows.append(ask_and_judge(judge, bank, candidate, found.baseline, limits.seed, policy.alpha))
    report = comparison_report(
        candidate, found.baseline, rows, comparing.shown, datetime.now(UTC),
        questions=asked_questions(bank, candidate), floor=found.floor, label=label,
    )  # fmt: skip
    return _kept(report, ours.ref, is_stored=is_stored)


def compare_stored(
    baseline: str, candidate: str, comparing: Comparing, *, label: str, is_stored: bool
) -> Kept:
    """Two results of earlier runs. Raises: InvalidInput, NotFound."""
    from tidegate.quality import judge_quality
    from tidegate.quality.agreement import self_agreement
    from tidegate.quality.report import comparison_report

    theirs, ours = _result(baseline), _result(candidate)
    floor = self_agreement(theirs.candidate)
    rows = judge_quality(ours.candidate, theirs.candidate, comparing.policy, floor=floor)
    questions: dict[str, AskedQuestion] = {**theirs.questions, **ours.questions}
    report = comparison_report(
        ours.candidate, theirs.candidate, rows, comparing.shown, datetime.now(UTC), questions=questions,
        floor=floor, label=label,
    )  # fmt: skip
    return _kept(report, None, is_stored=is_stored)


def _result(name: str) -> "QualityReport":
    from tidegate.cli.quality_store import is_stored as names_result

    if not names_result(name):
        raise InvalidInput(
            f"'{name[:120]}' is a model to ask, and no bank is named.",
            remedy="Add --bank FILE to ask both now, or name two results of: tidegate quality list.",
            field="--bank",
        )
    found = find(name)
    if found.what != "run":
        raise InvalidInput(
            f"{found.id} is a comparison already.", remedy="Name results of single runs.", field="RESULT"
        )
    return found


def chosen(bank: "Bank", limits: Limits) -> "Bank":
    """The questions of these topics or tags, and of those the first ones of the seeded order.

    Raises: InvalidInput when none is left.
    """
    from tidegate.quality.run import asking_order

    questions = [
        question
        for question in bank.questions
        if not limits.tags or set(limits.tags) & {question.topic, *question.tags}
    ]
    if not questions:
        raise InvalidInput(
            f"No question of {bank.name} has the topic or tag {', '.join(limits.tags)}.",
            remedy=f"It has: {', '.join(sorted({*bank.topics, *bank.tags})[:20])}.",
            field="--tags",
        )
    if limits.most:
        first = set(asking_order(questions, limits.seed)[: limits.most])
        questions = [question for question in questions if question.id in first]
    if len(questions) == len(bank.questions):
        return bank
    note = f"{len(questions)} of {len(bank.questions)} questions of the bank."
    return bank.model_copy(update={"questions": tuple(questions), "notes": (*bank.notes, note)})


def _notes(bank: "Bank", target: Target) -> tuple[str, ...]:
    return (*bank.notes, *((target.note,) if target.note else ()))


def _slices(texts: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, _, margin = text.rpartition("=")
        try:
            value = float(margin)
        except ValueError:
            value = 0.0
        if not name or not 0 < value < 1:
            raise InvalidInput(
                f"'{text}' is no slice with its margin.",
                remedy="For example: --slice safety=0.02.",
                field="--slice",
            )
        found[name] = {"margin": value}
    return found


def _kept(report: "QualityReport", ref: ServiceRef | None, *, is_stored: bool) -> Kept:
    return Kept(report, keep(report, ref) if is_stored else "")


@contextmanager
def _progress(title: str, limits: Limits) -> Generator[Callable[[int, int], None]]:
    """A bar on stderr when a person looks at it, else nothing."""
    from tidegate.cli.output import console

    target = console(stderr=True)
    if limits.is_quiet or not target.is_terminal:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed} of {task.total}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=target, transient=True) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
