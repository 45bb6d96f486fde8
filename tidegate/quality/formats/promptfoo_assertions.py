"""Assertions of promptfoo as our scorers.

What differs is said in a note: `similar` compares embeddings there and characters here; latency and cost are measured
by the load benchmark; `llm-rubric` and its kin become the scorer `judge`, which never decides a gate alone. Assertions
that run code are refused.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tidegate.quality.formats.lined import BadText, line_of, parse_yaml_lined, plain
from tidegate.quality.formats.nunjucks import TemplateRefused, render
from tidegate.quality.formats.reading import Place, Reading, RowRefused, list_of, object_of

RUNS_CODE = frozenset(
    {"javascript", "python", "ruby", "webhook", "shell", "exec", "fn", "eval", "agent-rubric", "script"}
)
MEASURED_ELSEWHERE = frozenset({"latency", "cost", "perplexity", "perplexity-score"})
JUDGED = frozenset({"llm-rubric", "g-eval", "model-graded-closedqa", "model-graded-factuality", "factuality"})
SIMILAR_NOTE = (
    "'similar' compares embeddings in promptfoo; here it is chrF from 0.5 on, whatever threshold it names"
)
ROUGE_NOTE = "'rouge-n' is scored as ROUGE-1 recall, as promptfoo's library does"
JUDGE_NOTE = "assertions graded by a model become the scorer 'judge': asked only where a run names a judge"
ELSEWHERE_NOTE = "assertions on latency, cost or perplexity are left out: the load benchmark measures them"
DEFAULT_DISTANCE, DEFAULT_ROUGE = 5, 0.75
MAX_NESTING = 3
CODE_SUFFIXES = (".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".py", ".rb", ".sh")


@dataclass(frozen=True)
class Scene:
    """Where an assertion stands, and what its values may use."""

    reading: Reading
    file: Path
    place: Place
    variables: Mapping[str, Any]
    templates: Mapping[str, Any]

    def at(self, value: Any) -> "Scene":
        line = line_of(value, self.place.line)
        return Scene(self.reading, self.file, Place(self.place.file, line), self.variables, self.templates)


def scorers_of(assertions: Any, scene: Scene, depth: int = 0) -> list[dict[str, Any]]:
    """The scorers of a list of assertions. Raises: RowRefused."""
    found: list[dict[str, Any]] = []
    for entry in list_of(assertions, "assert", scene.place):
        here = scene.at(entry)
        assertion = _resolved(object_of(entry, "assert", here.place), here)
        spec = _scorer(assertion, here, depth)
        if spec is not None:
            found.append(spec)
    return found


def _resolved(assertion: dict[str, Any], scene: Scene) -> dict[str, Any]:
    """An assertion, or the template of the same file that it refers to."""
    target = assertion.get("$ref")
    if target is None:
        return assertion
    name = str(target).removeprefix("#/assertionTemplates/")
    if name not in scene.templates:
        raise RowRefused(scene.place, f"'{target}' names no assertion template of this file")
    return object_of(scene.templates[name], f"assertionTemplates.{name}", scene.place)


def _scorer(assertion: Mapping[str, Any], scene: Scene, depth: int) -> dict[str, Any] | None:
    kind = str(assertion.get("type", ""))
    base = kind.removeprefix("not-")
    if base in RUNS_CODE or any(assertion.get(name) for name in ("transform", "contextTransform")):
        what = f"'{kind}'" if base in RUNS_CODE else "'transform'"
        raise RowRefused(scene.place, f"{what} runs code, which a bank may not; use another assertion")
    if base in MEASURED_ELSEWHERE:
        scene.reading.note(ELSEWHERE_NOTE)
        return None
    shared: dict[str, Any] = {}
    if kind != base:
        shared["not"] = True
    if assertion.get("weight") is not None:
        shared["weight"] = _number(assertion["weight"], "weight", scene.place)
    if assertion.get("metric"):
        shared["metric"] = _filled(str(assertion["metric"]), scene)
    if base == "assert-set":
        return shared | _set(assertion, scene, depth)
    if base not in MADE:
        raise RowRefused(
            scene.place, f"the assertion '{kind}' is not read; there are {', '.join(sorted(KNOWN))}"
        )
    return shared | MADE[base](assertion, scene, base)


def _set(assertion: Mapping[str, Any], scene: Scene, depth: int) -> dict[str, Any]:
    if depth >= MAX_NESTING:
        raise RowRefused(scene.place, f"assertion sets are nested more than {MAX_NESTING} deep")
    inner = scorers_of(assertion.get("assert"), scene, depth + 1)
    if not inner:
        raise RowRefused(
            scene.place, "nothing is left of this assertion set once latency and cost are left out"
        )
    made: dict[str, Any] = {"name": "group", "scorers": inner}
    if assertion.get("threshold") is not None:
        made["threshold"] = _number(assertion["threshold"], "threshold", scene.place)
    return made


_Assertion = Mapping[str, Any]


def _equals(assertion: _Assertion, scene: Scene, base: str) -> dict[str, Any]:
    del base
    value = _value(assertion, scene)
    if isinstance(value, dict | list):
        return {"name": "json", "expect": json.dumps(value, ensure_ascii=False)}
    return {"name": "exact", "expect": _text(value, scene)}


def _contains(assertion: _Assertion, scene: Scene, base: str) -> dict[str, Any]:
    value = _value(assertion, scene)
    options: dict[str, Any] = {"ignore_case": base.startswith("i")}
    if base.endswith(("-any", "-all")):
        values = comma_separated(value, scene.place) if isinstance(value, str) else value
        options["all"] = base.endswith("-all")
        expect: Any = [_text(one, scene) for one in list_of(values, "value", scene.place)]
    else:
        expect = _text(value, scene)
    return {"name": "contains", "expect": expect, "options": options}


def _edge(assertion: _Assertion, scene: Scene, base: str) -> dict[str, Any]:
    return {"name": base.replace("-", "_"), "expect": _text(_value(assertion, scene), scene)}


def _regex(assertion: _Assertion, scene: Scene, base: str) -> dict[str, Any]:
    return {"name": base, "expect": _text(_value(assertion, scene), scene)}


def _schema(assertion: _Assertion, scene: Scene, base: str) -> dict[str, Any]:
    value = _value(assertion, scene)
    if isinstance(value, str) and value.strip():
        try:
            value = plain(parse_yaml_lined(value))
        except BadText as problem:
            raise RowRefused(scene.place, f"the JSON schema cannot be read: {problem.reason}") from problem
    where = "whole" if base == "is-json" else "anywhere"
    # An empty schema: any JSON. Without an own `expect` the scorer would take the question's.
    return {"name": "json_schema", "expect": value or {}, "options": {"where": where}}


def _levenshtein(assertion: _Assertion, scene: Scene, base: str) -> dict[str, Any]:
    most = _number(assertion.get("threshold") or DEFAULT_DISTANCE, "threshold", scene.place)
    return {
        "name": base,
        "expect": _text(_value(assertion, scene), scene),
        "options": {"max_distance": int(most)},
    }


def _rouge(assertion: _Assertion, scene: Scene, base: str) -> dict[str, Any]:
    del base
    scene.reading.note(ROUGE_NOTE)
    threshold = assertion.get("threshold")
    return {
        "name": "similarity",
        "expect": _text(_value(assertion, scene), scene),
        "options": {"metric": "rouge1", "measure": "recall"},
        "threshold": DEFAULT_ROUGE if threshold is None else _number(threshold, "threshold", scene.place),
    }


def _similar(assertion: _Assertion, scene: Scene, base: str) -> dict[str, Any]:
    del base
    scene.reading.note(SIMILAR_NOTE)
    value = _value(assertion, scene)
    expect: Any = _texts(value, scene) if isinstance(value, list) else _text(value, scene)
    return {"name": "similarity", "expect": expect, "options": {"metric": "chrf"}}


def _judge(assertion: _Assertion, scene: Scene, base: str) -> dict[str, Any]:
    scene.reading.note(JUDGE_NOTE)
    value = _value(assertion, scene)
    rubric = "\n".join(_texts(value, scene)) if isinstance(value, list) else _text(value, scene)
    if "factuality" in base:
        rubric = f"The answer must agree in its facts with this reference: {rubric}"
    made: dict[str, Any] = {"name": "judge", "expect": rubric}
    if assertion.get("threshold") is not None:
        made["threshold"] = _number(assertion["threshold"], "threshold", scene.place)
    return made


def _refusal(assertion: _Assertion, scene: Scene, base: str) -> dict[str, Any]:
    del assertion, scene, base
    return {"name": "refusal"}


def _finish(assertion: _Assertion, scene: Scene, base: str) -> dict[str, Any]:
    del base
    return {"name": "finish", "options": {"allowed": [_text(_value(assertion, scene), scene)]}}


def _words(assertion: _Assertion, scene: Scene, base: str) -> dict[str, Any]:
    value = _value(assertion, scene)
    unit = base.removesuffix("-count") + "s"
    limits: dict[str, int]
    if isinstance(value, dict):
        given = cast("dict[str, Any]", value)
        limits = {key: int(_number(given[key], key, scene.place)) for key in ("min", "max") if key in given}
    else:
        limits = dict.fromkeys(("min", "max"), int(_number(value, "value", scene.place)))
    options: dict[str, Any] = {"unit": unit, **limits}
    return {"name": "length", "options": options}


MADE: dict[str, Callable[[_Assertion, Scene, str], dict[str, Any]]] = {
    "equals": _equals,
    **dict.fromkeys(
        ("contains", "icontains", "contains-any", "icontains-any", "contains-all", "icontains-all"), _contains
    ),
    "starts-with": _edge,
    "ends-with": _edge,
    "regex": _regex,
    "is-json": _schema,
    "contains-json": _schema,
    "levenshtein": _levenshtein,
    "rouge-n": _rouge,
    "similar": _similar,
    "is-refusal": _refusal,
    "finish-reason": _finish,
    "word-count": _words,
    "character-count": _words,
    **dict.fromkeys(JUDGED, _judge),
}
KNOWN = {*MADE, "assert-set", *MEASURED_ELSEWHERE}


def _value(assertion: Mapping[str, Any], scene: Scene) -> Any:
    """The value with its variables filled in, read from a local file where it names one."""
    value = assertion.get("value")
    if isinstance(value, str) and value.startswith("file://"):
        return _filled(file_value(value, scene), scene)
    return _filled(value, scene)


def file_value(name: str, scene: Scene) -> Any:
    """What a local file holds: JSON and YAML as values, the rest as text. Raises: RowRefused."""
    path = scene.reading.local(name.removeprefix("file://"), scene.file, scene.place)
    if path.suffix.lower() in CODE_SUFFIXES:
        raise RowRefused(scene.place, f"'{name}' is code, which a bank may not run")
    text = scene.reading.text(path)
    if path.suffix.lower() not in (".json", ".yaml", ".yml"):
        return text.strip("\n")
    try:
        return plain(parse_yaml_lined(text) if path.suffix.lower() != ".json" else json.loads(text))
    except BadText as problem:
        raise RowRefused(Place(str(path), problem.line), problem.reason) from problem
    except ValueError as problem:
        raise RowRefused(Place(str(path), 1), f"this is not JSON: {problem}") from problem


def _filled(value: Any, scene: Scene) -> Any:
    try:
        return filled(value, scene.variables)
    except TemplateRefused as problem:
        raise RowRefused(scene.place, str(problem)) from problem


def filled(value: Any, variables: Mapping[str, Any]) -> Any:
    """A value with the variables in all of its texts filled in. Raises: TemplateRefused."""
    if isinstance(value, str):
        return render(value, variables)
    if isinstance(value, list):
        return [filled(item, variables) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: filled(item, variables) for key, item in cast("dict[str, Any]", value).items()}
    return value


def _text(value: Any, scene: Scene) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if not isinstance(value, str) or not value:
        raise RowRefused(scene.place, "value: must be text or a number, and not empty")
    return value


def _texts(values: Any, scene: Scene) -> list[str]:
    return [_text(one, scene) for one in cast("list[Any]", values)]


def _number(value: Any, name: str, place: Place) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise RowRefused(place, f"{name}: '{value}' is not a number") from error


def comma_separated(value: str, place: Place) -> list[str]:
    """`a, "b, c", d` as promptfoo parts it."""
    pattern = re.compile(r'[\s,]*(?:"((?:[^"\\]|\\.|"")*)"\s*(?=,|$)|([^",][^,]*))')
    found: list[str] = []
    at = 0
    while at < len(value.rstrip(" ,\t\n")):
        match = pattern.match(value, at)
        if match is None or match.end() == at:
            raise RowRefused(place, f"value: '{value[at : at + 40]}' is not a list parted by commas")
        quoted, bare = match.groups()
        found.append(
            re.sub(r'\\(["\\])|""', lambda m: m.group(1) or '"', quoted)
            if quoted is not None
            else bare.strip()
        )
        at = match.end()
    return found


_CELL = re.compile(r"^(not-)?([a-z][a-z-]*)(?:\((\d+(?:\.\d+)?)\))?(?::([\s\S]*))?$")
_BASES = {*KNOWN, *RUNS_CODE, "similar"} - {"assert-set"}


def assertion_of_cell(text: str) -> dict[str, Any]:
    """An `__expected` cell of a table: `contains: Paris`, `similar(0.8): Hello`, or the plain expected text."""
    text = text.strip()
    first = text.partition(":")[0]
    if first in ("fn", "eval", "javascript", "python") or text.startswith("file://"):
        return {"type": "javascript" if first != "python" else "python"}
    if first == "grade":
        return {"type": "llm-rubric", "value": text.partition(":")[2].strip()}
    match = _CELL.match(text)
    if match is None or match.group(2) not in _BASES:
        return {"type": "equals", "value": text}
    negated, base, threshold, value = match.groups()
    made: dict[str, Any] = {"type": f"{negated or ''}{base}"}
    if value is not None:
        made["value"] = value.strip()
    if threshold is not None:
        made["threshold"] = float(threshold)
    return made
