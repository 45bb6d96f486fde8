"""`tidegate bank`: what it says of banks, and its exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

BANKS = Path(__file__).parents[2] / "data" / "banks"


def test_a_check_tells_what_a_bank_holds_and_can_detect(run: Any):
    result = run("bank", "check", "general")

    assert result.exit_code == 0
    assert "305 questions, native" in result.stdout
    assert "can detect a drop of" in result.stdout


def test_a_check_as_json_has_counts_notes_and_plan(run: Any):
    result = run("bank", "check", str(BANKS / "promptfoo" / "promptfooconfig.yaml"), "--json")

    (bank,) = json.loads(result.stdout)["banks"]
    assert (bank["format"], bank["questions"], bank["clusters"]) == ("promptfoo", 16, 7)
    assert bank["scorers"]["contains"] == 16
    assert any("latency" in note for note in bank["notes"])


def test_a_question_of_the_training_data_is_a_failure_with_both_places(run: Any, tmp_path: Path):
    train = tmp_path / "train.jsonl"
    train.write_text('{"text": "x"}\n{"prompt": "What is the capital of France?", "completion": "Paris"}\n')
    result = run("bank", "check", "standard", "--train", str(train), "--json")

    assert result.exit_code == 1
    (leak,) = json.loads(result.stdout)["banks"][0]["train"][0]["leaks"]
    assert leak["question"] == "capital-france"
    assert leak["place"].endswith("standard.jsonl, line 1")
    assert leak["train_place"] == f"{train}, line 2"


def test_refused_rows_are_bad_input_and_each_is_named(run: Any):
    result = run("bank", "check", str(BANKS / "promptfoo" / "code.yaml"))

    assert result.exit_code == 2
    assert "code.yaml, line 8: 'javascript' runs code" in result.stderr
    assert "code.yaml, line 18: 'file://tests.py' is code" in result.stderr


def test_warnings_fail_only_when_that_is_wanted(run: Any, tmp_path: Path):
    bank = tmp_path / "twice.jsonl"
    row = {"prompt": "Which of these words is the longest one of all?", "expect": "x", "scorer": "exact"}
    bank.write_text("".join(json.dumps({"id": name, **row}) + "\n" for name in "ab"))

    assert run("bank", "check", str(bank)).exit_code == 0
    assert run("bank", "check", str(bank), "--strict").exit_code == 1


def test_questions_are_shown_as_a_model_sees_them(run: Any):
    result = run("bank", "show", "general", "--tag", "choice", "--limit", "1")

    assert "A) Mars" in result.stdout
    assert "choice_logprobs" in result.stdout
    assert "1 of 20 questions." in result.stdout


@pytest.mark.parametrize("scorer", ["contains", '{"name": "contains", "options": {"all": true}}'])
def test_a_bank_is_converted_with_the_named_scorer(run: Any, tmp_path: Path, scorer: str):
    out = tmp_path / "out.jsonl"
    arguments = ("bank", "convert", str(BANKS / "inspect" / "samples.csv"), str(out), "--scorer", scorer)
    mapping = ("--field", "input=question", "--field", "target=answer")
    result = run(*arguments, *mapping)

    assert result.exit_code == 0, result.stderr
    assert json.loads(out.read_text().splitlines()[0])["scorers"][0]["name"] == "contains"
    again = run(*arguments, *mapping)
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    assert run(*arguments, *mapping, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("scorer", "reason"), [("vibes", "There is no scorer 'vibes'"), ('{"weight": -1}', "--scorer")]
)
def test_a_scorer_that_does_not_exist_is_bad_input(run: Any, scorer: str, reason: str):
    result = run("bank", "check", str(BANKS / "ragas" / "rows.jsonl"), "--scorer", scorer)

    assert result.exit_code == 2
    assert reason in result.stderr
