"""The whole of a JSON or YAML file, with lines."""

from pathlib import Path
from typing import Any

from tidegate.quality.formats.lined import BadText, parse_json_lined, parse_yaml_lined
from tidegate.quality.formats.reading import Reading

YAML_SUFFIXES = (".yaml", ".yml", "")


def value_of(reading: Reading, path: Path) -> Any:
    """By the suffix: YAML for `.yaml`, `.yml` and none (lm-eval's shared parts have none), JSON for the rest.

    Raises: NotFound, InvalidInput.
    """
    parse = (
        parse_yaml_lined
        if path.suffix.lower() in YAML_SUFFIXES or path.name.endswith("_yaml")
        else parse_json_lined
    )
    try:
        return parse(reading.text(path))
    except BadText as problem:
        reading.stop(path, problem.line, problem.reason)
