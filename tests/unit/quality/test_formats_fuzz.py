"""Whatever a file holds, a reader answers with a bank or with a domain error, never with another."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.domain import TidegateError
from tidegate.quality import BankOptions, read_bank
from tidegate.quality.formats import FORMATS

EXAMPLES = Path(__file__).parents[2] / "data" / "banks"
FILES = sorted(
    path
    for path in EXAMPLES.rglob("*")
    if path.suffix in (".jsonl", ".json", ".csv", ".yaml") and path.parent.name != "data"
)
PIECES = [
    "{",
    "}",
    "[",
    "]",
    '"',
    ":",
    "\n",
    ",",
    "- ",
    "{{ x }}",
    "null",
    "1e999",
    "!!x",
    "&a",
    "*a",
    "\ufffe",
    "'",
]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FILES), st.sampled_from((None, *FORMATS)), st.data())
def test_a_damaged_file_is_read_or_refused_with_its_name(
    tmp_path: Path, file: Path, name: str | None, data: st.DataObject
):
    text = file.read_text()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.sampled_from([0, 1, 7, 60]))
        text = text[:at] + data.draw(st.sampled_from(PIECES)) + text[at + length :]
    path = tmp_path / f"damaged{file.suffix}"
    path.write_text(text)
    with suppress(TidegateError):
        assert read_bank(path, BankOptions(format=name, folders=(file.parent,))).questions


@given(st.binary(max_size=200), st.sampled_from([".jsonl", ".json", ".csv", ".yaml"]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_answered(tmp_path: Path, content: bytes, suffix: str):
    path = tmp_path / f"any{suffix}"
    path.write_bytes(content)
    with pytest.raises(TidegateError):
        read_bank(path)
