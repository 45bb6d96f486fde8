"""Tasks of lm-evaluation-harness: YAML with local data, text generated until a stop or chosen among answers.

Likelihood tasks are refused: llama-server gives no log-probabilities of a prompt, and a score made without them is
chance. `!function` is refused with its line. Nothing is downloaded.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tidegate.quality.formats.jinja_templates import TemplateRefused, Templates
from tidegate.quality.formats.lined import Lined
from tidegate.quality.formats.lm_eval_data import split_rows
from tidegate.quality.formats.reading import Place, Reading, Row, RowRefused, list_of, object_of
from tidegate.quality.formats.values import value_of
from tidegate.quality.scorers.choices import LETTERS

GENERATE, CHOOSE = "generate_until", "multiple_choice"
LIKELIHOODS = ("loglikelihood", "loglikelihood_rolling")
MAX_INCLUDES = 10
MAX_FEWSHOT = 64
IMPOSSIBLE = (
    "class",
    "process_docs",
    "process_results",
    "doc_to_image",
    "doc_to_audio",
    "use_prompt",
    "gen_prefix",
    "custom_dataset",
)
EXACT_OPTIONS = {
    "ignore_case": "ignore_case",
    "ignore_punctuation": "ignore_punctuation",
    "ignore_numbers": "ignore_numbers",
    "regexes_to_ignore": "ignore",
}
SIMILAR = {"rouge1": "rouge1", "rouge2": "rouge2", "rougeL": "rougeL", "rouge_l": "rougeL", "chrf": "chrf"}
CHOICE_NOTE = (
    "lm-eval compares the likelihood of each answer's text; here the model is asked for the letter, "
    "and the letters' first-token probabilities are compared"
)
ONE_ANSWER_NOTE = "each question is asked once, so that a majority vote is the vote of one"
SAMPLING_NOTE = "sampling settings of the task are not used: banks are asked with temperature 0"


@dataclass(frozen=True)
class _Task:
    """A task and what its rows are made with."""

    config: Lined
    reading: Reading
    templates: Templates
    scorers: list[dict[str, Any]]
    filters: list[dict[str, Any]]
    fields: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.config.get("task") or self.reading.path.stem)


def read_lm_eval(reading: Reading) -> None:
    """Add every document of the task's test split to the reading."""
    config = _with_includes(reading, reading.path, 0)
    place = Place(str(reading.path), config.line)
    try:
        _check(config, reading)
        is_choice = config.get("output_type", GENERATE) == CHOOSE
        task = _Task(
            config,
            reading,
            Templates(),
            [] if is_choice else _metrics(config, reading),
            [] if is_choice else _filters(config, reading),
            _shared(config, reading),
        )
        shots = _fewshot(task)
        rows = split_rows(reading, config, _split(config, reading))
    except RowRefused as problem:
        reading.refuse(problem)
        return
    if is_choice:
        reading.note(CHOICE_NOTE)
    made = 0
    for number, row in enumerate(rows, start=1):
        made += 1
        try:
            fields = _chosen(task, row, shots) if is_choice else _generated(task, row, shots)
            reading.add({"id": f"{task.name}-{number}", **task.fields, **fields}, row.place)
        except RowRefused as problem:
            reading.refuse(problem)
        except TemplateRefused as problem:
            reading.refuse(RowRefused(row.place, str(problem)))
    if not made and not reading.problems:
        reading.refuse(RowRefused(place, "the data of this task hold no document"))


def _with_includes(reading: Reading, path: Path, depth: int) -> Lined:
    """The task with the local files that it includes; what it says itself goes before them."""
    value = value_of(reading, path, is_old=True)
    if not isinstance(value, Lined):
        reading.stop(path, 1, "the file must hold one task")
    included = value.get("include")
    if included is None:
        return value
    place = Place(str(path), value.line_of("include"))
    if depth >= MAX_INCLUDES:
        reading.stop(path, place.line, f"files include each other more than {MAX_INCLUDES} deep")
    merged = Lined()
    merged.line, merged.lines = value.line, {}
    names = cast("list[Any]", included) if isinstance(included, list) else [included]
    try:
        for name in names:
            part = _with_includes(reading, reading.local(str(name), path, place), depth + 1)
            merged.update(part)
            merged.lines.update(dict.fromkeys(part, place.line))
    except RowRefused as problem:
        reading.stop(path, problem.place.line, problem.reason)
    merged.update(value)
    merged.lines.update(value.lines)
    return merged


def _at(config: Lined, key: str, reading: Reading) -> Place:
    return Place(str(reading.path), config.line_of(key))


def _check(config: Lined, reading: Reading) -> None:
    kind = config.get("output_type", GENERATE)
    if kind in LIKELIHOODS:
        reason = (
            f"output_type '{kind}' needs log-probabilities of the prompt, which llama-server does not give; "
            "a score without them would be chance"
        )
        raise RowRefused(_at(config, "output_type", reading), reason)
    if kind not in (GENERATE, CHOOSE):
        raise RowRefused(_at(config, "output_type", reading), f"output_type '{kind}' is unknown")
    if isinstance(config.get("task"), list) or config.get("group"):
        raise RowRefused(_at(config, "task", reading), "a group of tasks is not read; name one task")
    for key in IMPOSSIBLE:
        if config.get(key):
            raise RowRefused(_at(config, key, reading), f"'{key}' is not read")
    for key in ("doc_to_text", "doc_to_target", *(["doc_to_choice"] if kind == CHOOSE else [])):
        if config.get(key) is None:
            raise RowRefused(Place(str(reading.path), config.line), f"'{key}' is missing")


def _split(config: Lined, reading: Reading) -> str:
    for key in ("test_split", "validation_split"):
        if config.get(key):
            return str(config[key])
    raise RowRefused(
        Place(str(reading.path), config.line), "neither test_split nor validation_split is named"
    )


def _metrics(config: Lined, reading: Reading) -> list[dict[str, Any]]:
    """The metrics of the task that are known here, each a scorer; the first counts, the others are shown."""
    place = _at(config, "metric_list", reading)
    scorers: list[dict[str, Any]] = []
    unknown: list[str] = []
    for entry in list_of(config.get("metric_list") or [{"metric": "exact_match"}], "metric_list", place):
        metric = object_of(entry, "metric_list", place)
        name = str(metric.get("metric"))
        if name in ("exact_match", "acc"):
            options = {ours: metric[theirs] for theirs, ours in EXACT_OPTIONS.items() if metric.get(theirs)}
            scorers.append({"name": "exact", "options": options, "metric": name})
        elif name in SIMILAR:
            scorers.append({"name": "similarity", "options": {"metric": SIMILAR[name]}, "metric": name})
        else:
            unknown.append(name)
    if not scorers:
        raise RowRefused(place, f"none of its metrics is known here: {', '.join(unknown)}")
    if unknown:
        reading.note(f"metrics that are not known here are left out: {', '.join(unknown)}")
    return [scorers[0], *({**scorer, "weight": 0} for scorer in scorers[1:])]


def _filters(config: Lined, reading: Reading) -> list[dict[str, Any]]:
    """One of the task's pipelines: the named one or the first."""
    place = _at(config, "filter_list", reading)
    pipelines = [
        object_of(one, "filter_list", place)
        for one in list_of(config.get("filter_list") or [], "filter_list", place)
    ]
    if not pipelines:
        return []
    names = [str(pipeline.get("name")) for pipeline in pipelines]
    wanted = reading.options.filter or names[0]
    if wanted not in names:
        raise RowRefused(place, f"there is no filter '{wanted}'; there are {', '.join(names)}")
    if len(names) > 1 and reading.options.filter is None:
        reading.note(f"of the filters {', '.join(names)} the first is used; choose another with --filter")
    steps: list[dict[str, Any]] = []
    for entry in list_of(pipelines[names.index(wanted)].get("filter"), "filter", place):
        step = dict(object_of(entry, "filter", place))
        name = str(step.pop("function", ""))
        if name in ("majority_vote", "take_first_k"):
            reading.note(ONE_ANSWER_NOTE)
        steps.append({"name": name, "options": step.pop("kwargs", None) or step})
    return steps


def _shared(config: Lined, reading: Reading) -> dict[str, Any]:
    """What every question of the task has: stops, length, topic."""
    place = _at(config, "generation_kwargs", reading)
    settings = object_of(config.get("generation_kwargs") or {}, "generation_kwargs", place)
    until: Any = settings.get("until") or []
    stops = [until] if isinstance(until, str) else list_of(until, "until", place)
    fields: dict[str, Any] = {"topic": str(config.get("task") or reading.path.stem)}
    if stops:
        fields["stop"] = [str(stop) for stop in stops]
    if settings.get("max_gen_toks"):
        fields["max_tokens"] = settings["max_gen_toks"]
    if settings.get("do_sample") or settings.get("temperature"):
        reading.note(SAMPLING_NOTE)
    if (config.get("repeats") or 1) != 1:
        reading.note(ONE_ANSWER_NOTE)
    description = config.get("description")
    if isinstance(description, str) and description.strip():
        fields["system"] = description.strip()
    tags = config.get("tag")
    if tags:
        fields["tags"] = [str(tag) for tag in (cast("list[Any]", tags) if isinstance(tags, list) else [tags])]
    return fields


def _fewshot(task: _Task) -> str:
    """The examples before each question, in one text: the first ones of their source."""
    config, reading = task.config, task.reading
    wanted = config.get("num_fewshot") or 0
    place = _at(config, "num_fewshot", reading)
    if not isinstance(wanted, int) or not 0 <= wanted <= MAX_FEWSHOT:
        raise RowRefused(place, f"num_fewshot must be 0 to {MAX_FEWSHOT}")
    if not wanted:
        return ""
    settings = object_of(
        config.get("fewshot_config") or {}, "fewshot_config", _at(config, "fewshot_config", reading)
    )
    samples = settings.get("samples")
    if samples is not None:
        rows: Iterator[Row] = (
            Row(object_of(one, "samples", place), place) for one in list_of(samples, "samples", place)
        )
    else:
        split = settings.get("split") or config.get("fewshot_split") or config.get("training_split")
        if not split:
            raise RowRefused(
                place, "num_fewshot is set, but no fewshot_split, training_split or samples are named"
            )
        if split == _split(config, reading):
            raise RowRefused(place, "the examples come from the questions themselves; name a fewshot_split")
        rows = split_rows(reading, config, str(split))
        reading.note(
            "the first documents of the few-shot split are the examples; lm-eval draws them by chance"
        )
    between, behind = config.get("target_delimiter", " "), config.get("fewshot_delimiter", "\n\n")
    shots: list[str] = []
    for row in rows:
        if len(shots) == wanted:
            break
        try:
            shots.append(f"{_text(task, row)}{between}{_example_target(task, row)}{behind}")
        except TemplateRefused as problem:
            raise RowRefused(row.place, str(problem)) from problem
    return "".join(shots)


def _example_target(task: _Task, row: Row) -> str:
    target = _target(task, row)
    if task.config.get("doc_to_choice") is not None:
        choices = _choices(task, row)
        return choices[_index(target, choices, row.place)]
    return str(cast("list[Any]", target)[0] if isinstance(target, list) else target)


def _text(task: _Task, row: Row) -> str:
    source = task.config["doc_to_text"]
    if not isinstance(source, str):
        raise RowRefused(_at(task.config, "doc_to_text", task.reading), "doc_to_text must be text")
    return str(row.data[source]) if source in row.data else task.templates.render(source, row.data)


def _target(task: _Task, row: Row) -> Any:
    """As lm-eval finds it: a field, a template (a number with choices, a list in brackets), or a constant."""
    source = task.config["doc_to_target"]
    if not isinstance(source, str):
        return source
    if source in row.data:
        return row.data[source]
    text = task.templates.render(source, row.data)
    if text.isdigit() and task.config.get("doc_to_choice") is not None:
        return int(text)
    if len(text) >= 2 and text[0] == "[" and text[-1] == "]":
        try:
            return task.templates.value(source, row.data)
        except TemplateRefused:
            return text
    return text


def _choices(task: _Task, row: Row) -> list[str]:
    source = task.config.get("doc_to_choice")
    if isinstance(source, str):
        source = row.data[source] if source in row.data else task.templates.value(source, row.data)
    if isinstance(source, dict):
        source = list(cast("dict[str, Any]", source).values())
    if not isinstance(source, Sequence) or isinstance(source, str):
        raise RowRefused(row.place, "doc_to_choice makes no list")
    return [str(choice) for choice in cast("Sequence[Any]", source)]


def _index(target: Any, choices: list[str], place: Place) -> int:
    if isinstance(target, str) and target in choices:
        return choices.index(target)
    if isinstance(target, str) and target.strip().isdigit():
        target = int(target)
    if not isinstance(target, int) or not 0 <= target < len(choices):
        raise RowRefused(place, f"the target '{target}' is none of the {len(choices)} choices")
    # True and false are 1 and 0, as in lm-eval.
    return int(target)


def _generated(task: _Task, row: Row, shots: str) -> dict[str, Any]:
    target = _target(task, row)
    if task.config.get("doc_to_choice") is not None:
        choices = _choices(task, row)
        target = choices[_index(target, choices, row.place)]
    expect = [str(one) for one in cast("list[Any]", target)] if isinstance(target, list) else str(target)
    return {
        "prompt": shots + _text(task, row),
        "expect": expect,
        "scorers": task.scorers,
        "filters": task.filters,
        "metadata": _kept(row.data),
    }


def _chosen(task: _Task, row: Row, shots: str) -> dict[str, Any]:
    """Answers become lettered choices, unless they are the letters of a list that the text has already."""
    choices = [choice.strip() for choice in _choices(task, row)]
    target = _target(task, row)
    targets = cast("list[Any]", target) if isinstance(target, list) else [target]
    letters = [LETTERS[_index(one, choices, row.place)] for one in targets if len(choices) <= len(LETTERS)]
    are_letters = choices == list(LETTERS[: len(choices)])
    return {
        "prompt": shots + _text(task, row),
        "choices": choices,
        "has_choices_in_prompt": are_letters,
        "expect": letters[0] if len(letters) == 1 else letters,
        "scorers": [{"name": "choice_logprobs"}],
        "max_tokens": 1,
        "metadata": _kept(row.data),
    }


def _kept(data: Mapping[str, Any]) -> dict[str, Any]:
    """A document's own name, to find it again."""
    return {
        name: data[name]
        for name in ("id", "idx", "subject", "category")
        if isinstance(data.get(name), str | int)
    }
