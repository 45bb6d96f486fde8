"""Reading banks: sound lines are kept, every other is named with file and line."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tidegate.domain import InvalidInput, NotFound
from tidegate.quality import read_bank

GOOD: dict[str, Any] = {"id": "a", "topic": "t", "prompt": "p", "expect": "x", "scorer": "exact"}


def write(path: Path, *lines: dict[str, Any] | str) -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path.write_text(text)
    return path


def test_a_bank_keeps_order_topics_and_the_digest_of_its_bytes(tmp_path: Path):
    path = write(tmp_path / "geo.jsonl", GOOD, "", {**GOOD, "id": "b", "topic": "u", "system": "Be brief."})
    bank = read_bank(path)
    assert bank.name == "geo"
    assert [question.id for question in bank.questions] == ["a", "b"]
    assert bank.questions[1].system == "Be brief."
    assert bank.topics == {"t": 1, "u": 1}
    assert bank.digest == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "Invalid JSON"),
        ({"id": "b"}, "prompt"),
        ({**GOOD, "id": "b", "topic": ""}, "topic"),
        ({**GOOD, "id": "b", "prompt": ""}, "prompt"),
        ({**GOOD, "id": "b", "surprise": 1}, "surprise"),
        ({**GOOD, "id": "b", "scorer": "vibes"}, "scorer 'vibes' is unknown"),
        ({**GOOD, "id": "b", "scorer": "regex", "expect": "("}, "regular expression"),
        ({**GOOD, "id": "b", "scorer": "numeric", "expect": "many"}, "not a number"),
        ({**GOOD, "id": "b", "scorer": "json", "expect": "{'a': 1}"}, "not JSON"),
        ({**GOOD, "id": "b", "expect": []}, "expect"),
        ({**GOOD, "id": "b", "expect": ""}, "expect"),
        (GOOD, "id 'a' was used in line 1"),
    ],
)
def test_a_bad_line_is_named_with_file_and_number(tmp_path: Path, line: dict[str, Any] | str, reason: str):
    path = write(tmp_path / "bad.jsonl", GOOD, line)
    with pytest.raises(InvalidInput) as caught:
        read_bank(path)
    assert f"{path}, line 2:" in caught.value.message
    assert reason in caught.value.message


def test_broken_utf8_is_named_with_its_line(tmp_path: Path):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b'\n{"id": "\xff"}\n')
    with pytest.raises(InvalidInput, match="line 2"):
        read_bank(path)


def test_an_empty_bank_is_refused(tmp_path: Path):
    with pytest.raises(InvalidInput, match="no question"):
        read_bank(write(tmp_path / "empty.jsonl", ""))


def test_an_absent_bank_is_not_found(tmp_path: Path):
    with pytest.raises(NotFound):
        read_bank(tmp_path / "none.jsonl")
