"""Our own banks: one question a line, by the names of `Question`, with `input` and `target` as other tools say them."""

from typing import Any

from tidegate.quality.formats.messages import messages_of
from tidegate.quality.formats.reading import Reading, Row, RowRefused
from tidegate.quality.formats.rows import rows_of

ALIASES = {"target": "expect", "targets": "expect"}


def read_native(reading: Reading) -> None:
    """Add every row of the file to the reading."""
    for row in rows_of(reading, reading.path):
        try:
            reading.add(_fields(row, reading), row.place)
        except RowRefused as problem:
            reading.refuse(problem)


def _fields(row: Row, reading: Reading) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in row.data.items():
        name = ALIASES.get(key, key)
        if name in fields:
            raise RowRefused(row.place, f"'{key}' and another name of it are both there")
        fields[name] = value
    if "input" in fields:
        if "prompt" in fields or "messages" in fields:
            raise RowRefused(row.place, "'input' is another name of prompt or messages: give one")
        given = fields.pop("input")
        fields["prompt" if isinstance(given, str) else "messages"] = given
    if "messages" in fields:
        fields["messages"] = messages_of(fields["messages"], "messages", row.place)
    if not fields.get("scorer") and not fields.get("scorers") and reading.options.scorer:
        fields["scorers"] = [reading.options.scorer.model_dump(exclude_unset=True)]
    return fields
