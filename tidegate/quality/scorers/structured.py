"""JSON in an answer: equal to the expected value, or valid by a schema."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

from pydantic import Field

from tidegate.quality.results import Answer
from tidegate.quality.scorers.kinds import MAX_ANSWER_CHARACTERS, Mark, Options, Scorer, Wanted, binary
from tidegate.quality.scorers.schemas import SchemaTooCostly, first_violation, schema_fault

MAX_STARTS = 200
"""So many places of a text are tried when JSON may stand anywhere in it."""


class JsonOptions(Options):
    where: Literal["whole", "fence", "anywhere"] = "whole"
    """`whole`: nothing else (no fence, no prose). `fence`: one code fence around it is allowed. `anywhere`: any
    JSON object or array inside the text counts."""
    subset: bool = False
    """What the expected objects name must be there; more may be."""
    ignore_order: bool = False
    """Arrays are compared as collections."""
    rel_tolerance: float = Field(default=0.0, ge=0, allow_inf_nan=False)


def parse_json(text: str) -> tuple[bool, Any]:
    """Whether the text is JSON, and its value. Strict: no NaN, no repeated key, no trailing text."""
    try:
        return True, json.loads(
            text[:MAX_ANSWER_CHARACTERS], parse_constant=_refuse, object_pairs_hook=_without_repeats
        )
    except (ValueError, RecursionError):
        return False, None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key is there twice")
    return made


def json_values(text: str, where: str) -> Iterator[Any]:
    """The JSON values of a text that count."""
    text = text[:MAX_ANSWER_CHARACTERS]
    is_json, value = parse_json(text.strip())
    if is_json:
        yield value
    elif where == "fence":
        is_json, value = parse_json(_inside_fence(text))
        if is_json:
            yield value
    elif where == "anywhere":
        yield from _embedded(text)


def _inside_fence(text: str) -> str:
    lines = text.strip().splitlines()
    if len(lines) < 3 or lines[-1].strip() != "```" or lines[0].strip() not in ("```", "```json"):
        return ""
    return "\n".join(lines[1:-1])


def _embedded(text: str) -> Iterator[Any]:
    """Objects and arrays that begin anywhere in the text, outermost ones only."""
    decoder = json.JSONDecoder(parse_constant=_refuse, object_pairs_hook=_without_repeats)
    at = 0
    for _ in range(MAX_STARTS):
        starts = [place for place in (text.find("{", at), text.find("[", at)) if place >= 0]
        if not starts:
            return
        at = min(starts)
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        yield value


def is_same(given: Any, wanted: Any, options: JsonOptions) -> bool:
    """Equality of JSON: true is not 1, but 1 is 1.0."""
    if isinstance(wanted, Mapping):
        return isinstance(given, Mapping) and _is_same_object(
            cast("Mapping[str, Any]", given), cast("Mapping[str, Any]", wanted), options
        )
    if isinstance(wanted, list):
        return isinstance(given, list) and _is_same_array(
            cast("list[Any]", given), cast("list[Any]", wanted), options
        )
    if isinstance(wanted, bool) or isinstance(given, bool) or wanted is None or given is None:
        return given is wanted
    if isinstance(wanted, int | float) and isinstance(given, int | float):
        return given == wanted or math.isclose(given, wanted, rel_tol=options.rel_tolerance)
    return type(given) is type(wanted) and given == wanted


def _is_same_object(given: Mapping[str, Any], wanted: Mapping[str, Any], options: JsonOptions) -> bool:
    if not options.subset and given.keys() != wanted.keys():
        return False
    return all(key in given and is_same(given[key], value, options) for key, value in wanted.items())


def _is_same_array(given: list[Any], wanted: list[Any], options: JsonOptions) -> bool:
    if len(given) != len(wanted):
        return False
    if not options.ignore_order:
        return all(is_same(ours, theirs, options) for ours, theirs in zip(given, wanted, strict=True))
    left = list(given)
    for value in wanted:
        place = next((n for n, other in enumerate(left) if is_same(other, value, options)), None)
        if place is None:
            return False
        del left[place]
    return True


def _json(wanted: Wanted[JsonOptions], answer: Answer) -> Mark:
    value = parse_json(wanted.expect)[1] if isinstance(wanted.expect, str) else wanted.expect
    found = list(json_values(answer.text, wanted.options.where))
    if not found:
        return binary(False, "the answer is not JSON")
    try:
        return binary(
            any(is_same(given, value, wanted.options) for given in found), "the JSON has another value"
        )
    except RecursionError:
        return binary(False, "the JSON is nested too deeply")


def _json_fault(wanted: Wanted[JsonOptions]) -> str:
    if wanted.expect is None:
        return "expect is missing"
    if isinstance(wanted.expect, str) and not parse_json(wanted.expect)[0]:
        return "expect is not JSON text"
    return ""


JSON = Scorer("json", "The answer is JSON and equal to the expected value.", JsonOptions, _json, _json_fault)


class SchemaOptions(Options):
    where: Literal["whole", "fence", "anywhere"] = "whole"
    """As for `json`; with `anywhere` one valid value is enough."""


SCHEMA_COSTS = "schema-too-costly"


def _json_schema(wanted: Wanted[SchemaOptions], answer: Answer) -> Mark:
    schema = _schema(wanted.expect)
    violation = "the answer is not JSON"
    for given in json_values(answer.text, wanted.options.where):
        try:
            violation = first_violation(given, schema)
        except (SchemaTooCostly, TimeoutError) as error:
            return Mark(0.0, False, str(error), (SCHEMA_COSTS,))
        if not violation:
            return binary(True)
    return binary(False, violation)


def _schema(expect: Any) -> Any:
    """No schema at all asks for JSON of any kind."""
    if expect is None:
        return True
    return parse_json(expect)[1] if isinstance(expect, str) else expect


def _schema_fault(wanted: Wanted[SchemaOptions]) -> str:
    if isinstance(wanted.expect, str) and not parse_json(wanted.expect)[0]:
        return "expect is not JSON text"
    return schema_fault(_schema(wanted.expect))


JSON_SCHEMA = Scorer(
    "json_schema",
    "The answer is JSON and valid by the JSON schema in `expect`; without one, any JSON.",
    SchemaOptions,
    _json_schema,
    _schema_fault,
    needs_expect=False,
)
