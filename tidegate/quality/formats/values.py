"""The whole of a JSON or YAML file, with lines."""

from pathlib import Path
from typing import Any

from tidegate.quality.formats.lined import BadText, parse_json_lined, parse_yaml_lined
from tidegate.quality.formats.reading import Reading

YAML_SUFFIXES = (".yaml", ".yml", "")


def value_of(reading: Reading, path: Path, *, is_old: bool = False) -> Any:
    """By the suffix: YAML for `.yaml`, `.yml` and none (lm-eval's shared parts have none), JSON for the rest.

    `is_old`: scalars of YAML 1.1, see `parse_yaml_lined`. Raises: NotFound, InvalidInput.
    """
    is_yaml = path.suffix.lower() in YAML_SUFFIXES or path.name.endswith("_yaml")
    text = reading.text(path)
    try:
        return parse_yaml_lined(text, is_old=is_old) if is_yaml else parse_json_lined(text)
    except BadText as problem:
        reading.stop(path, problem.line, problem.reason)
