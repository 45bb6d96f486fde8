"""The comparison with a baseline as rows that a person reads. Pure; what a report does not hold is left out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from tidegate.domain.plain import size
from tidegate.validation.report import ValidationReport

_TOPIC = re.compile(r"(\d+)/(\d+) -> (\d+)/(\d+)")
QUESTIONS_SHOWN = 20
CHANGES_SHOWN = 20

Table = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Score:
    """Right answers of both files in one topic."""

    name: str
    before: int
    after: int
    total: int


@dataclass(frozen=True, slots=True)
class BaselineView:
    """What a reader wants to know about the difference."""

    name: str
    scores: tuple[Score, ...]
    facts: tuple[tuple[str, str, str], ...]
    """What, of the baseline, of this file."""
    lost: tuple[str, ...]
    won: tuple[str, ...]
    tokenizer: tuple[str, ...]
    """Parts of the tokenizer that differ."""
    template: tuple[str, ...]
    """Lines of a unified diff."""


def baseline_view(report: ValidationReport) -> BaselineView | None:
    """None without a baseline."""
    data = report.baseline
    if not data:
        return None
    answers = _table(data, "scores", "answers")
    return BaselineView(
        name=report.baseline_version or str(data.get("version") or data.get("path") or "the baseline"),
        scores=_scores(data),
        facts=tuple(_facts(report, data)),
        lost=_texts(answers.get("losses"))[:QUESTIONS_SHOWN],
        won=_texts(answers.get("wins"))[:QUESTIONS_SHOWN],
        tokenizer=_texts(_table(data, "tokenizer").get("changed")),
        template=_texts(_table(data, "template").get("diff")),
    )


def _scores(data: Table) -> tuple[Score, ...]:
    score, answers = _table(data, "scores", "score"), _table(data, "scores", "answers")
    rows: list[Score] = []
    right, total = _count(score.get("right")), _count(score.get("total"))
    won, lost = _count(answers.get("won")), _count(answers.get("lost"))
    if None not in (right, total, won, lost):
        rows.append(Score("all questions", (right or 0) - (won or 0) + (lost or 0), right or 0, total or 0))
    for name, text in _table(data, "scores", "topics", "topics").items():
        match = _TOPIC.fullmatch(str(text))
        if match:
            before, _, after, asked = map(int, match.groups())
            rows.append(Score(name, before, after, asked))
    return tuple(rows)


def _facts(report: ValidationReport, data: Table) -> list[tuple[str, str, str]]:
    facts: list[tuple[str, str, str]] = []
    before = _count(data.get("size_bytes"))
    if before is not None:
        facts.append(("size", size(before), size(report.size_bytes)))
    model = _table(data, "model")
    if model and report.model is not None:
        now = report.model.model_dump(mode="json")
        for key, value in now.items():
            if key in model and model[key] != value:
                facts.append((key.replace("_", " "), _shown(model[key]), _shown(value)))
    changes = _table(data, "metadata").get("changes")
    rows = cast("list[object]", changes) if isinstance(changes, list) else []
    for row in rows[:CHANGES_SHOWN]:
        if isinstance(row, Mapping):
            change = cast("Table", row)
            facts.append((str(change.get("name")), _shown(change.get("old")), _shown(change.get("new"))))
    speed = _table(data, "speed")
    old, new = speed.get("baseline_ms_per_token"), speed.get("ms_per_token")
    if isinstance(old, int | float) and isinstance(new, int | float):
        facts.append(("time per token", f"{old:.2f} ms", f"{new:.2f} ms"))
    return facts


def _shown(value: object) -> str:
    return ", ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)


def _table(data: Table, *path: str) -> Table:
    """The mapping at a path, or an empty one."""
    here: Any = data
    for name in path:
        here = cast("Table", here).get(name) if isinstance(here, Mapping) else None
    return cast("Table", here) if isinstance(here, Mapping) else {}


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, cast("list[object]", value))) if isinstance(value, list | tuple) else ()


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
