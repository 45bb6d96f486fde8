"""Rows that hold a question and its reference answer, but no way of scoring: chat, inspect, deepeval, ragas.

The caller may name a scorer. Otherwise the default of each format is used and noted: a reference is compared by
similarity, which tells two models apart but is no proof of a right answer.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from tidegate.quality.formats.messages import expected_calls, messages_of
from tidegate.quality.formats.reading import Place, Reading, Row, RowRefused, list_of, object_of, text_of
from tidegate.quality.formats.rows import rows_of
from tidegate.quality.scorers.similarity import DEFAULT_SIMILARITY

SIMILAR: list[dict[str, Any]] = [
    {"name": "similarity", "options": {"metric": "rougeL"}},
    {"name": "exact", "weight": 0, "options": {"ignore_case": True, "ignore_punctuation": True}},
]
AT_END: list[dict[str, Any]] = [
    {
        "name": "ends_with",
        "options": {"ignore_case": True, "ignore_punctuation": True, "ignore_whitespace": True},
    }
]
SIMILAR_NOTE = (
    f"rows without a scorer of their own are right from ROUGE-L {DEFAULT_SIMILARITY:g} to their reference on; "
    "name a scorer for a gate (--scorer)"
)
AT_END_NOTE = (
    "rows without choices are right when the answer ends with the target, case and punctuation aside "
    "(inspect's `match`); name another scorer with --scorer"
)
NEEDS_SANDBOX = ("sandbox", "files", "setup")


def read_chat(reading: Reading) -> None:
    """Fine-tuning examples: the last assistant turn is the target, what stands before it the question."""
    for number, row in _numbered(reading):
        try:
            reading.add(_chat(row, number, reading), row.place)
        except RowRefused as problem:
            reading.refuse(problem)


def _chat(row: Row, number: int, reading: Reading) -> dict[str, Any]:
    place, data = row.place, row.data
    if "messages" not in data and "prompt" in data and "completion" in data:
        turns = [
            {"role": "user", "content": text_of(data["prompt"], "prompt", place)},
            {"role": "assistant", "content": text_of(data["completion"], "completion", place).strip()},
        ]
    else:
        turns = messages_of(data.get("messages", data.get("conversations")), "messages", place)
    if turns[-1]["role"] != "assistant":
        raise RowRefused(place, "the last message is not of the assistant, so there is no target")
    if len(turns) < 2:
        raise RowRefused(place, "there is a target, but no question before it")
    target = turns[-1]
    fields: dict[str, Any] = {"id": _id(data, number), "messages": turns[:-1], **_shared(data)}
    if tools := data.get("tools"):
        fields["tools"] = list_of(tools, "tools", place)
    if target.get("tool_calls"):
        calls = expected_calls(target["tool_calls"], "tool_calls", place)
        how = {"calls": "all" if len(calls) > 1 else "one"}
        return fields | {"expect": calls, "scorers": [{"name": "tool_call", "options": how}]}
    expect = text_of(target.get("content"), "the target", place)
    return fields | {"expect": expect, "scorers": _scorers(reading, SIMILAR, SIMILAR_NOTE)}


def read_inspect(reading: Reading) -> None:
    """Samples of inspect: input, target, choices, id, metadata, under their own names or mapped ones."""
    for number, row in _numbered(reading):
        try:
            reading.add(_inspect(_mapped(row, reading), row.place, number, reading), row.place)
        except RowRefused as problem:
            reading.refuse(problem)


def _inspect(data: Mapping[str, Any], place: Place, number: int, reading: Reading) -> dict[str, Any]:
    if needed := next((name for name in NEEDS_SANDBOX if data.get(name)), ""):
        raise RowRefused(place, f"{needed}: samples that need a sandbox are not read")
    fields: dict[str, Any] = {"id": _id(data, number), **_shared(data)}
    given = _parsed(data.get("input"), opening="[")
    if isinstance(given, str):
        fields["prompt"] = text_of(given, "input", place)
    else:
        fields["messages"] = messages_of(given, "input", place)
    target = _parsed(data.get("target"), opening="[")
    targets = _texts(target) if isinstance(target, list) else text_of(target, "target", place)
    choices = _choices(data.get("choices"), place)
    if choices:
        if not isinstance(targets, str):
            raise RowRefused(place, "target: several right choices at once are not scored here")
        return fields | {"choices": choices, "expect": targets, "scorers": _scorers(reading, _CHOICE, "")}
    return fields | {"expect": targets, "scorers": _scorers(reading, AT_END, AT_END_NOTE)}


_CHOICE: list[dict[str, Any]] = [{"name": "choice"}]


def _texts(values: Any) -> list[str]:
    return [str(one) for one in cast("list[Any]", values)]


def _choices(value: Any, place: Place) -> list[str]:
    """As inspect reads them: a list, or text parted by commas or else by spaces."""
    value = _parsed(value, opening="[")
    if value is None or value == "":
        return []
    if isinstance(value, str):
        parts = value.split(",") if "," in value else value.split()
        return [part.strip() for part in parts if part.strip()]
    return [str(choice) for choice in list_of(value, "choices", place) if str(choice).strip()]


def read_deepeval(reading: Reading) -> None:
    """Goldens of deepeval: input and expected_output, in JSON (either spelling), JSON lines or CSV."""
    for number, row in _numbered(reading):
        try:
            reading.add(_golden(row, number, reading), row.place)
        except RowRefused as problem:
            reading.refuse(problem)


CAMEL = {
    "expectedOutput": "expected_output",
    "actualOutput": "actual_output",
    "retrievalContext": "retrieval_context",
    "additionalMetadata": "additional_metadata",
    "expectedTools": "expected_tools",
    "toolsCalled": "tools_called",
    "sourceFile": "source_file",
}
GOLDEN_EXTRAS = ("context", "retrieval_context", "comments", "source_file", "name", "expected_tools")


def _golden(row: Row, number: int, reading: Reading) -> dict[str, Any]:
    place = row.place
    data = {CAMEL.get(key, key): value for key, value in _mapped(row, reading).items()}
    if "scenario" in data and not data.get("input"):
        raise RowRefused(place, "a conversation that a simulated user leads is not read")
    extras = {name: data[name] for name in GOLDEN_EXTRAS if data.get(name)}
    metadata = data.get("additional_metadata")
    metadata = _parsed(metadata, opening="{") if isinstance(metadata, str) and metadata else metadata
    if metadata:
        extras |= object_of(metadata, "additional_metadata", place)
    if extras.get("expected_tools"):
        reading.note("expected_tools are kept as metadata only: a golden does not offer the tools themselves")
    return {
        "id": _id(data, number),
        "prompt": text_of(data.get("input"), "input", place),
        "expect": text_of(data.get("expected_output"), "expected_output", place),
        "scorers": _scorers(reading, SIMILAR, SIMILAR_NOTE),
        "metadata": extras,
        **_shared(data, without=("metadata",)),
    }


def read_ragas(reading: Reading) -> None:
    """Rows of ragas: user_input and reference."""
    for number, row in _numbered(reading):
        try:
            reading.add(_ragas(_mapped(row, reading), row.place, number, reading), row.place)
        except RowRefused as problem:
            reading.refuse(problem)


RAGAS_EXTRAS = (
    "reference_contexts",
    "retrieved_contexts",
    "rubrics",
    "persona_name",
    "query_style",
    "query_length",
    "synthesizer_name",
)


def _ragas(data: Mapping[str, Any], place: Place, number: int, reading: Reading) -> dict[str, Any]:
    given = _parsed(data.get("user_input"), opening="[")
    asked: dict[str, Any]
    if isinstance(given, str):
        asked = {"prompt": text_of(given, "user_input", place)}
    else:
        asked = {"messages": messages_of(given, "user_input", place)}
    return {
        "id": _id(data, number),
        **asked,
        "expect": text_of(data.get("reference"), "reference", place),
        "scorers": _scorers(reading, SIMILAR, SIMILAR_NOTE),
        "metadata": {name: data[name] for name in RAGAS_EXTRAS if data.get(name)},
        **_shared(data, without=("metadata",)),
    }


def _numbered(reading: Reading) -> Iterable[tuple[int, Row]]:
    return enumerate(rows_of(reading, reading.path), start=1)


def _mapped(row: Row, reading: Reading) -> dict[str, Any]:
    """The row under our names."""
    theirs = dict(row.data)
    for ours, name in reading.options.fields.items():
        if name not in theirs:
            raise RowRefused(row.place, f"there is no field '{name}' (named for {ours})")
        theirs[ours] = theirs[name]
    return theirs


def _id(data: Mapping[str, Any], number: int) -> str:
    given = data.get("id")
    return str(given) if isinstance(given, str | int) and str(given).strip() else f"row-{number}"


def _shared(data: Mapping[str, Any], without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Fields that mean the same everywhere, where they are of the right kind."""
    found: dict[str, Any] = {}
    metadata = _parsed(data.get("metadata"), opening="{")
    if isinstance(metadata, dict) and "metadata" not in without:
        found["metadata"] = metadata
    for name in ("topic", "cluster"):
        if isinstance(data.get(name), str) and data[name]:
            found[name] = data[name]
    if isinstance(data.get("tags"), list):
        found["tags"] = [str(tag) for tag in data["tags"]]
    return found


def _parsed(value: Any, *, opening: str) -> Any:
    """A cell of a table that holds JSON, as its value; all else as it is."""
    if isinstance(value, str) and value.lstrip().startswith(opening):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _scorers(reading: Reading, default: list[dict[str, Any]], note: str) -> list[dict[str, Any]]:
    if reading.options.scorer is not None:
        return [reading.options.scorer.model_dump(exclude_unset=True)]
    if note:
        reading.note(note)
    return default
