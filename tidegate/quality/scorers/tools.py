"""Tool calls: was the right function asked for, with the right arguments?"""

from typing import Any, Literal, cast

from tidegate.quality.results import Answer
from tidegate.quality.scorers.kinds import Mark, Options, Scorer, Wanted, binary, options_of
from tidegate.quality.scorers.schemas import SchemaTooCostly, first_violation, schema_fault
from tidegate.quality.scorers.structured import JsonOptions, is_same, json_values, parse_json

NOT_JSON = "arguments-not-json"


class ToolOptions(Options):
    arguments: Literal["exact", "subset", "schema", "ignore"] = "exact"
    """`subset`: what is expected must be there, more may be. `schema`: the expected arguments are a JSON schema."""
    calls: Literal["one", "all"] = "one"
    """`one`: exactly one call, equal to one of the expected. `all`: each expected call once, and no other."""
    in_order: bool = False
    """With `all`: in the order of `expect`."""
    from_text: bool = False
    """Also read calls that the model wrote into its text, as JSON objects with `name` and `arguments`."""


def _tool_call(wanted: Wanted[ToolOptions], answer: Answer) -> Mark:
    options = wanted.options
    given = _given(answer, from_text=options.from_text)
    if not given:
        return binary(False, "no tool was called")
    if any(call is None for call in given):
        return Mark(0.0, False, "the arguments of a call are not a JSON object", (NOT_JSON,))
    calls = [call for call in given if call is not None]
    expected = [_expected(entry) for entry in options_of(wanted.expect)] or _declared(wanted)
    try:
        if options.calls == "one" or not wanted.expect:
            return _one(calls, expected, options, is_any=not wanted.expect)
        return _all(calls, expected, options)
    except (SchemaTooCostly, TimeoutError, RecursionError) as error:
        return Mark(0.0, False, str(error) or "nested too deeply", ("schema-too-costly",))


_Call = tuple[str, dict[str, Any]]


def _one(calls: list[_Call], expected: list[_Call], options: ToolOptions, *, is_any: bool) -> Mark:
    if len(calls) > 1 and not is_any:
        return binary(False, f"{len(calls)} calls were made, one is expected")
    how = "schema" if is_any else options.arguments
    for call in calls:
        if not any(_matches(call, entry, how) for entry in expected):
            return binary(False, f"it called {call[0]} otherwise than expected")
    return binary(True)


def _all(calls: list[_Call], expected: list[_Call], options: ToolOptions) -> Mark:
    if len(calls) != len(expected):
        return binary(False, f"{len(calls)} calls were made, {len(expected)} are expected")
    if options.in_order:
        pairs = zip(calls, expected, strict=True)
        return binary(all(_matches(call, entry, options.arguments) for call, entry in pairs), "another call")
    left = list(expected)
    for call in calls:
        place = next((n for n, entry in enumerate(left) if _matches(call, entry, options.arguments)), None)
        if place is None:
            return binary(False, f"it called {call[0]} otherwise than expected")
        del left[place]
    return binary(True)


def _matches(call: _Call, expected: _Call, how: str) -> bool:
    if call[0] != expected[0]:
        return False
    if how == "ignore":
        return True
    if how == "schema":
        return not first_violation(call[1], expected[1])
    return is_same(call[1], expected[1], JsonOptions(subset=how == "subset"))


def _given(answer: Answer, *, from_text: bool) -> list[_Call | None]:
    """Calls of an answer; None stands for one whose arguments cannot be read."""
    calls: list[_Call | None] = []
    for call in answer.tool_calls:
        is_json, arguments = parse_json(call.arguments or "{}")
        is_object = is_json and isinstance(arguments, dict)
        calls.append((call.name, cast("dict[str, Any]", arguments)) if is_object else None)
    if not calls and from_text:
        for value in json_values(answer.text, "anywhere"):
            entries = cast("list[Any]", value) if isinstance(value, list) else [value]
            calls.extend(_expected(entry) for entry in entries if _is_call(entry))
    return calls


def _is_call(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    call = cast("dict[str, Any]", entry)
    return isinstance(call.get("name"), str) and isinstance(call.get("arguments", {}), dict)


def _expected(entry: Any) -> _Call:
    call = cast("dict[str, Any]", entry)
    return str(call["name"]), cast("dict[str, Any]", call.get("arguments") or {})


def _declared(wanted: Wanted[ToolOptions]) -> list[_Call]:
    """Name and parameter schema of the tools that the question offers."""
    found: list[_Call] = []
    for tool in wanted.tools:
        function = cast("dict[str, Any]", tool.get("function", tool))
        found.append(
            (str(function.get("name", "")), cast("dict[str, Any]", function.get("parameters") or {}))
        )
    return found


def _fault(wanted: Wanted[ToolOptions]) -> str:
    if wanted.expect is None:
        declared = _declared(wanted)
        if not declared or any(not name for name, _ in declared):
            return "expect is missing, and the question offers no tools with names"
        return next((fault for _, schema in declared if (fault := schema_fault(schema))), "")
    for entry in options_of(wanted.expect):
        if not _is_call(entry):
            return "expect must be {name, arguments} or a list of these"
        if wanted.options.arguments == "schema" and (fault := schema_fault(_expected(entry)[1])):
            return fault
    return "" if options_of(wanted.expect) else "expect is empty"


TOOL_CALL = Scorer(
    "tool_call",
    "The expected tool is called with the expected arguments; without `expect`, any offered tool by its own schema.",
    ToolOptions,
    _tool_call,
    _fault,
    needs_expect=False,
)
