"""Pinned texts: the same everywhere, and every wrong line is named."""

import hashlib
import json
from pathlib import Path

import pytest

from tidegate.domain import InvalidInput, NotFound
from tidegate.drift import general_texts, read_texts, texts_of_bank
from tidegate.drift.texts import GENERAL_DIGEST, GENERAL_TEXTS, PinnedText, with_own_ids
from tidegate.quality import STANDARD_BANK, read_bank


def test_the_shipped_set_is_pinned_and_of_many_kinds_and_languages():
    assert hashlib.sha256(GENERAL_TEXTS.read_bytes()).hexdigest() == GENERAL_DIGEST
    found = general_texts()
    assert len(found.texts) >= 50
    assert len(found.kinds) >= 15
    assert len({text.language for text in found.texts}) >= 14
    assert sum(text.is_chat for text in found.texts) >= 10
    assert len({text.id for text in found.texts}) == len(found.texts)


def test_the_digest_is_of_the_texts_and_not_of_their_file(tmp_path: Path):
    rows = [{"id": "a", "text": "One."}, {"id": "b", "text": "Two."}]
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_text("\n".join(map(json.dumps, rows)))
    two.write_text("\n\n".join(json.dumps({**row, "unknown": 1}) for row in rows) + "\n")
    assert read_texts([one], "x").digest == read_texts([two], "y").digest


def test_conversations_and_prompts_with_answers_are_read(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    turns = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]
    rows = [
        {"messages": turns},
        {"prompt": "2+2?", "answer": 4},
        {"prompt": "JSON?", "completion": {"a": 1}, "system": "Be brief."},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    first, second, third = read_texts([path], "x").texts
    assert first.messages[-1].content == "Hello."
    assert second.messages[-1].content == "4"
    assert [turn.role for turn in third.messages] == ["system", "user", "assistant"]
    assert third.messages[-1].content == '{"a": 1}'


def test_a_bank_gives_the_questions_that_expect_an_answer_word_for_word(tmp_path: Path):
    path = tmp_path / "bank.jsonl"
    rows = [
        {
            "id": "a",
            "topic": "capital",
            "prompt": "Capital?",
            "expect": ["Paris.", "paris"],
            "scorer": "exact",
        },
        {"id": "b", "topic": "t", "prompt": "Say it.", "expect": "^It", "scorer": "regex"},
        {
            "id": "c",
            "topic": "t",
            "prompt": "Which?",
            "expect": "B",
            "scorer": "choice",
            "choices": ["one", "two"],
        },
        {
            "id": "d",
            "topic": "t",
            "prompt": "Not this.",
            "scorers": [{"name": "exact", "expect": "x", "not": True}],
        },
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    capital, choice = read_texts([path], "x").texts
    assert (capital.id, capital.kind, capital.messages[-1].content) == ("a", "capital", "Paris.")
    assert "B) two" in choice.messages[0].content
    assert texts_of_bank(read_bank(path)).texts == (capital, choice)


def test_the_standard_bank_has_few_answers_word_for_word():
    found = texts_of_bank(read_bank(STANDARD_BANK))
    assert 0 < len(found.texts) < 10


def test_plain_text_is_cut_at_blank_lines_and_headings_stay_with_what_they_head(tmp_path: Path):
    path = tmp_path / "notes.txt"
    body = "The tide comes in twice a day. " * 10
    path.write_text(f"A heading\n\n{body}\n\n\n{body}\n")
    first, second = read_texts([path], "x").texts
    assert first.text.startswith("A heading\n\nThe tide")
    assert (first.id, second.id) == ("notes-1", "notes-2")


def test_texts_of_one_id_stay_apart(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "a", "text": "One."}\n' * 2)
    assert [text.id for text in read_texts([path, path], "x").texts] == ["a", "a#2", "a#3", "a#4"]
    named = PinnedText(id="a#2", text="One.")
    again = PinnedText(id="a", text="Two.")
    assert [text.id for text in with_own_ids([again, named, again])] == ["a", "a#2", "a#3"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "this is no JSON"),
        ("[1]", "must be a JSON object"),
        ("{}", "needs either text"),
        ('{"prompt": "x"}', "a prompt needs its answer"),
        ('{"messages": [{"role": "user", "content": "x"}]}', "must end with the assistant's answer"),
        ('{"messages": [{"role": "robot", "content": "x"}]}', "messages.0.role"),
    ],
)
def test_a_wrong_line_is_named_with_file_and_number(tmp_path: Path, line: str, words: str):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "Right."}\n\n' + line)
    with pytest.raises(InvalidInput, match=r"rows\.jsonl, line 3: ") as caught:
        read_texts([path], "x")
    assert words in caught.value.message


def test_files_that_hold_nothing_or_are_not_there_are_refused(tmp_path: Path):
    (tmp_path / "empty.txt").write_text(" \n\n ")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(InvalidInput, match="no text"):
        read_texts([tmp_path / "empty.txt"], "x")
    with pytest.raises(InvalidInput, match="not UTF-8"):
        read_texts([tmp_path / "latin.txt"], "x")
    with pytest.raises(NotFound):
        read_texts([tmp_path / "none.txt"], "x")
