"""Recorded traffic to be sent again: JSONL rows with a time and a prompt, messages, or only their lengths.

Times are `timestamp_s` or `timestamp_ms`, or `timestamp` (also `ts`, `time`, `arrival_time`) in a unit that the
caller names. Without a name, whole numbers in every row are milliseconds, as in the published Mooncake traces,
and anything else is seconds; what was understood is kept in `Trace.unit`. Every refusal names file and line.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast

from tidegate.benchmark.arrivals import MAX_ARRIVALS, NS
from tidegate.domain import InvalidInput, NotFound

Unit = Literal["s", "ms"]
PER_UNIT_NS = {"s": NS, "ms": 1_000_000}
NEUTRAL_TIMES = ("timestamp", "ts", "time", "arrival_time", "arrived_at")
INPUT_LENGTHS = ("input_length", "input_tokens", "prompt_tokens", "prompt_len", "num_prefill_tokens")
OUTPUT_LENGTHS = (
    "output_length",
    "output_tokens",
    "completion_tokens",
    "max_tokens",
    "output_len",
    "num_decode_tokens",
)
PROMPTS = ("prompt", "text_input", "text")
MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_TOKENS = 1_000_000
MOST_TIME = 1e15
MAX_SPAN_S = 7 * 86_400


@dataclass(frozen=True)
class TraceRow:
    """One request of the trace; its time counts from the first one."""

    at_ns: int
    prompt: str = ""
    messages: str = ""
    """The messages as JSON text."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    hash_ids: tuple[int, ...] = ()
    """Mooncake: one number per block of the prompt; equal numbers are equal text, which a cache may reuse."""


@dataclass(frozen=True)
class Trace:
    rows: tuple[TraceRow, ...]
    unit: Unit
    name: str = ""


@dataclass(frozen=True)
class _Raw:
    line: int
    at: float
    unit: Unit | None
    is_whole: bool
    row: TraceRow


def read_trace(path: Path, *, unit: Unit | None = None, limit: int | None = None) -> Trace:
    """The first `limit` rows of a file. Raises: NotFound, InvalidInput with file and line."""
    try:
        with path.open("rb") as lines:
            return parse_trace(_bounded_lines(lines, path.name), path.name, unit=unit, limit=limit)
    except FileNotFoundError as error:
        raise NotFound(
            f"There is no trace file '{path}'.", remedy="Give the path of a trace file.", field="trace"
        ) from error
    except OSError as error:
        raise InvalidInput(
            f"The trace '{path}' cannot be read: {error.strerror}.",
            remedy="Make the file readable, or name another one.",
            field="trace",
        ) from error


def parse_trace(
    lines: Iterable[bytes], name: str, *, unit: Unit | None = None, limit: int | None = None
) -> Trace:
    """The same from lines; `name` is the file in messages. Rows are put in the order of their times."""
    most = MAX_ARRIVALS if limit is None else min(limit, MAX_ARRIVALS)
    full = (_parse_row(line, name, number) for number, line in enumerate(lines, 1) if line.strip())
    raw = list(islice(full, most))
    if limit is None and next(full, None) is not None:
        raise InvalidInput(
            f"{name} has more than {MAX_ARRIVALS} rows.",
            remedy="Replay a part of it: give a limit of rows.",
            field="trace",
        )
    if not raw:
        raise InvalidInput(
            f"{name} has no rows.",
            remedy='Give JSON lines like {"timestamp_s": 0.5, "prompt": "Hello", "output_length": 32}.',
            field="trace",
        )
    found: Unit = unit or raw[0].unit or ("ms" if all(one.is_whole for one in raw) else "s")
    return Trace(tuple(_in_order(raw, found, name)), found, name)


def _in_order(raw: list[_Raw], unit: Unit, name: str) -> list[TraceRow]:
    times = [round(one.at * PER_UNIT_NS[one.unit or unit]) for one in raw]
    first = min(times)
    rows: list[TraceRow] = []
    for one, at in zip(raw, times, strict=True):
        if at - first > MAX_SPAN_S * NS:
            raise _wrong(
                name,
                one.line,
                f"its time is {(at - first) / NS:.0f} s after the first one",
                "A replay may last a week; is the unit right? Say s or ms.",
            )
        row = one.row
        rows.append(
            TraceRow(at - first, row.prompt, row.messages, row.input_tokens, row.output_tokens, row.hash_ids)
        )
    return sorted(rows, key=lambda row: row.at_ns)


def _bounded_lines(lines: Any, name: str) -> Iterator[bytes]:
    number = 0
    while line := cast("bytes", lines.readline(MAX_LINE_BYTES + 1)):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise _wrong(name, number, f"it is longer than {MAX_LINE_BYTES} bytes", "Cut the prompt.")
        yield line


def _parse_row(line: bytes, name: str, number: int) -> _Raw:
    try:
        body: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _wrong(name, number, f"it is not JSON ({error})", "Every line is one JSON object.") from error
    if not isinstance(body, dict):
        raise _wrong(name, number, "it is not a JSON object", "Every line is one JSON object.")
    row = cast("dict[str, Any]", body)
    at, unit = _time_of(row, name, number)
    messages = _messages_of(row, name, number)
    prompt = next((row[key] for key in PROMPTS if key in row), "")
    if not isinstance(prompt, str):
        raise _wrong(name, number, "its prompt is not text", "Give the prompt as a string.")
    input_tokens = _length_of(row, INPUT_LENGTHS, name, number)
    if not prompt and not messages and input_tokens is None:
        raise _wrong(
            name,
            number,
            "it says neither what is asked nor how long that is",
            f"Give prompt, messages, or one of: {', '.join(INPUT_LENGTHS)}.",
        )
    made = TraceRow(
        0,
        prompt,
        messages,
        input_tokens,
        _length_of(row, OUTPUT_LENGTHS, name, number),
        _hashes_of(row, name, number),
    )
    return _Raw(number, at, unit, isinstance(at, int), made)


def _time_of(row: dict[str, Any], name: str, number: int) -> tuple[float, Unit | None]:
    units: tuple[tuple[str, Unit | None], ...] = (
        ("timestamp_s", "s"),
        ("timestamp_ms", "ms"),
        *((key, None) for key in NEUTRAL_TIMES),
    )
    found = next((one for one in units if one[0] in row), None)
    if found is None:
        raise _wrong(name, number, "it has no time", "Give timestamp, timestamp_s or timestamp_ms.")
    key, unit = found
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(name, number, f"its {key} {value!r} is not a number", "Give seconds or milliseconds.")
    # Also for NaN, of which every comparison is false.
    if not abs(value) <= MOST_TIME:
        raise _wrong(name, number, f"its {key} is out of range", "Give seconds or milliseconds.")
    return value, unit


def _messages_of(row: dict[str, Any], name: str, number: int) -> str:
    messages = row.get("messages")
    if messages is None:
        return ""
    items = cast("list[Any]", messages) if isinstance(messages, list) else []
    if not items or not all(isinstance(item, dict) and "role" in item for item in items):
        raise _wrong(
            name, number, "its messages are not a list of objects with a role", "Give OpenAI messages."
        )
    return json.dumps(items, ensure_ascii=False)


def _length_of(row: dict[str, Any], keys: tuple[str, ...], name: str, number: int) -> int | None:
    for key in keys:
        value = row.get(key)
        if value is None:
            continue
        is_whole = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value // 1
        if not is_whole or not 1 <= value <= MAX_TOKENS:
            raise _wrong(
                name,
                number,
                f"its {key} {value!r} is no count of tokens",
                f"Give a whole number from 1 to {MAX_TOKENS}.",
            )
        return int(value)
    return None


def _hashes_of(row: dict[str, Any], name: str, number: int) -> tuple[int, ...]:
    hashes = row.get("hash_ids")
    if hashes is None:
        return ()
    items: list[Any] = cast("list[Any]", hashes) if isinstance(hashes, list) else [None]
    if not all(type(item) is int and 0 <= item < 2**63 for item in items):
        raise _wrong(name, number, "its hash_ids are not a list of whole numbers", "Leave them out.")
    return tuple(items)


def _wrong(name: str, line: int, what: str, remedy: str) -> InvalidInput:
    return InvalidInput(f"{name}, line {line}: {what}.", remedy=remedy, field="trace", file=name, line=line)
