"""promptfoo: prompts x tests of a configuration, or a file of tests alone (YAML, JSON, JSON lines, CSV).

Every test is put into every prompt. Nothing is run and nothing is fetched: providers are not looked at, and what would
run code is refused with its line.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, cast

from tidegate.quality.formats.lined import Lined, LinedList
from tidegate.quality.formats.messages import messages_of
from tidegate.quality.formats.nunjucks import TemplateRefused, names_in, render
from tidegate.quality.formats.promptfoo_assertions import (
    CODE_SUFFIXES,
    Scene,
    assertion_of_cell,
    file_value,
    filled,
    scorers_of,
)
from tidegate.quality.formats.reading import Place, Reading, Row, RowRefused, object_of
from tidegate.quality.formats.rows import csv_rows, json_items, json_lines
from tidegate.quality.formats.values import value_of

MAX_EXPANSIONS = 10_000
SEPARATOR = re.compile(r"^---\s*$", re.MULTILINE)
CODE_KEYS = ("nunjucksFilters", "extensions")
TEST_CODE = ("transform", "postprocess", "transformVars")
USUAL_VARIABLES = ("prompt", "input", "question", "query")
NO_ASSERTION = "tests without an assertion are left out: nothing would be scored"


@dataclass(frozen=True)
class _Prompt:
    label: str
    text: str
    place: Place


@dataclass(frozen=True)
class _Test:
    data: Mapping[str, Any]
    place: Place
    file: Path


def read_promptfoo(reading: Reading) -> None:
    """Add every test of the file, in every prompt, to the reading."""
    path = reading.path
    if path.suffix.lower() in (".csv", ".jsonl", ".ndjson"):
        _read_tests_alone(reading, _tests_of_file(reading, path))
        return
    value = value_of(reading, path)
    if isinstance(value, LinedList):
        _read_tests_alone(
            reading, (_Test(row.data, row.place, path) for row in json_items(reading, path, value))
        )
        return
    if not isinstance(value, Lined):
        reading.stop(path, 1, "the file must hold a promptfoo configuration or a list of tests")
    if not {"prompts", "tests", "defaultTest"} & value.keys():
        _read_tests_alone(reading, iter([_Test(value, Place(str(path), value.line), path)]))
        return
    for key in (*CODE_KEYS, "scenarios"):
        if value.get(key):
            what = "runs code" if key in CODE_KEYS else "expands tests in a way that is not read"
            reading.refuse(RowRefused(Place(str(path), value.line_of(key)), f"'{key}' {what}"))
    _read_configuration(reading, value)


def _read_configuration(reading: Reading, value: Lined) -> None:
    path = reading.path
    place = Place(str(path), value.line_of("prompts"))
    try:
        prompts = list(_prompts(reading, value.get("prompts", ["{{prompt}}"]), place))
        default = _default(reading, value)
    except RowRefused as problem:
        reading.refuse(problem)
        return
    tests = _tests(reading, value.get("tests"), Place(str(path), value.line_of("tests")))
    _combine(reading, prompts, tests, default, cast("dict[str, Any]", value.get("assertionTemplates") or {}))


def _default(reading: Reading, value: Lined) -> Mapping[str, Any]:
    found: Any = value.get("defaultTest") or {}
    place = Place(str(reading.path), value.line_of("defaultTest"))
    if isinstance(found, str):
        found = value_of(reading, reading.local(found.removeprefix("file://"), reading.path, place))
    return object_of(found, "defaultTest", place)


def _read_tests_alone(reading: Reading, tests: Iterator[_Test]) -> None:
    """Tests without prompts: the caller's template, or the one variable that is plainly the prompt."""
    found = list(tests)
    template = reading.options.prompt
    if template is None:
        names = {name for test in found for name in cast("dict[str, Any]", test.data.get("vars") or {})}
        usual = [name for name in USUAL_VARIABLES if name in names] or (
            sorted(names) if len(names) == 1 else []
        )
        if not usual:
            if found:
                listed = ", ".join(sorted(names)) or "none"
                reason = f"these tests come without prompts (variables: {listed}); give a template (--prompt)"
                reading.refuse(RowRefused(found[0].place, reason))
            return
        template = f"{{{{ {usual[0]} }}}}"
        reading.note(f"the file has no prompts: '{template}' is asked")
    prompt = _Prompt("prompt", template, Place(str(reading.path), 1))
    _combine(reading, [prompt], iter(found), {}, {})


def _prompts(reading: Reading, value: Any, place: Place) -> Iterator[_Prompt]:
    entries = cast("list[Any]", value) if isinstance(value, list) else [value]
    for at, entry in enumerate(entries):
        here = Place(place.file, value.line_at(at)) if isinstance(value, LinedList) else place
        label = ""
        if isinstance(entry, dict):
            fields = cast("dict[str, Any]", entry)
            label = str(fields.get("label") or "")
            entry = fields.get("raw", fields.get("id"))
        if not isinstance(entry, str) or not entry.strip():
            raise RowRefused(here, "a prompt must be text or the name of a file")
        yield from _prompt(reading, entry, label or f"p{at + 1}", here)


def _prompt(reading: Reading, entry: str, label: str, place: Place) -> Iterator[_Prompt]:
    name = entry.removeprefix("file://")
    is_file = entry.startswith("file://") or (
        "\n" not in entry
        and "{{" not in entry
        and Path(name.partition(":")[0]).suffix.lower()
        in (".txt", ".md", ".json", ".yaml", ".yml", *CODE_SUFFIXES)
    )
    if not is_file:
        yield _Prompt(label, entry, place)
        return
    if Path(name.partition(":")[0]).suffix.lower() in CODE_SUFFIXES:
        raise RowRefused(place, f"the prompt '{entry}' is code, which a bank may not run")
    for number, path in enumerate(reading.locals(name, reading.path, place), start=1):
        yield from _prompts_of_file(reading, path, label if number == 1 else f"{label}-{number}")


def _prompts_of_file(reading: Reading, path: Path, label: str) -> Iterator[_Prompt]:
    if path.suffix.lower() in CODE_SUFFIXES:
        raise RowRefused(Place(str(path), 1), "this prompt is code, which a bank may not run")
    if path.suffix.lower() in (".yaml", ".yml"):
        yield _Prompt(label, json.dumps(value_of(reading, path)), Place(str(path), 1))
        return
    text = reading.text(path)
    parts = SEPARATOR.split(text) if path.suffix.lower() == ".txt" else [text]
    parts = [part.strip() for part in parts if part.strip()]
    for number, part in enumerate(parts, start=1):
        yield _Prompt(label if len(parts) == 1 else f"{label}.{number}", part, Place(str(path), 1))


def _tests(reading: Reading, value: Any, place: Place) -> Iterator[_Test]:
    """Tests that stand in the configuration or in local files."""
    if value is None:
        return
    entries: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value]
    for at, entry in enumerate(entries):
        here = Place(place.file, value.line_at(at)) if isinstance(value, LinedList) else place
        try:
            if isinstance(entry, dict) and "path" in entry and "vars" not in entry:
                entry = cast("dict[str, Any]", entry)["path"]
            if isinstance(entry, str):
                name = entry.removeprefix("file://")
                if Path(name.partition(":")[0]).suffix.lower() in CODE_SUFFIXES:
                    raise RowRefused(here, f"'{entry}' is code, which a bank may not run")
                for path in reading.locals(name, reading.path, here):
                    yield from _tests_of_file(reading, path)
            elif isinstance(entry, dict):
                yield _Test(cast("dict[str, Any]", entry), here, reading.path)
            else:
                raise RowRefused(here, "a test must be an object or the name of a file")
        except RowRefused as problem:
            reading.refuse(problem)


def _tests_of_file(reading: Reading, path: Path) -> Iterator[_Test]:
    suffix = path.suffix.lower()
    if suffix == ".csv":
        yield from (_Test(_test_of_cells(row), row.place, path) for row in csv_rows(reading, path))
        return
    rows = (
        json_lines(reading, path)
        if suffix in (".jsonl", ".ndjson")
        else json_items(reading, path, value_of(reading, path))
    )
    yield from (_Test(row.data, row.place, path) for row in rows)


def _test_of_cells(row: Row) -> dict[str, Any]:
    """A row of a table: columns are variables, those with two underscores are assertions and settings."""
    variables: dict[str, Any] = {}
    asserts: list[dict[str, Any]] = []
    test: dict[str, Any] = {"vars": variables, "assert": asserts, "options": {}, "metadata": {}}
    for name, cell in row.data.items():
        if name.startswith("__expected"):
            if cell.strip():
                asserts.append(assertion_of_cell(cell) | {"column": name})
        elif name in ("__prefix", "__suffix"):
            test["options"][name[2:]] = cell
        elif name in ("__description", "__metric", "__threshold", "__providerOutput"):
            if cell.strip():
                test[name[2:]] = cell
        elif name.startswith("__metadata:"):
            key = name.removeprefix("__metadata:")
            is_list = key.endswith("[]")
            test["metadata"][key.removesuffix("[]")] = _listed(cell) if is_list else cell
        elif name.startswith("__config:"):
            _configure(asserts, name.removeprefix("__config:"), cell)
        else:
            variables[name] = cell
    for assertion in asserts:
        assertion.pop("column", None)
        if test.get("metric"):
            assertion["metric"] = test["metric"]
    return test


def _listed(cell: str) -> list[str]:
    """Parted by commas, except those behind a backslash."""
    return [part.replace("\\,", ",").strip() for part in re.split(r"(?<!\\),", cell)]


def _configure(asserts: list[dict[str, Any]], name: str, cell: str) -> None:
    """`__config:__expected2:threshold` sets something of one column's assertion, `__expected` of all."""
    column, _, key = name.partition(":")
    for assertion in asserts:
        if cell.strip() and key and (column == "__expected" or assertion.get("column") == column):
            assertion[key] = cell.strip()


def _combine(
    reading: Reading,
    prompts: list[_Prompt],
    tests: Iterator[_Test],
    default: Mapping[str, Any],
    templates: Mapping[str, Any],
) -> None:
    for number, test in enumerate(tests, start=1):
        for prompt in prompts:
            name = f"test-{number}" if len(prompts) == 1 else f"{prompt.label}-test-{number}"
            try:
                _add(reading, prompt, test, default, templates, name, f"test-{number}", len(prompts))
            except RowRefused as problem:
                reading.refuse(problem)
                break


def _add(
    reading: Reading,
    prompt: _Prompt,
    test: _Test,
    default: Mapping[str, Any],
    templates: Mapping[str, Any],
    name: str,
    cluster: str,
    prompts: int,
) -> None:
    options = {**_part(default, "options", test.place), **_part(test.data, "options", test.place)}
    if code := next((key for key in TEST_CODE if options.get(key)), ""):
        raise RowRefused(test.place, f"'{code}' runs code, which a bank may not")
    if test.data.get("assertScoringFunction") or test.data.get("providerOutput"):
        raise RowRefused(test.place, "a scoring function or a fixed output of a provider is not read")
    scene = Scene(reading, test.file, test.place, {}, templates)
    variables = {**_variables(default, scene), **_variables(test.data, scene)}
    sets = list(_expanded(variables, test.place))
    for number, one in enumerate(sets, start=1):
        here = Scene(reading, test.file, test.place, _settled(one, test.place), templates)
        scorers = scorers_of(default.get("assert") or [], here) + scorers_of(
            test.data.get("assert") or [], here
        )
        if not scorers:
            reading.note(NO_ASSERTION)
            continue
        fields = _question(prompt, here, options)
        fields |= {"id": name if len(sets) == 1 else f"{name}-{number}", "scorers": scorers}
        if len(sets) > 1 or prompts > 1:
            fields["cluster"] = cluster
        threshold = test.data.get("threshold", default.get("threshold"))
        if threshold is not None:
            fields["threshold"] = threshold
        fields |= _described(test, default)
        reading.add(fields, test.place)


def _part(data: Mapping[str, Any], name: str, place: Place) -> dict[str, Any]:
    return object_of(data.get(name) or {}, name, place)


def _variables(data: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    """Variables, with those that name a local file read from it."""
    given: Any = data.get("vars") or {}
    if isinstance(given, str):
        given = file_value(given, scene)
    found: dict[str, Any] = {}
    for name, value in object_of(given, "vars", scene.place).items():
        is_file = isinstance(value, str) and value.startswith("file://")
        found[name] = file_value(str(value), scene) if is_file else value
    return found


def _expanded(variables: Mapping[str, Any], place: Place) -> Iterator[dict[str, Any]]:
    """One set of variables for each combination of those that are lists."""
    names = [name for name, value in variables.items() if isinstance(value, list)]
    sizes = 1
    for name in names:
        sizes *= max(1, len(variables[name]))
    if sizes > MAX_EXPANSIONS:
        raise RowRefused(place, f"its lists of variables make more than {MAX_EXPANSIONS} questions")
    for chosen in product(*(variables[name] for name in names)):
        yield {**variables, **dict(zip(names, chosen, strict=True))}


def _settled(variables: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """Variables may use other variables, one level deep."""
    try:
        return {
            name: filled(value, variables) if isinstance(value, str) and "{{" in value else value
            for name, value in variables.items()
        }
    except TemplateRefused as problem:
        raise RowRefused(place, str(problem)) from problem


def _question(prompt: _Prompt, scene: Scene, options: Mapping[str, Any]) -> dict[str, Any]:
    """The prompt with its variables filled in: text, or messages where it is a JSON list of them."""
    place = scene.place
    try:
        turns = _conversation(prompt.text)
        if turns is not None:
            return {"messages": messages_of(filled(turns, scene.variables), "messages", place)}
        text = render(prompt.text, scene.variables)
    except TemplateRefused as problem:
        missing = sorted(names_in(prompt.text) - scene.variables.keys())
        hint = f" (the prompt of {prompt.place} uses {', '.join(missing)})" if missing else ""
        raise RowRefused(place, f"{problem}{hint}") from problem
    turns = _conversation(text)
    if turns is not None:
        return {"messages": messages_of(turns, "messages", place)}
    text = f"{options.get('prefix') or ''}{text}{options.get('suffix') or ''}"
    if not text.strip():
        raise RowRefused(place, "the prompt is empty")
    return {"prompt": text}


def _conversation(text: str) -> list[Any] | None:
    """The messages of a prompt that is a JSON list of them."""
    if not text.lstrip().startswith("["):
        return None
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    turns = cast("list[Any]", found) if isinstance(found, list) else []
    return turns if turns and all(isinstance(turn, dict) and "role" in turn for turn in turns) else None


def _described(test: _Test, default: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {**_part(default, "metadata", test.place), **_part(test.data, "metadata", test.place)}
    if test.data.get("description"):
        metadata["description"] = str(test.data["description"])
    found: dict[str, Any] = {"metadata": metadata} if metadata else {}
    topic = metadata.get("topic") or metadata.get("category")
    if isinstance(topic, str) and topic:
        found["topic"] = topic
    tags = metadata.get("tags")
    if isinstance(tags, list):
        found["tags"] = [str(tag) for tag in cast("list[Any]", tags)]
    return found
