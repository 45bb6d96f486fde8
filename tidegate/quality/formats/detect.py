"""Which format a file is of, told by its content: the names that its rows use."""

import csv
import io
import json
from collections.abc import Set as AbstractSet
from typing import Any, NoReturn, cast

from tidegate.domain import InvalidInput
from tidegate.quality.formats.lined import Lined, LinedList
from tidegate.quality.formats.reading import Reading
from tidegate.quality.formats.values import value_of

NATIVE, PROMPTFOO, LM_EVAL, INSPECT, CHAT, DEEPEVAL, RAGAS = (
    "native",
    "promptfoo",
    "lm-eval",
    "inspect",
    "chat",
    "deepeval",
    "ragas",
)
FORMATS = (NATIVE, PROMPTFOO, LM_EVAL, INSPECT, CHAT, DEEPEVAL, RAGAS)
LM_EVAL_KEYS = {"doc_to_text", "doc_to_target", "dataset_path", "output_type", "include", "task"}
SUFFIXES = (".jsonl", ".ndjson", ".json", ".yaml", ".yml", ".csv", ".tsv")


def detect(reading: Reading) -> str:
    """The format that was named, or that the content shows. Raises: NotFound, InvalidInput."""
    if reading.options.format is not None:
        if reading.options.format not in FORMATS:
            raise InvalidInput(
                f"There is no bank format '{reading.options.format}'.",
                remedy=f"Use one of: {', '.join(FORMATS)}.",
                field="format",
            )
        return reading.options.format
    suffix = reading.path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        return _of_yaml(reading)
    keys = _keys(reading, suffix)
    return _of_keys(keys, reading) if keys is not None else NATIVE


def _of_yaml(reading: Reading) -> str:
    value = value_of(reading, reading.path)
    if isinstance(value, LinedList) or {"prompts", "tests", "providers", "vars", "assert"} & _names(value):
        return PROMPTFOO
    if LM_EVAL_KEYS & _names(value):
        return LM_EVAL
    _unknown(reading, _names(value))


def _names(value: Any) -> AbstractSet[str]:
    return value.keys() if isinstance(value, Lined) else set[str]()


def _keys(reading: Reading, suffix: str) -> AbstractSet[str] | None:
    """The names of the first row; None where there is none that can be read."""
    text = reading.text(reading.path)
    if suffix in (".csv", ".tsv"):
        header = next(csv.reader(io.StringIO(text), delimiter="\t" if suffix == ".tsv" else ","), list[str]())
        return {name.strip() for name in header}
    if suffix == ".json":
        value = value_of(reading, reading.path)
        if isinstance(value, LinedList):
            objects = [item for item in value[:100] if isinstance(item, Lined)]
            value = objects[0] if objects else None
        return value.keys() if isinstance(value, Lined) else None
    for line in text.split("\n"):
        try:
            row: Any = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            return cast("dict[str, Any]", row).keys()
    return None


def _of_keys(keys: AbstractSet[str], reading: Reading) -> str:
    """The most telling names first."""
    mapped = {ours for ours, theirs in reading.options.fields.items() if theirs in keys}
    keys = {*keys, *mapped}
    telling = (
        (NATIVE, {"scorer"} & keys or {"scorers"} & keys),
        (
            PROMPTFOO,
            {"vars", "assert", "prompts", "tests"} & keys or any(k.startswith("__expected") for k in keys),
        ),
        (CHAT, {"messages", "conversations"} & keys or {"prompt", "completion"} <= keys),
        (RAGAS, "user_input" in keys),
        (DEEPEVAL, {"expected_output", "expectedOutput", "actual_output", "actualOutput", "scenario"} & keys),
        (NATIVE, {"expect", "topic"} & keys),
        (INSPECT, {"input", "target"} <= keys),
        (NATIVE, "prompt" in keys),
    )
    for name, is_it in telling:
        if is_it:
            return name
    _unknown(reading, keys)


def _unknown(reading: Reading, keys: AbstractSet[str]) -> NoReturn:
    listed = ", ".join(sorted(keys)[:10]) or "none"
    reading.stop(
        reading.path,
        1,
        f"the format cannot be told from its names ({listed}); there are {', '.join(FORMATS)}",
        "Name format and fields once: tidegate bank convert FILE --to jsonl OUTPUT --format inspect "
        "--field input=THEIR_QUESTION --field target=THEIR_ANSWER.",
    )
