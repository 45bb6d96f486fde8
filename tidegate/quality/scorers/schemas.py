"""JSON schemas of banks: written by others, so nothing they say is fetched and nothing they ask runs for ever."""

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, cast

from tidegate.quality.scorers.patterns import find, pattern_fault

MAX_REFERENCES = 20_000
MAX_NODES = 20_000
CHECKED_FORMATS = ("date", "email", "ipv4", "ipv6", "uuid")
_INSIDE = re.compile(r"#(/|$)|#[\w.-]+$")


class SchemaTooCostly(Exception):
    """Following the references of this schema does not come to an end in reasonable time."""


def schema_fault(schema: Any) -> str:
    """Why answers cannot be checked by this schema; empty when they can."""
    from jsonschema.exceptions import SchemaError

    if not isinstance(schema, dict | bool):
        return "a JSON schema is an object, or true or false"
    try:
        nodes = list(_nodes(schema))
    except RecursionError:
        return "the JSON schema is nested too deeply"
    if len(nodes) > MAX_NODES:
        return f"the JSON schema has more than {MAX_NODES} parts"
    for node in nodes:
        if fault := _node_fault(node):
            return fault
    try:
        _dialect(schema).check_schema(schema)
    except SchemaError as error:
        return f"this is not a JSON schema: {error.message}"
    except RecursionError:
        return "the JSON schema is nested too deeply"
    return ""


def _nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        node = cast("dict[str, Any]", value)
        yield node
        for inner in node.values():
            yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _nodes(inner)


def _node_fault(node: Mapping[str, Any]) -> str:
    for name in ("$ref", "$dynamicRef"):
        target = node.get(name)
        if isinstance(target, str) and not _INSIDE.match(target):
            return f"the JSON schema refers to '{target}'; only references inside it are followed"
    patterns = [node["pattern"]] if isinstance(node.get("pattern"), str) else []
    named = node.get("patternProperties")
    patterns += list(cast("dict[str, Any]", named)) if isinstance(named, dict) else []
    for pattern in patterns:
        if fault := pattern_fault(str(pattern)):
            return fault.replace("expect is", f"the pattern {pattern!r} of the JSON schema is", 1)
    return ""


def first_violation(value: Any, schema: Any) -> str:
    """What in a value contradicts the schema, and where; empty when nothing does.

    Raises: SchemaTooCostly, TimeoutError.
    """
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    exceptions: Any = import_module("jsonschema.exceptions")

    validator = _bounded(_dialect(schema))(
        # An empty registry: what is not in the schema itself is never fetched.
        schema,
        registry=Registry(),  # pyright: ignore[reportUnknownArgumentType]
        format_checker=_formats(),
    )
    try:
        errors: Any = validator.iter_errors(value)
        error: Any = exceptions.best_match(errors)
    except RecursionError as problem:
        raise SchemaTooCostly("the JSON schema refers to itself without end") from problem
    except Unresolvable as problem:
        raise SchemaTooCostly("a reference of the JSON schema leads nowhere") from problem
    if error is None:
        return ""
    place = "/".join(str(part) for part in error.absolute_path)
    message = str(error.message)
    return f"{place}: {message[:200]}" if place else message[:200]


def _dialect(schema: Any) -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for

    found: Any = validator_for(schema, default=Draft202012Validator)
    return found


def _formats() -> Any:
    from jsonschema import FormatChecker

    return FormatChecker(formats=CHECKED_FORMATS)


def _bounded(dialect: Any) -> Any:
    """The same rules, with patterns searched under a limit and references counted."""
    from jsonschema import ValidationError

    validators: Any = import_module("jsonschema.validators")

    followed = 0

    def pattern(validator: Any, wanted: str, value: Any, schema: Any) -> Iterator[Any]:
        del schema
        if validator.is_type(value, "string") and find(wanted, value) is None:
            yield ValidationError(f"{value!r} does not match {wanted!r}")

    def pattern_properties(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
        del schema
        if not validator.is_type(value, "object"):
            return
        for expression, inner in wanted.items():
            for key, item in value.items():
                if find(expression, key) is not None:
                    yield from validator.descend(item, inner, path=key, schema_path=expression)

    follow = dialect.VALIDATORS["$ref"]

    def reference(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
        nonlocal followed
        followed += 1
        if followed > MAX_REFERENCES:
            raise SchemaTooCostly(f"the JSON schema follows more than {MAX_REFERENCES} references")
        yield from follow(validator, wanted, value, schema) or ()

    return validators.extend(
        dialect, {"pattern": pattern, "patternProperties": pattern_properties, "$ref": reference}
    )
