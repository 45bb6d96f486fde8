"""The data of an lm-eval task: local JSON, JSON lines or CSV files, by split."""

from collections.abc import Iterator
from itertools import chain
from typing import Any, cast

from tidegate.quality.formats.lined import Lined
from tidegate.quality.formats.reading import Place, Reading, Row, RowRefused, list_of, object_of
from tidegate.quality.formats.rows import csv_rows, json_items, json_lines, json_value

BUILDERS = ("json", "csv")
ONLY_SPLIT = "train"
"""Files that are not sorted by split are all of this one, as in the `datasets` library."""


def split_rows(reading: Reading, config: Lined, split: str) -> Iterator[Row]:
    """Every document of one split. Raises: RowRefused."""
    builder = config.get("dataset_path")
    place = Place(str(reading.path), config.line_of("dataset_path"))
    if builder not in BUILDERS:
        reason = (
            f"dataset_path '{builder}' would be downloaded; store the data beside the task, set dataset_path to json "
            "or csv and name the files in dataset_kwargs.data_files"
        )
        raise RowRefused(place, reason)
    place = Place(str(reading.path), config.line_of("dataset_kwargs"))
    settings = object_of(config.get("dataset_kwargs") or {}, "dataset_kwargs", place)
    names = _names(settings.get("data_files"), split, place)
    paths = [reading.local(name, reading.path, place) for name in names]
    if builder == "csv":
        columns = settings.get("column_names")
        named = [str(column) for column in list_of(columns, "column_names", place)] if columns else None
        delimiter = str(settings.get("delimiter") or settings.get("sep") or ",")
        return chain.from_iterable(
            csv_rows(reading, path, delimiter=delimiter, columns=named) for path in paths
        )
    field = settings.get("field")
    # A list: what is wrong with a file is told here, not when its rows are wanted.
    return chain.from_iterable([_json_rows(reading, path, field) for path in paths])


def _names(files: Any, split: str, place: Place) -> list[str]:
    if isinstance(files, dict):
        by_split = cast("dict[str, Any]", files)
        if split not in by_split:
            raise RowRefused(place, f"data_files has no split '{split}'; there are {', '.join(by_split)}")
        files = by_split[split]
    elif split != ONLY_SPLIT:
        raise RowRefused(
            place, f"files without splits are all '{ONLY_SPLIT}', but the split '{split}' is wanted"
        )
    names = cast("list[Any]", files) if isinstance(files, list) else [files]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise RowRefused(place, "dataset_kwargs.data_files names no file")
    return [str(name) for name in names]


def _json_rows(reading: Reading, path: Any, field: Any) -> Iterator[Row]:
    """A JSON array, an object with the array in `field`, or JSON lines whatever the suffix says."""
    if field is None and not reading.text(path).lstrip().startswith("["):
        return json_lines(reading, path)
    value = json_value(reading, path)
    if field is not None:
        value = cast("dict[str, Any]", value).get(str(field)) if isinstance(value, dict) else None
        if value is None:
            raise RowRefused(Place(str(path), 1), f"there is no field '{field}'")
    return json_items(reading, path, value)
