"""The bounded JSON reader agrees with Python's where both read, and refuses what would cost too much."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.safetensors import JsonLimits, read_json
from tidegate.safetensors.json_text import JsonTrouble

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.sampled_from([None, 1]), st.booleans())
def test_reads_every_sound_text_as_python_does(value: object, indent: int | None, ascii_only: bool):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    reading = read_json(text.encode())
    assert reading.trouble is None
    assert reading.value == value


@given(st.binary(max_size=60))
def test_never_reads_what_python_refuses(data: bytes):
    reading = read_json(data)
    if reading.trouble is None:
        assert json.loads(data.decode("utf-8")) == reading.value


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1,]", '{"a":1,}', "01", "NaN", "Infinity", "1e999", '"\x01"', '"\\ud800"', "[1] 2", "{1:2}", '{"a" 1}',
     "'a'", "[1 2]", "\ufeff1", "nul", "]"],
)  # fmt: skip
def test_refuses_text_that_is_no_json(text: str):
    assert read_json(text.encode()).trouble is JsonTrouble.SYNTAX


def test_says_where_the_trouble_is_in_bytes_not_in_characters():
    assert read_json('{"ü": x}'.encode()).offset == 6


def test_refuses_bytes_that_are_no_utf8_and_says_where():
    assert read_json(b'{"\xff": 1}').offset == 2


def test_reports_names_that_occur_twice():
    assert read_json(b'{"a": 1, "b": {"c": 1, "c": 2}, "a": 3}').duplicates == ("c", "a")


@pytest.mark.parametrize(
    "text", ["[" * 1000, '{"a":' * 1000, "[1,2,3,4,5,6,7,8,9,10,11]", "1" * 50, '["' + "a" * 2**21 + '"]']
)
def test_refuses_depth_values_digits_and_strings_beyond_the_limits(text: str):
    assert read_json(text.encode(), JsonLimits(max_depth=8, max_values=10)).trouble is JsonTrouble.LIMIT
