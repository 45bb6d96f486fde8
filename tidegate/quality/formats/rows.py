"""Rows of JSON lines, JSON arrays and CSV tables, each with the line where it begins."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from tidegate.quality.formats.lined import BadText, Lined, LinedList, parse_json_lined
from tidegate.quality.formats.reading import Place, Reading, Row, RowRefused

MAX_LINE_CHARACTERS = 4 * 1024 * 1024


def json_lines(reading: Reading, path: Path) -> Iterator[Row]:
    """Every object of a file of JSON lines; a line that is none becomes a problem."""
    for number, line in enumerate(reading.text(path).split("\n"), start=1):
        if not line.strip():
            continue
        place = Place(str(path), number)
        if len(line) > MAX_LINE_CHARACTERS:
            reading.refuse(RowRefused(place, f"the line has more than {MAX_LINE_CHARACTERS} characters"))
            continue
        try:
            value: Any = json.loads(line, parse_constant=_refused)
        except (ValueError, RecursionError) as error:
            what = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            reading.refuse(RowRefused(place, f"Invalid JSON: {what}"))
            continue
        if isinstance(value, dict):
            yield Row(cast("dict[str, Any]", value), place)
        else:
            reading.refuse(RowRefused(place, "a line must hold one JSON object"))


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def json_items(reading: Reading, path: Path, value: Any = None) -> Iterator[Row]:
    """Every object of a JSON array."""
    if value is None:
        value = json_value(reading, path)
    if isinstance(value, Lined):
        yield Row(value, Place(str(path), value.line))
        return
    if not isinstance(value, LinedList):
        reading.stop(path, 1, "the file must hold a JSON array of objects")
    for at, item in enumerate(value):
        place = Place(str(path), value.line_at(at))
        if isinstance(item, dict):
            yield Row(cast("dict[str, Any]", item), place)
        else:
            reading.refuse(RowRefused(place, "each item must be an object"))


def json_value(reading: Reading, path: Path) -> Any:
    """The whole of a JSON file, with lines. Raises: InvalidInput."""
    try:
        return parse_json_lined(reading.text(path))
    except BadText as problem:
        reading.stop(path, problem.line, problem.reason)


def csv_rows(
    reading: Reading,
    path: Path,
    *,
    delimiter: str = ",",
    columns: list[str] | None = None,
) -> Iterator[Row]:
    """Every row of a table by its header. Cells stay text; a row of another length becomes a problem."""
    table = csv.reader(io.StringIO(reading.text(path), newline=""), delimiter=delimiter, strict=True)
    header = columns
    number = 0
    try:
        for cells in table:
            began, number = number + 1, table.line_num
            place = Place(str(path), began)
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                _check_header(reading, path, header, began)
            elif len(cells) != len(header):
                reading.refuse(RowRefused(place, f"{len(cells)} cells, but {len(header)} columns"))
            else:
                yield Row(dict(zip(header, cells, strict=True)), place)
    except csv.Error as error:
        reading.stop(path, table.line_num or 1, f"this is not CSV: {error}")


def _check_header(reading: Reading, path: Path, header: list[str], line: int) -> None:
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        reading.stop(path, line, f"the column '{twice}' is there twice")


def rows_of(reading: Reading, path: Path) -> Iterator[Row]:
    """Rows of a file by its suffix: JSON lines, a JSON array, or a table."""
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return csv_rows(reading, path, delimiter="\t" if suffix == ".tsv" else ",")
    if suffix == ".json":
        return json_items(reading, path)
    return json_lines(reading, path)
