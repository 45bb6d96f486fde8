"""YAML that people write: read strictly, checked against a model; every error names file, line, field and remedy."""

import difflib
import json
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tidegate.domain import InvalidInput
from tidegate.domain.secret_reference import INLINE_SECRET, REMEDY, has_key_shape, looks_like_secret

Model = TypeVar("Model", bound=BaseModel)
MAX_SHOWN = 120
EXAMPLE = "deployments/organizations/swaggystacks.yaml shows a complete one"


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` over `below`, mapping by mapping."""
    merged = dict(below)
    for key, value in above.items():
        lower = merged.get(key)
        if isinstance(lower, dict) and isinstance(value, dict):
            value = merge(cast("dict[str, Any]", lower), cast("dict[str, Any]", value))
        merged[key] = value
    return merged


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; in a policy that hides a threshold."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_mapping(file: Path) -> dict[str, Any]:
    """The content of a file; an empty one is an empty mapping. Raises: InvalidInput."""
    try:
        # The loader is a SafeLoader: it builds plain values only.
        content: Any = yaml.load(file.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)  # noqa: S506
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"{file} cannot be read: {error}.", remedy="Check its permissions and encoding."
        ) from error
    except yaml.YAMLError as error:
        raise InvalidInput(
            f"{file} is not valid YAML: {_yaml_problem(error)}.", remedy="Correct that line.", file=file
        ) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InvalidInput(
            f"{file} holds no mapping.", remedy=f"Write 'field: value' lines ({EXAMPLE}).", file=file
        )
    mapping = cast("dict[str, Any]", content)
    _refuse_odd_values(mapping, file, "")
    return mapping


def _yaml_problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return str(error)


def _refuse_odd_values(value: object, file: Path, field: str) -> None:
    """Dates, sets, infinities and keys that are no text have no place here; an infinite limit switches a gate off."""
    if isinstance(value, dict):
        for key, item in cast("dict[object, object]", value).items():
            if not isinstance(key, str):
                raise InvalidInput(
                    f"{file}: the key {key!r} is no text.", remedy="Put it in quotes.", file=file
                )
            _refuse_odd_values(item, file, f"{field}.{key}" if field else key)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            _refuse_odd_values(item, file, field)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(
            f"{file}: {field} is {value}.", remedy="Write a finite number.", file=file, field=field
        )
    elif isinstance(value, str) and has_key_shape(value):
        raise InvalidInput(f"{file}: {field} is a secret.", remedy=REMEDY, file=file, field=field)
    elif value is not None and not isinstance(value, str | int | float):
        raise InvalidInput(
            f"{file}: {field} is a {type(value).__name__}.",
            remedy="Put the value in quotes.",
            file=file,
            field=field,
        )


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a file. `line` is None where the field stands nowhere in it."""

    file: str
    field: str
    message: str
    remedy: str
    line: int | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line is not None else self.file
        return f"{place}: {self.field or 'the file'}: {self.message}."


def problems_of(model: type[BaseModel], content: dict[str, Any], file: Path) -> list[Problem]:
    """All that keeps this content from being the model, in the order of the file; empty when it is one."""
    try:
        model.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        # The cause quotes the value, which may be a secret in the wrong place.
        return [_problem(model, found, file) for found in error.errors(include_url=False)]
    return []


def validate(model: type[Model], content: dict[str, Any], file: Path) -> Model:
    """Raises: InvalidInput, with the first thing that is wrong."""
    for first in problems_of(model, content, file):
        raise InvalidInput(
            f"{file}: {first.field or 'the file'}: {first.message}.",
            remedy=first.remedy,
            file=file,
            field=first.field,
        )
    return model.model_validate_json(json.dumps(content), strict=True)


def _problem(model: type[BaseModel], error: ErrorDetails, file: Path) -> Problem:
    return Problem(
        file=str(file),
        field=".".join(str(part) for part in error["loc"]),
        message=error["msg"].removeprefix("Value error, "),
        remedy=_remedy(model, error),
        line=line_of(file, error["loc"]),
    )


def _remedy(model: type[BaseModel], error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        wrong, beside = str(error["loc"][-1]), sorted(_fields_beside(model, error["loc"]))
        close = difflib.get_close_matches(wrong, beside, n=1) or difflib.get_close_matches(
            wrong, sorted(_property_names(model.model_json_schema())), n=1
        )
        return f"Did you mean '{close[0]}'?" if close else f"Remove it. Known fields: {', '.join(beside)}."
    if error["type"] == "missing":
        return f"Add the field ({EXAMPLE})."
    if error["type"] == INLINE_SECRET:
        return REMEDY
    said = repr(error["input"])
    return (
        "Correct the value." if looks_like_secret(said) else f"Correct the value (it is {said[:MAX_SHOWN]})."
    )


def _fields_beside(model: type[BaseModel], place: Sequence[str | int]) -> set[str]:
    """Fields of the innermost model that holds this place; keys of mappings and places in lists are passed over."""
    for name in place[:-1]:
        field = model.model_fields.get(str(name))
        model = _inner(field.annotation) or model if field else model
    return set(model.model_fields)


def _inner(annotation: object) -> type[BaseModel] | None:
    """The model in an annotation such as `Margin | None` or `dict[str, Slice]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner(part))), None)


def _property_names(schema: object) -> set[str]:
    names: set[str] = set()
    if isinstance(schema, dict):
        entries = cast("dict[str, object]", schema)
        properties = entries.get("properties")
        if isinstance(properties, dict):
            names.update(cast("dict[str, object]", properties))
        for value in entries.values():
            names |= _property_names(value)
    return names


def line_of(file: Path, field: Sequence[str | int]) -> int | None:
    """Line on which a field stands, or the innermost field around it that is written there; None: none is."""
    node: yaml.Node | None = yaml.compose(file.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    line: int | None = None
    for name in field:
        found = _child(node, name)
        if found is None:
            break
        node, line = found
    return line


def _child(node: yaml.Node | None, name: str | int) -> tuple[yaml.Node, int] | None:
    """Value and line of one entry of a mapping or a list."""
    if isinstance(node, yaml.MappingNode):
        entries = cast("list[tuple[yaml.Node, yaml.Node]]", node.value)
        for key, value in entries:
            if str(key.value) == str(name):
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(name, int):
        items = cast("list[yaml.Node]", node.value)
        if name < len(items):
            return items[name], items[name].start_mark.line + 1
    return None
