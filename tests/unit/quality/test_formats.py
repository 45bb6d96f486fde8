"""Every format is told by its content and read as it is; what cannot be read is named with file and line."""

import json
from pathlib import Path
from typing import Any

import pytest

from tidegate.domain import InvalidInput, NotFound
from tidegate.quality import Answer, Bank, BankOptions, Question, ScorerSpec, find_bank, read_bank, score
from tidegate.quality.bank import native_line

MAPPED = BankOptions(fields={"input": "question", "target": "answer", "choices": "options"})


def question(bank: Bank, name: str) -> Question:
    return next(one for one in bank.questions if one.id == name)


def is_right(asked: Question, text: str) -> bool:
    return score(asked, Answer(text=text)).is_right


@pytest.mark.parametrize(
    ("file", "name", "count"),
    [
        ("native/all_fields.jsonl", "native", 4),
        ("promptfoo/promptfooconfig.yaml", "promptfoo", 16),
        ("promptfoo/tests.csv", "promptfoo", 3),
        ("promptfoo/tests.jsonl", "promptfoo", 2),
        ("lm_eval/sums.yaml", "lm-eval", 2),
        ("lm_eval/planets.yaml", "lm-eval", 2),
        ("lm_eval/endings.yaml", "lm-eval", 2),
        ("inspect/samples.jsonl", "inspect", 3),
        ("inspect/samples.json", "inspect", 2),
        ("chat/train.jsonl", "chat", 2),
        ("deepeval/goldens.json", "deepeval", 2),
        ("deepeval/goldens.csv", "deepeval", 1),
        ("ragas/rows.jsonl", "ragas", 2),
    ],
)
def test_a_format_is_told_by_its_content(examples: Path, tmp_path: Path, file: str, name: str, count: int):
    bank = read_bank(examples / file)
    assert (bank.format, len(bank.questions)) == (name, count)
    assert all(place.line >= 1 and Path(place.file).exists() for place in bank.places.values())

    converted = tmp_path / "converted.jsonl"
    converted.write_text("".join(native_line(one) + "\n" for one in bank.questions))
    assert read_bank(converted).questions == bank.questions


def test_our_own_format_knows_the_names_of_other_tools(examples: Path):
    bank = read_bank(examples / "native" / "all_fields.jsonl")
    total = question(bank, "sum")
    assert (total.prompt, total.expect, total.topic, total.weight) == (
        "What is 17 + 25?",
        42,
        "arithmetic",
        2,
    )
    assert question(bank, "turns").prompt == "Which word?"
    assert question(bank, "colour").wants_logprobs
    assert bank.clusters == 4


def test_the_digest_of_another_format_is_that_of_its_questions(examples: Path):
    path = examples / "inspect" / "samples.jsonl"
    as_it_is = read_bank(path)
    with_scorer = read_bank(path, BankOptions(scorer=ScorerSpec(name="contains")))
    assert as_it_is.digest == read_bank(path).digest != with_scorer.digest


def test_a_table_is_mapped_to_our_names(examples: Path):
    bank = read_bank(examples / "inspect" / "samples.csv", MAPPED)
    assert question(bank, "bird").choices == ("Bat", "Robin", "Bee")
    assert is_right(question(bank, "fish"), "C")


def test_inspect_targets_stand_at_the_end_of_an_answer(examples: Path):
    bank = read_bank(examples / "inspect" / "samples.jsonl")
    assert is_right(question(bank, "lisbon"), "The capital is LISBON.")
    assert is_right(question(bank, "row-2"), "It has eight")
    assert not is_right(question(bank, "lisbon"), "Lisbon or Porto")
    assert "inspect's `match`" in bank.notes[0]


def test_the_last_assistant_turn_is_the_target_of_a_chat(examples: Path):
    bank = read_bank(examples / "chat" / "train.jsonl")
    bread, weather = bank.questions
    assert [turn.role for turn in bread.turns] == ["system", "user"]
    assert is_right(bread, "You need flour, water, salt and yeast.")
    assert weather.expect == [{"name": "weather", "arguments": {"city": "Oslo"}}]
    assert weather.tools[0]["function"]["name"] == "weather"


def test_conversations_of_other_trainers_are_chats_as_well(tmp_path: Path):
    path = tmp_path / "share.jsonl"
    turns = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello there"}]
    rows = [{"conversations": turns}, {"prompt": "Hi", "completion": " Hello there"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    bank = read_bank(path)
    assert bank.format == "chat"
    assert [(one.prompt, one.expect) for one in bank.questions] == [("Hi", "Hello there")] * 2


def test_a_caller_may_name_the_scorer_of_references(examples: Path):
    options = BankOptions(scorer=ScorerSpec(name="contains", options={"all": True}))
    bank = read_bank(examples / "ragas" / "rows.jsonl", options)
    assert {spec.name for one in bank.questions for spec in one.specs} == {"contains"}
    assert bank.notes == ()


def test_goldens_and_rows_keep_their_contexts_as_metadata(examples: Path):
    golden = read_bank(examples / "deepeval" / "goldens.json").questions[0]
    assert golden.metadata["topic"] == "returns"
    assert golden.expect == "You may return shoes within 30 days."
    row = read_bank(examples / "ragas" / "rows.jsonl").questions[0]
    assert row.metadata["retrieved_contexts"] == ["The report was written by Dr. Lang."]


def test_all_problems_are_told_at_once_and_the_first_twenty_shown(tmp_path: Path):
    path = tmp_path / "bad.jsonl"
    good = {"prompt": "p", "expect": "x", "scorer": "exact"}
    rows: list[dict[str, Any]] = [{**good, "id": f"q{n}", "scorer": "vibes"} for n in range(25)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InvalidInput) as caught:
        read_bank(path)
    lines = caught.value.message.splitlines()
    assert len(lines) == 21
    assert lines[0].startswith(f"{path}, line 1: scorer 'vibes' is unknown")
    assert lines[-1] == "... and 5 more."


def test_refused_rows_may_be_left_out_by_name(tmp_path: Path):
    path = tmp_path / "half.jsonl"
    path.write_text('{"id": "a", "prompt": "p", "expect": "x", "scorer": "exact"}\n{"id": "b"}\n')
    bank = read_bank(path, BankOptions(leaves_out_refused=True))
    assert [one.id for one in bank.questions] == ["a"]
    assert bank.notes == ("rows that were refused and left out: 1",)
    with pytest.raises(InvalidInput) as caught:
        read_bank(path)
    assert "--skip-refused" in caught.value.remedy
    path.write_text('{"id": "b", "topic": "t"}\n')
    with pytest.raises(InvalidInput) as caught:
        read_bank(path)
    assert caught.value.remedy == "Correct the line."


def test_a_file_of_unknown_names_is_told_how_to_name_them(tmp_path: Path):
    path = tmp_path / "qa.jsonl"
    path.write_text('{"id": "q1", "question": "What grows?", "answer": "Plants"}\n')
    with pytest.raises(InvalidInput) as caught:
        read_bank(path)
    assert "--format inspect --field input=" in caught.value.remedy
    told = BankOptions(format="inspect", fields={"input": "question", "target": "answer"})
    assert read_bank(path, told).questions[0].prompt == "What grows?"


@pytest.mark.parametrize(
    ("name", "text", "line", "reason"),
    [
        ("a.csv", "input,target\none,two\nthree\n", 3, "1 cells, but 2 columns"),
        ("a.csv", 'input,target\n"a\nb",x\n,y\n', 4, "input: must be text"),
        ("a.csv", "input,target,input\n1,2,3\n", 1, "there twice"),
        ("a.csv", "colour,size\nred,2\n", 1, "cannot be told from its names (colour, size)"),
        ("a.json", '[\n  {"input": "p", "target": "x"},\n  {"input": "p",\n', 4, "not JSON"),
        ("a.json", '[\n{"input": "p", "target": "x"},\n\n{"input": "", "target": "x"}]', 4, "input"),
        ("a.jsonl", '{"messages": [{"role": "user", "content": "p"}]}\n', 1, "not of the assistant"),
        ("a.jsonl", '{"messages": [{"role": "assistant", "content": "p"}]}\n', 1, "no question before it"),
        ("a.jsonl", '{"messages": [{"role": "wizard", "content": "p"}]}\n', 1, "role 'wizard' is unknown"),
        ("a.jsonl", '{"input": "p", "target": "x", "files": {"a": "b"}}\n', 1, "need a sandbox"),
        ("a.jsonl", '{"input": "p", "target": ["A", "B"], "choices": ["x", "y"]}\n', 1, "several right"),
        ("a.jsonl", '{"scenario": "s", "expected_outcome": "x"}\n', 1, "simulated user"),
        ("a.jsonl", '\n\n{"user_input": "p", "reference": null}\n', 3, "reference"),
        (
            "a.jsonl",
            '{"id": 1, "input": [{"type": "image"}], "expect": "x", "scorer": "exact"}',
            1,
            "role 'image'",
        ),
        ("a.yaml", "a: 1\n b: 2\n", 2, "not YAML"),
        ("a.yaml", "colour: red\n", 1, "cannot be told"),
        ("a.yaml", "tests:\n  - vars: !!python/object/apply:os.system [ls]\n", 2, "runs code"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_line(
    tmp_path: Path, name: str, text: str, line: int, reason: str
):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        read_bank(path)
    assert f"{path}, line {line}: " in caught.value.message
    assert reason in caught.value.message


def test_aliases_that_unfold_without_measure_are_refused(tmp_path: Path):
    path = tmp_path / "bomb.yaml"
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    path.write_text("\n".join([*lines, "tests: *a8"]))
    with pytest.raises(InvalidInput, match="unfolds to more than"):
        read_bank(path)


def test_an_alias_that_holds_itself_is_refused(tmp_path: Path):
    path = tmp_path / "loop.yaml"
    path.write_text("tests: &a\n  - *a\n")
    with pytest.raises(InvalidInput, match="nested too deeply"):
        read_bank(path)


def test_an_unknown_format_is_named(examples: Path):
    with pytest.raises(InvalidInput, match="There is no bank format 'xml'"):
        read_bank(examples / "ragas" / "rows.jsonl", BankOptions(format="xml"))


def test_a_bank_is_found_by_its_name_whatever_its_suffix(tmp_path: Path):
    (tmp_path / "support.yaml").write_text("tests: []")
    assert find_bank(tmp_path, "support").name == "support.yaml"
    assert find_bank(tmp_path, "support.yaml").name == "support.yaml"
    (tmp_path / "support.jsonl").write_text("")
    with pytest.raises(InvalidInput, match=r"several banks .* support.jsonl, support.yaml"):
        find_bank(tmp_path, "support")
    with pytest.raises(NotFound, match=r"none\.jsonl"):
        find_bank(tmp_path, "none")


def test_without_judges_only_what_needs_none_is_left(tmp_path: Path):
    path = tmp_path / "judged.jsonl"
    judge = {"name": "judge", "expect": "It is kind."}
    rows = [
        {"id": "both", "prompt": "p", "scorers": [{"name": "contains", "expect": "sea"}, judge]},
        {"id": "alone", "prompt": "q", "scorers": [judge]},
        {"id": "none", "prompt": "r", "expect": "x", "scorer": "exact"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    bank = read_bank(path)
    left = bank.without_judges()
    assert [one.id for one in left.questions] == ["both", "none"]
    assert [spec.name for spec in left.questions[0].specs] == ["contains"]
    assert left.digest != bank.digest
    assert left.without_judges() is left
