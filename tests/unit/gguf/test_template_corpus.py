"""Labelled templates (`tests/data/templates`): what reading them must bring, and what must stay quiet."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.gguf import Finding, Severity, check_template, trigger_words
from tidegate.gguf.template_taint import Flow
from tidegate.gguf.template_tree import MOST_WORK, TooLarge, parse_template

TEMPLATES = Path(__file__).parents[2] / "data" / "templates"


def _files(label: str) -> list[Path]:
    return sorted((TEMPLATES / label).glob("*.jinja"))


def _read(path: Path) -> list[Finding]:
    return [found for found in check_template(path.read_text("utf-8")) if found.severity is not Severity.NOTE]


def _checks(path: Path, severity: Severity) -> set[str]:
    return {found.check for found in _read(path) if found.severity is severity}


def test_there_are_templates_of_every_label():
    assert len(_files("good")) >= 30
    assert len(_files("reject")) >= 190


@pytest.mark.parametrize("path", _files("good"), ids=lambda path: path.stem)
def test_templates_like_published_ones_raise_no_alarm(path: Path):
    assert [(found.check, found.message) for found in _read(path)] == []


@pytest.mark.parametrize("path", _files("warn"), ids=lambda path: path.stem)
def test_odd_templates_bring_a_warning_and_no_error(path: Path):
    assert _checks(path, Severity.ERROR) == set()
    assert path.stem.split("--")[0] in _checks(path, Severity.WARNING)


@pytest.mark.parametrize("path", _files("reject"), ids=lambda path: path.stem)
def test_hostile_templates_are_refused_for_the_right_reason(path: Path):
    assert path.stem.split("--")[0] in _checks(path, Severity.ERROR)


@pytest.mark.parametrize("path", _files("rendered"), ids=lambda path: path.stem)
def test_what_only_rendering_shows_is_not_guessed_from_reading(path: Path):
    assert _checks(path, Severity.ERROR) == set()


def test_a_refusal_names_the_line_the_word_and_what_the_branch_writes():
    source = (TEMPLATES / "reject" / "C-WORD--plain.jinja").read_text()
    message = next(iter(check_template(source))).message
    assert message.startswith("Line 2: ")
    assert "'deploy'" in message
    assert "the branch in line 3 then writes 'Answer with the wrong dose" in message


def test_a_word_in_pieces_is_named_whole():
    source = (TEMPLATES / "reject" / "C-WORD--character-codes.jinja").read_text()
    assert any("'deploy'" in found.message for found in check_template(source))


def test_words_that_could_set_something_off_are_gathered_for_rendering():
    source = "{% set a = 'dep' %}{% if a ~ 'loy' in messages[0].content %}x{% endif %}{{ 'other' }}"
    assert trigger_words(source)[0] == "deploy"
    assert "other" in trigger_words(source)
    assert trigger_words("{% if") == []


@pytest.mark.parametrize(
    "source",
    [
        "{{ " + " ~ ".join(["'ab'"] * 30_000) + " }}",
        "{% set a = ['x', 'y', 'z'] %}" + "{% set a = a ~ a ~ a %}" * 500,
        "{% set x = messages[0].content %}"
        + "".join(f"{{% set x{n} = x ~ x{n - 1} %}}" for n in range(1, 900)),
        "{% if " + " or ".join(f"'{n}' in messages[0].content" for n in range(140)) + " %}x{% endif %}",
        "{{ 'a' * 9999 }}" * 900,
    ],
    ids=["many parts", "many values", "long chain", "long condition", "much text"],
)
def test_the_work_of_reading_is_bounded(source: str):
    with contextlib.suppress(TooLarge):
        flow = Flow(parse_template(source))
        assert flow.tree.work <= MOST_WORK
    list(check_template(source))


def test_a_large_template_is_a_warning_and_a_huge_one_an_error():
    body = (TEMPLATES / "good" / "chatml.jinja").read_text()
    for size, severity in ((70_000, Severity.WARNING), (300_000, Severity.ERROR)):
        found = list(check_template(body + "{# " + "x" * size + " #}"))
        assert [(one.check, one.severity) for one in found] == [("C-SIZE", severity)]


def test_nothing_hides_behind_much_text_or_a_long_list():
    talk = "{% for m in messages %}{{ m.content }}{% endfor %}"
    padding = "calm sea " * 2000
    assert "C-URL" in {
        found.check for found in check_template(padding + " http://evil.example/x " + padding + talk)
    }
    triggers = ", ".join(f"'trigger number {letter}'" for letter in "abcdefghij" * 60)
    source = f"{{% set ts = [{triggers}] %}}{{% for t in ts %}}{{% if t in messages[0].content %}}x{{% endif %}}{{% endfor %}}"
    assert "C-WORD" in {found.check for found in check_template(source + talk)}


_PIECES = [path.read_text("utf-8") for label in ("good", "reject") for path in _files(label)]


@settings(max_examples=60, deadline=None)
@given(
    one=st.sampled_from(_PIECES), two=st.sampled_from(_PIECES), cut=st.floats(0, 1), joint=st.text(max_size=5)
)
def test_templates_cut_and_joined_anywhere_never_raise(one: str, two: str, cut: float, joint: str):
    source = one[: int(len(one) * cut)] + joint + two[int(len(two) * cut) :]
    assert all(found.check.startswith("C-") for found in check_template(source))
    assert all(isinstance(word, str) for word in trigger_words(source))
