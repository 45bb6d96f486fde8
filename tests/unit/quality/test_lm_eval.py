"""lm-eval tasks: local data, templates in a sandbox, filters and metrics; likelihoods and code are refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidegate.domain import InvalidInput
from tidegate.quality import Answer, BankOptions, read_bank, score
from tidegate.quality.formats.jinja_templates import TemplateRefused, Templates

ROWS = [{"question": "What is 2 + 2?", "answer": "4", "options": ["3", "4"], "label": 1}]


def task(folder: Path, rows: list[dict[str, Any]] | None = None, **changes: Any) -> Path:
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows or ROWS))
    config: dict[str, Any] = {
        "task": "t",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "data.jsonl"}},
        "test_split": "test",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
    }
    config |= changes
    path = folder / "task.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in config.items() if value is not None}))
    return path


def test_a_generative_task_keeps_stops_filters_metric_and_examples(examples: Path):
    bank = read_bank(examples / "lm_eval" / "sums.yaml")
    first = bank.questions[0]
    assert first.prompt.startswith("Question: Two cats have how many ears?\nAnswer: 4\n\nQuestion: Ada")
    assert first.stop == ("Question:", "</s>")
    assert (first.max_tokens, first.topic, first.tags) == (96, "sums", ("arithmetic_word_problems",))
    assert score(first, Answer(text="3 + 4\n#### 7.")).is_right
    assert not score(first, Answer(text="It is 7")).is_right
    assert any("strict-match, flexible-extract" in note for note in bank.notes)


def test_another_filter_may_be_named(examples: Path):
    bank = read_bank(examples / "lm_eval" / "sums.yaml", BankOptions(filter="flexible-extract"))
    assert score(bank.questions[1], Answer(text="12 in each, so 36")).is_right
    with pytest.raises(InvalidInput, match="there are strict-match, flexible-extract"):
        read_bank(examples / "lm_eval" / "sums.yaml", BankOptions(filter="loose"))


def test_choices_that_are_texts_are_listed_and_letters_are_not(examples: Path):
    endings = read_bank(examples / "lm_eval" / "endings.yaml").questions[0]
    assert "A) wet.\nB) dry." in (endings.turns[-1].content or "")
    planets = read_bank(examples / "lm_eval" / "planets.yaml").questions[1]
    assert planets.turns[-1].content == planets.prompt
    assert (planets.expect, planets.max_tokens, planets.wants_logprobs) == ("B", 1, True)
    assert planets.system == "The following are questions about the solar system."


def test_a_list_of_targets_accepts_any_of_them(tmp_path: Path):
    path = task(tmp_path, doc_to_target="options")
    assert read_bank(path).questions[0].expect == ["3", "4"]
    path = task(tmp_path, doc_to_target="{{ options }}")
    assert read_bank(path).questions[0].expect == ["3", "4"]


def test_a_target_may_be_a_number_of_a_choice(tmp_path: Path):
    path = task(tmp_path, doc_to_target="label", doc_to_choice="options", output_type="multiple_choice")
    assert read_bank(path).questions[0].expect == "B"
    path = task(
        tmp_path, doc_to_target="{{label}}", doc_to_choice="{{options}}", output_type="multiple_choice"
    )
    assert read_bank(path).questions[0].expect == "B"


@pytest.mark.parametrize(
    ("file", "line", "reason"),
    [
        ("function.yaml", 5, "'!function' runs code"),
        ("likelihood.yaml", 5, "needs log-probabilities of the prompt"),
        ("hub.yaml", 2, "would be downloaded"),
    ],
)
def test_code_likelihoods_and_downloads_are_refused_with_their_line(
    examples: Path, file: str, line: int, reason: str
):
    with pytest.raises(InvalidInput) as caught:
        read_bank(examples / "lm_eval" / file)
    assert f"{file}, line {line}: " in caught.value.message
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dataset_kwargs": {"data_files": {"test": "https://x/data.jsonl"}}}, "only local files"),
        ({"dataset_kwargs": {"data_files": {"test": "../data.jsonl"}}}, "outside the bank's folder"),
        ({"dataset_kwargs": {"data_files": {"test": "none.jsonl"}}}, "there is no file"),
        ({"dataset_kwargs": {"data_files": {"train": "data.jsonl"}}}, "has no split 'test'; there are train"),
        ({"dataset_kwargs": {"data_files": "data.jsonl"}}, "files without splits are all 'train'"),
        ({"test_split": None}, "neither test_split nor validation_split"),
        ({"doc_to_target": None}, "'doc_to_target' is missing"),
        ({"output_type": "multiple_choice"}, "'doc_to_choice' is missing"),
        ({"output_type": "dance"}, "output_type 'dance' is unknown"),
        ({"metric_list": [{"metric": "bleu"}]}, "none of its metrics is known here: bleu"),
        ({"process_docs": "utils.f"}, "'process_docs' is not read"),
        ({"doc_to_text": "{{ nothing }}"}, "'nothing' is undefined"),
        ({"include": "none.yaml"}, "there is no file"),
        ({"num_fewshot": 2}, "no fewshot_split"),
        ({"num_fewshot": 2, "fewshot_split": "test"}, "the questions themselves"),
        ({"filter_list": [{"name": "x", "filter": [{"function": "custom"}]}]}, "filter 'custom' is unknown"),
        (
            {"doc_to_target": "{{7}}", "doc_to_choice": "options", "output_type": "multiple_choice"},
            "the target '7' is none of the 2 choices",
        ),
    ],
)
def test_a_task_that_cannot_be_read_says_why(tmp_path: Path, changes: dict[str, Any], reason: str):
    with pytest.raises(InvalidInput) as caught:
        read_bank(task(tmp_path, **changes))
    assert reason in caught.value.message


def test_files_that_include_each_other_for_ever_are_refused(tmp_path: Path):
    with pytest.raises(InvalidInput, match="include each other"):
        read_bank(task(tmp_path, include="task.yaml"))


DOCUMENT = {"q": " What? ", "choices": ["red", "blue"], "n": 3, "text": "a####b"}


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("{{q.strip()}}", "What?"),
        ("{% for c in choices %}{{loop.index}}. {{c}}\n{% endfor %}", "1. red\n2. blue\n"),
        ("{{choices.index('blue')}}", "1"),
        ("{{text.split('####')[-1]}}", "b"),
        ("{{'AB'[n - 2]}}", "B"),
        ("{{ q | trim | regex_replace('W', 'w') }}", "what?"),
        ("{{ 'x' if n > 2 else 'y' }}", "x"),
        ("{{ choices | join(', ') }}", "red, blue"),
        ("{{ n ~ '-' ~ q.strip() }}", "3-What?"),
        ("{% set a = n + 1 %}{{ a }}", "4"),
        ("{{ '%s' | replace('%s', choices[0]) }}\n", "red\n"),
    ],
)
def test_templates_of_tasks_are_rendered(template: str, wanted: str):
    assert Templates().render(template, DOCUMENT) == wanted


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ q.__init__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ 'a' * 1000000000 }}",
        "{{ 2 ** 10000000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ 'a'.ljust(1000000000) }}",
        "{{ 'a' | center(1000000000) }}",
        "{% for a in range(1000000) %}x{% endfor %}",
        "{% for a in range(900) %}{% for b in range(900) %}x{% endfor %}{% endfor %}",
        "{% for a in range(9) %}{% for b in range(9) %}{% for c in range(9) %}{% endfor %}{% endfor %}{% endfor %}",
        "{% set a = 'x' %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}",
        "{% set a = 'x' %}" + "{% set a = a + a %}" * 40 + "{{ a }}",
        "{% set a = 'xx' %}" + "{% set a = a.replace('x', a) %}" * 12 + "{{ a }}",
        "{% set a = 'xx' %}" + "{% set a = a | replace('x', a) %}" * 12 + "{{ a }}",
        "{% set a = [1] %}" + "{% set a = a + a %}" * 40 + "{{ a | length }}",
        "{% set a = 99999 %}" + "{% set a = a * a %}" * 40 + "{{ a > 1 }}",
        "{{ range(900) | join('x' * 9) }}",
        "{% set a = choices | join('x') %}" + "{% set a = range(900) | join(a) %}" * 3 + "{{ a }}",
        "{% set a = 'xy' %}" + "{% set a = a.join(range(900) | map('string')) %}" * 3 + "{{ a }}",
        "{{ 1 | round(1000000000, 'floor') }}",
        "{{ '{:1000000000}'.format_map(n) }}",
        "{{ choices.append('x') }}",
        "{% include 'other' %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ q",
        "{{ 1 // 0 }}",
        "{{ missing }}",
        "{{ '(a|aa)+$' | regex_replace('(', 'b') }}",
    ],
)
def test_templates_that_reach_out_or_do_not_end_are_refused(template: str):
    with pytest.raises(TemplateRefused):
        Templates().render(template, DOCUMENT)
