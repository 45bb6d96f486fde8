"""Every file of the corpus gets the verdict of its label, and a rejected one is refused for the right reason."""

from collections.abc import Iterator
from types import ModuleType

import pytest

from tests.corpus import ROOMS, Case, corpus
from tests.unit.gguf.judging import inspect, inspect_parts
from tidegate.gguf import Finding, Severity


def _verdict(findings: tuple[Finding, ...]) -> tuple[str, set[str]]:
    """The label that the findings amount to, and the ids that made it so."""
    errors = {found.check for found in findings if found.severity is Severity.ERROR}
    if errors:
        return "reject", errors
    warned = {found.check for found in findings if found.severity is Severity.WARNING}
    return ("warn", warned) if warned else ("good", set())


def _misjudged(cases: Iterator[Case]) -> Iterator[str]:
    for case in cases:
        content = case.content
        judged = inspect_parts(content).whole if isinstance(content, dict) else inspect(content)
        verdict, ids = _verdict(judged.findings)
        if verdict != case.label or not case.expected <= ids:
            yield f"{case.name}: {case.label} {sorted(case.expected)} was due, but got {verdict} {sorted(ids)}"


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.__name__.rsplit(".", 1)[-1])
def test_every_case_gets_the_verdict_of_its_label_for_its_reason(room: ModuleType):
    assert list(_misjudged(room.cases())) == []


def test_names_are_unique_and_every_group_has_cases():
    names: set[str] = set()
    groups: set[str] = set()
    for case in corpus():
        assert case.name not in names
        assert case.label != "good" or not case.expected
        names.add(case.name)
        groups.add(case.group)
    assert groups >= {
        "sound",
        "file",
        "header",
        "metadata",
        "tensor",
        "layout",
        "semantic",
        "tokenizer",
        "numeric",
        "kind",
        "split",
    }
