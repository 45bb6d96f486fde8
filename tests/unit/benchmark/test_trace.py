"""Traces: what is read, in which unit, and where a file is wrong."""

import json
from pathlib import Path

import pytest

from tidegate.benchmark.arrivals import NS
from tidegate.benchmark.trace import Trace, parse_trace, read_trace
from tidegate.domain import InvalidInput, NotFound


def trace(*rows: object, **options: object) -> Trace:
    return parse_trace([json.dumps(row).encode() for row in rows], "t.jsonl", **options)  # pyright: ignore[reportArgumentType]


def test_a_mooncake_trace_is_read_as_published():
    found = trace(
        {"timestamp": 27_000, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]},
        {"timestamp": 30_000, "input_length": 6472, "output_length": 26, "hash_ids": [46, 57]},
    )
    assert found.unit == "ms"
    assert [row.at_ns for row in found.rows] == [0, 3 * NS]
    assert (found.rows[1].input_tokens, found.rows[1].output_tokens) == (6472, 26)
    assert found.rows[1].hash_ids == (46, 57)


@pytest.mark.parametrize(
    ("rows", "unit", "last_ns"),
    [
        ([{"timestamp": 0.0}, {"timestamp": 1.5}], "s", 1_500_000_000),
        ([{"timestamp": 0}, {"timestamp": 1500}], "ms", 1_500_000_000),
        ([{"timestamp_s": 10}, {"timestamp_s": 12}], "s", 2 * NS),
        ([{"timestamp_ms": 10.5}, {"timestamp_ms": 12.5}], "ms", 2_000_000),
        ([{"ts": 3.25}, {"ts": 1.25}], "s", 2 * NS),
    ],
)
def test_the_unit_of_times_is_the_stated_one_else_whole_numbers_are_milliseconds(
    rows: list[dict], unit: str, last_ns: int
):
    found = trace(*(row | {"prompt": "p"} for row in rows))
    assert (found.unit, found.rows[0].at_ns, found.rows[-1].at_ns) == (unit, 0, last_ns)


def test_a_named_unit_wins_over_the_guess():
    found = trace(*({"timestamp": at, "prompt": "p"} for at in (0, 2)), unit="s")
    assert found.rows[1].at_ns == 2 * NS


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"prompt": "p"}', "has no time"),
        ('{"timestamp": "soon", "prompt": "p"}', "'soon' is not a number"),
        ('{"timestamp": NaN, "prompt": "p"}', "out of range"),
        ('{"timestamp": true, "prompt": "p"}', "not a number"),
        ('{"timestamp": 1e300, "prompt": "p"}', "out of range"),
        ('{"timestamp": ' + "9" * 400 + ', "prompt": "p"}', "out of range"),
        ('{"timestamp": Infinity, "prompt": "p"}', "out of range"),
        ('{"timestamp": 1}', "neither what is asked nor how long"),
        ('{"timestamp": 1, "prompt": 5}', "not text"),
        ('{"timestamp": 1, "messages": []}', "messages"),
        ('{"timestamp": 1, "input_length": -4}', "no count of tokens"),
        ('{"timestamp": 1, "input_length": 10, "output_length": 1.5}', "no count of tokens"),
        ('{"timestamp": 1, "input_length": 10, "hash_ids": ["x"]}', "hash_ids"),
        ('{"timestamp_s": 9999999, "prompt": "p"}', "after the first one"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_wrong_row_is_refused_with_its_file_and_line(row: str, what: str):
    good = b'{"timestamp_s": 0, "prompt": "p"}'
    with pytest.raises(InvalidInput, match=what) as caught:
        parse_trace([good, b"", row.encode()], "t.jsonl")
    assert "t.jsonl, line 3:" in caught.value.message
    assert caught.value.remedy


def test_a_file_is_read_up_to_the_wanted_row_and_no_further(tmp_path: Path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"timestamp_s": 0, "prompt": "p"}\n{"timestamp_s": 1, "prompt": "q"}\nbroken\n')
    assert [row.prompt for row in read_trace(path, limit=2).rows] == ["p", "q"]
    with pytest.raises(InvalidInput, match=r"t\.jsonl, line 3"):
        read_trace(path)


def test_an_empty_or_missing_trace_is_refused(tmp_path: Path):
    with pytest.raises(InvalidInput, match="has no rows"):
        parse_trace([b"\n"], "t.jsonl")
    with pytest.raises(NotFound):
        read_trace(tmp_path / "none.jsonl")
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_trace(tmp_path)
