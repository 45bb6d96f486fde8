"""promptfoo: prompts x tests, variables, assertions; what runs code is refused."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain import InvalidInput
from tidegate.quality import Answer, BankOptions, read_bank, score
from tidegate.quality.formats.nunjucks import TemplateRefused, render
from tidegate.quality.formats.promptfoo_assertions import assertion_of_cell, comma_separated
from tidegate.quality.formats.reading import Place

HERE = Place("a.yaml", 1)


def bank_of(folder: Path, assertions: str, name: str = "a.yaml", **options: Any):
    path = folder / name
    indented = "\n".join(f"      {line}" for line in assertions.splitlines())
    path.write_text(
        f"prompts: ['{{{{q}}}}']\ntests:\n  - vars: {{q: Say it., word: sea}}\n    assert:\n{indented}\n"
    )
    return read_bank(path, BankOptions(**options))


def verdicts(folder: Path, assertions: str, *answers: str) -> list[bool]:
    question = bank_of(folder, assertions).questions[0]
    return [score(question, Answer(text=answer)).is_right for answer in answers]


@pytest.mark.parametrize(
    ("assertion", "right", "wrong"),
    [
        ("- {type: equals, value: Sea}", "Sea", "sea"),
        ("- {type: equals, value: {a: 1}}", '{"a": 1}', '{"a": 2}'),
        ("- {type: not-equals, value: Sea}", "Lake", "Sea"),
        ("- {type: contains, value: Sea}", "the Sea", "the sea"),
        ("- {type: contains, value: 42}", "it is 42", "it is 24"),
        ("- {type: icontains, value: SEA}", "the sea", "the lake"),
        ("- {type: contains-any, value: [a1, b2]}", "b2", "c3"),
        ("- {type: contains-all, value: 'a1, b2'}", "a1 b2", "a1"),
        ("- {type: icontains-all, value: [A1, B2]}", "a1 b2", "b2"),
        ("- {type: not-icontains-any, value: [x, y]}", "z", "a Y"),
        ("- {type: starts-with, value: Sea}", "Sea it is", "The Sea"),
        ("- {type: regex, value: '^\\d+$'}", "42", "42 km"),
        ("- {type: is-json}", "[1]", "so: [1]"),
        ("- {type: contains-json, value: {type: array}}", "so: [1]", 'so: {"a": 1}'),
        ("- type: is-json\n  value: |\n    type: object\n    required: [a]", '{"a": 1}', "{}"),
        ("- {type: not-is-json}", "so", "[1]"),
        ("- {type: levenshtein, value: Bonjour, threshold: 1}", "Bonjou", "Bon"),
        ("- {type: rouge-n, value: a b c d}", "a b c x y z", "a b x y"),
        (
            "- {type: similar, value: the red house by the sea, threshold: 0.9}",
            "the red house at the sea",
            "blue",
        ),
        ("- {type: contains, value: '{{ word | upper }}'}", "SEA", "sea"),
        ("- {type: is-refusal}", "I can't help with that.", "Sure."),
        ("- {type: word-count, value: {min: 2, max: 3}}", "two words", "one"),
        ("- {type: contains, value: x, weight: 0}\n- {type: contains, value: y}", "y", "x"),
        (
            "- type: assert-set\n  threshold: 0.5\n  assert: [{type: contains, value: x}, {type: contains, value: y}]",
            "only x",
            "z",
        ),
    ],
)
def test_an_assertion_keeps_its_meaning(tmp_path: Path, assertion: str, right: str, wrong: str):
    assert verdicts(tmp_path, assertion, right, wrong) == [True, False]


@pytest.mark.parametrize(
    ("assertion", "line", "reason"),
    [
        ("- {type: javascript, value: output.length}", 5, "'javascript' runs code"),
        ("- {type: not-python, value: x}", 5, "runs code"),
        ("- {type: contains, value: x}\n- {type: ruby, value: x}", 6, "'ruby' runs code"),
        ("- {type: webhook, value: 'http://x'}", 5, "runs code"),
        ("- {type: contains, value: x, transform: output.trim()}", 5, "'transform' runs code"),
        ("- {type: contains, value: 'file://check.js'}", 5, "there is no file"),
        ("- {type: classifier, value: x}", 5, "'classifier' is not read"),
        ("- {type: contains, value: '{{ missing }}'}", 5, "'missing' is not set"),
        ("- {type: contains, value: '{{ q.tone }}'}", 5, "'q.tone' is not set"),
        ("- {type: contains, value: '{% if x %}y{% endif %}'}", 5, "only variables and simple filters"),
        ("- {type: contains, value: '{{ q.length + 1 }}'}", 5, "only variables and simple filters"),
        ("- {type: contains, value: '{{ env.HOME }}'}", 5, "environment"),
        ("- {type: contains, value: 'file:///etc/passwd'}", 5, "outside the bank's folder"),
        ("- {type: contains, value: 'file://../x.txt'}", 5, "outside the bank's folder"),
        ("- {type: is-json, value: {$ref: 'http://x/schema'}}", 3, "only references inside it"),
        ("- {type: regex, value: '('}", 3, "regular expression"),
        ("- {$ref: '#/assertionTemplates/nope'}", 5, "names no assertion template"),
    ],
)
def test_what_runs_code_or_leaves_the_folder_is_refused_with_its_line(
    tmp_path: Path, assertion: str, line: int, reason: str
):
    with pytest.raises(InvalidInput) as caught:
        bank_of(tmp_path, assertion)
    assert f"line {line}: " in caught.value.message
    assert reason in caught.value.message


def test_prompts_times_tests_with_defaults_files_and_lists_of_variables(examples: Path):
    bank = read_bank(examples / "promptfoo" / "promptfooconfig.yaml")
    by_id = {question.id: question for question in bank.questions}
    assert by_id["p1-test-1-2"].prompt == "Answer shortly. What is the capital of Italy?"
    chat = by_id["chat-test-3"]
    assert [turn.role for turn in chat.turns] == ["system", "user"]
    assert chat.turns[0].content == "You answer in one word. Friendly."
    assert chat.turns[1].content == "How do you greet someone in French?"
    assert by_id["p1-test-2"].threshold == 0.5
    assert by_id["p1-test-2"].tags == ("json", "arithmetic")
    assert {question.cluster for question in bank.questions} == {f"test-{n}" for n in range(1, 8)}
    assert Path(bank.places["p1-test-5"].file).name == "tests.csv"
    assert any("latency" in note for note in bank.notes)


def test_a_file_of_the_users_choice_may_lie_elsewhere(tmp_path: Path):
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "word.txt").write_text("sea\n")
    (tmp_path / "bank").mkdir()
    assertion = "- {type: contains, value: 'file://../words/word.txt'}"
    bank = bank_of(tmp_path / "bank", assertion, folders=(tmp_path / "words",))
    assert bank.questions[0].specs[0].expect == "sea"


def test_a_pattern_of_names_finds_files_in_their_order_and_never_outside(tmp_path: Path):
    (tmp_path / "prompts").mkdir()
    for name in ("b", "a"):
        (tmp_path / "prompts" / f"{name}.txt").write_text(f"{name}: {{{{q}}}}")
    path = tmp_path / "a.yaml"
    test = "tests:\n  - vars: {q: x}\n    assert: [{type: contains, value: x}]\n"
    path.write_text(f"prompts: ['file://prompts/*.txt']\n{test}")
    assert [question.prompt for question in read_bank(path).questions] == ["a: x", "b: x"]
    for pattern in ("../*.txt", "/etc/*", "none/*.txt"):
        path.write_text(f"prompts: ['file://{pattern}']\n{test}")
        with pytest.raises(InvalidInput, match="line 1: the pattern"):
            read_bank(path)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path):
    (tmp_path / "bank").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "bank" / "link.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(InvalidInput, match="outside the bank's folder"):
        bank_of(tmp_path / "bank", "- {type: contains, value: 'file://link.txt'}")


def test_tests_without_prompts_need_one_where_it_is_not_plain(tmp_path: Path):
    path = tmp_path / "tests.csv"
    path.write_text("colour,size,__expected\nred,large,contains: x\n")
    with pytest.raises(InvalidInput, match=r"without prompts \(variables: colour, size\)"):
        read_bank(path)
    bank = read_bank(path, BankOptions(prompt="Is {{colour}} {{size}}?"))
    assert bank.questions[0].prompt == "Is red large?"


def test_words_stay_words_as_in_javascript(tmp_path: Path):
    path = tmp_path / "a.yaml"
    path.write_text(
        "prompts: ['{{a}} {{b}} {{c}} {{d}} {{e}}']\ntests:\n  - vars: {a: Yes, b: 12:30, c: 2024-05-09, d: true, e: 1_0}\n"
        "    assert: [{type: contains, value: No}]\n"
    )
    question = read_bank(path).questions[0]
    assert (question.prompt, question.specs[0].expect) == ("Yes 12:30 2024-05-09 true 1_0", "No")


def test_a_configuration_may_be_json(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text(
        '{\n\t"prompts": ["{{q}}"],\n\t"tests": [\n'
        '\t\t{"vars": {"q": "One?"}, "assert": [{"type": "contains", "value": "1"}]},\n'
        '\t\t{"vars": {"q": "Two?"}, "assert": [{"type": "javascript", "value": "1"}]}\n\t]\n}\n'
    )
    with pytest.raises(InvalidInput, match="line 5: 'javascript' runs code"):
        read_bank(path)
    bank = read_bank(path, BankOptions(leaves_out_refused=True))
    assert [question.prompt for question in bank.questions] == ["One?"]


def test_tests_that_only_measure_time_are_left_out(tmp_path: Path):
    with pytest.raises(InvalidInput, match="no question"):
        bank_of(tmp_path, "- {type: latency, threshold: 10}")


def test_too_many_combinations_of_variables_are_refused(tmp_path: Path):
    path = tmp_path / "a.yaml"
    numbers = str(list(range(100)))
    path.write_text(
        f"prompts: ['{{{{a}}}}{{{{b}}}}{{{{c}}}}']\ntests:\n  - vars: {{a: {numbers}, b: {numbers}, c: {numbers}}}\n"
        "    assert: [{type: contains, value: x}]\n"
    )
    with pytest.raises(InvalidInput, match="more than 10000 questions"):
        read_bank(path)


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        ("Paris", {"type": "equals", "value": "Paris"}),
        ("contains: Paris", {"type": "contains", "value": "Paris"}),
        ("not-contains:x", {"type": "not-contains", "value": "x"}),
        ("similar(0.8): Hello there", {"type": "similar", "value": "Hello there", "threshold": 0.8}),
        ("grade: is kind", {"type": "llm-rubric", "value": "is kind"}),
        ("is-json", {"type": "is-json"}),
        ("Note: this is text", {"type": "equals", "value": "Note: this is text"}),
        ("fn:output.length", {"type": "javascript"}),
        ("python: len(output)", {"type": "python"}),
    ],
)
def test_an_expected_cell_is_read_as_promptfoo_reads_it(cell: str, wanted: dict[str, Any]):
    assert assertion_of_cell(cell) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a, b", ["a", "b"]),
        ('"a, b", c', ["a, b", "c"]),
        ('"say ""x""", y', ['say "x"', "y"]),
        ("a,,b,", ["a", "b"]),
    ],
)
def test_a_comma_separated_value_is_parted_as_promptfoo_parts_it(text: str, wanted: list[str]):
    assert comma_separated(text, HERE) == wanted


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("{{ a }} and {{b.c[1]}}", "1 and y"),
        ("{{ name | upper | replace('A', 'b') }}", "bDb"),
        ("{{ missing | default('none') }}", "none"),
        ("{{ list | join(', ') }}{# not shown #}", "x, y"),
        ("{{ b | dump }}", '{"c": ["x", "y"]}'),
        ("{{ 'text' }}{{ 3 }}", "text3"),
        ("{{- a -}}!", "1!"),
        ("{ {{ a }} {{ open", "{ 1 {{ open"),
        ("no tag", "no tag"),
    ],
)
def test_variables_and_simple_filters_are_filled_in(template: str, wanted: str):
    variables = {"a": 1, "b": {"c": ["x", "y"]}, "name": "Ada", "list": ["x", "y"]}
    assert render(template, variables) == wanted


def test_openings_that_are_never_closed_take_no_time_to_speak_of():
    assert render("{{" * 200_000 + "{%" * 200_000, {}).startswith("{{")


@given(st.text(alphabet="{}%#|.()'\"ab 1", max_size=40))
def test_no_template_makes_the_reader_fail(template: str):
    with suppress(TemplateRefused):
        assert isinstance(render(template, {"a": "x", "b": [1]}), str)
