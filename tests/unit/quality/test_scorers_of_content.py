"""Scorers of what an answer says: text, numbers, JSON, tool calls, choices."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tidegate.quality import Answer, Question, score
from tidegate.quality.results import TokenLogprob, ToolCall
from tidegate.quality.scorers.choices import LETTERS, chosen_letter
from tidegate.quality.scorers.numbers import NumberOptions, numbers_in
from tidegate.quality.scorers.structured import JsonOptions, is_same, json_values, parse_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def asked(name: str, expect: Any = None, choices: tuple[str, ...] = (), **options: Any) -> Question:
    fields: dict[str, Any] = {"id": "q", "prompt": "p", "choices": choices}
    fields["scorers"] = [{"name": name, "options": options}]
    return Question.model_validate(fields | ({} if expect is None else {"expect": expect}))


def is_right(question: Question, text: str) -> bool:
    return score(question, Answer(text=text)).is_right


@pytest.mark.parametrize(
    ("name", "expect", "options", "answer", "right"),
    [
        ("exact", "Paris", {"ignore_case": True}, "PARIS", True),
        ("exact", "Paris", {"ignore_punctuation": True}, "Paris!", True),
        ("exact", "New York", {"ignore_whitespace": True}, "New \n York", True),
        ("exact", "1000", {"ignore": [",", r"\$"]}, "$1,000", True),
        ("exact", "cafe", {"ignore_accents": True}, "café", True),
        ("exact", "café", {}, "cafe\u0301", True),
        ("exact", "Paris", {}, "Paris, France", False),
        ("contains", "Paris", {"whole_words": True}, "Parisian", False),
        ("contains", "C++", {"whole_words": True}, "I use C++.", True),
        ("contains", ["red", "blue"], {"all": True}, "red and blue", True),
        ("contains", ["red", "blue"], {"all": True}, "red only", False),
        ("contains", "Paris", {"ignore_case": False}, "paris", False),
        ("starts_with", "Yes", {}, "Yes, it is.", True),
        ("starts_with", "Yes", {}, "Oh yes", False),
        ("ends_with", "42", {"ignore_punctuation": True}, "The answer is 42.", True),
        ("ends_with", "42", {}, "42 it is", False),
        ("regex", r"\d+", {"mode": "full"}, " 42 \n", True),
        ("regex", r"\d+", {"mode": "full"}, "42 km", False),
        ("regex", ["a", "b"], {"all": True}, "a", False),
        ("regex", r"(?<year>\d{4})\/", {}, "2024/05", True),
    ],
)
def test_text_is_compared_as_the_options_say(
    name: str, expect: Any, options: dict[str, Any], answer: str, right: bool
):
    assert is_right(asked(name, expect, **options), answer) is right


@pytest.mark.parametrize(
    ("expect", "options", "answer", "right"),
    [
        (0.5, {}, "It is .5", True),
        (5, {}, "It is .5", False),
        (4, {}, "the range 3-4", True),
        (-4, {}, "minus: -4", True),
        (-4, {}, "\u22124 degrees", True),
        (3.14, {"abs_tolerance": 0.01}, "about 3.142", True),
        (100, {"rel_tolerance": 0.05}, "104", True),
        (100, {"rel_tolerance": 0.05}, "106", False),
        (7, {"which": "first"}, "7 of 9", True),
        (9, {"which": "only"}, "7 of 9", False),
        (9, {"which": "only"}, "9, yes 9", True),
        (12, {"unit": "km"}, "12 km in 3 hours", True),
        (3, {"unit": "km"}, "12 km in 3 hours", False),
        (12, {"unit": "m"}, "12 mm", False),
        (5, {"unit": ["$", "USD"]}, "It costs $5 for 2", True),
        (0.25, {"percent": True}, "25 %", True),
        ("25%", {"percent": True}, "0.25", True),
        (0.25, {}, "25 %", False),
        (1234.5, {"decimal": ","}, "1.234,5 Euro", True),
        (1234567, {"decimal": ","}, "1 234 567", True),
        (1e21, {}, "1e21", True),
        (7, {}, "1e999", False),
    ],
)
def test_numbers_are_read_and_compared_as_the_options_say(
    expect: Any, options: dict[str, Any], answer: str, right: bool
):
    assert is_right(asked("numeric", expect, **options), answer) is right


@given(st.integers(-(10**12), 10**12))
def test_a_number_is_read_with_and_without_groups(value: int):
    assert numbers_in(f"it is {value:,}.") == [value]
    assert numbers_in(f"{value}") == [value]
    grouped = f"{value:,}".replace(",", ".")
    assert numbers_in(f"so {grouped}", NumberOptions(decimal=",")) == [value]


@given(JSON)
def test_json_is_the_same_as_itself_and_found_in_prose(value: Any):
    import json

    text = json.dumps(value)
    assert is_same(parse_json(text)[1], value, JsonOptions())
    if isinstance(value, dict | list):
        assert any(
            is_same(one, value, JsonOptions()) for one in json_values(f"So: {text} - done", "anywhere")
        )


@pytest.mark.parametrize(
    ("expect", "options", "answer", "right"),
    [
        ({"a": 1}, {}, '{"a": 1.0}', True),
        ({"a": 1}, {}, '{"a": "1"}', False),
        ({"a": 1}, {}, '{"a": 1, "a": 1}', False),
        ({"a": 1}, {"where": "fence"}, '```json\n{"a": 1}\n```', True),
        ({"a": 1}, {"where": "fence"}, 'Sure: {"a": 1}', False),
        ({"a": 1}, {"where": "anywhere"}, 'Sure: {"a": 1}.', True),
        ({"a": 1}, {"where": "anywhere"}, 'Sure: {"b": {"a": 1}}', False),
        ({"a": 1}, {"subset": True}, '{"a": 1, "b": 2}', True),
        ({"a": 1}, {}, '{"a": 1, "b": 2}', False),
        ([1, 2, 2], {"ignore_order": True}, "[2, 1, 2]", True),
        ([1, 2, 2], {"ignore_order": True}, "[2, 1, 1]", False),
        ({"a": 0.3}, {"rel_tolerance": 1e-6}, '{"a": 0.30000000001}', True),
        ({"a": None}, {}, '{"a": null}', True),
        ({"a": None}, {}, "{}", False),
    ],
)
def test_json_is_compared_as_the_options_say(expect: Any, options: dict[str, Any], answer: str, right: bool):
    assert is_right(asked("json", expect, **options), answer) is right


SCHEMA = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Z]"},
        "born": {"type": "string", "format": "date"},
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ('{"name": "Ada"}', True),
        ('{"name": "ada"}', False),
        ('{"name": "Ada", "born": "1815-12-10"}', True),
        ('{"name": "Ada", "born": "long ago"}', False),
        ('{"name": "Ada", "age": 36}', False),
        ("Ada", False),
    ],
)
def test_an_answer_is_valid_by_its_schema_or_wrong(answer: str, right: bool):
    assert is_right(asked("json_schema", SCHEMA), answer) is right


def test_without_a_schema_any_json_is_right():
    assert is_right(asked("json_schema"), "[1]")
    assert not is_right(asked("json_schema"), "so [1]")
    assert is_right(asked("json_schema", where="anywhere"), "so [1]")


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "objekt"}, "not a JSON schema"),
        ({"$ref": "http://example.com/schema.json"}, "only references inside it"),
        ({"$ref": "other.json"}, "only references inside it"),
        ({"properties": {"a": {"pattern": "("}}}, "regular expression"),
        ("{'a': 1}", "not JSON"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_when_the_bank_is_read(schema: Any, reason: str):
    with pytest.raises(ValidationError, match=reason):
        asked("json_schema", schema)


def test_a_schema_without_end_is_given_up_and_wrong():
    twice = {"allOf": [{"$ref": "#/$defs/b"}, {"$ref": "#/$defs/b"}]}
    chain: dict[str, Any] = {
        chr(98 + n): {"allOf": [{"$ref": f"#/$defs/{chr(99 + n)}"}] * 2} for n in range(20)
    }
    scored = score(asked("json_schema", {"$defs": {**chain, "v": {}}, **twice}), Answer(text="1"))
    assert (scored.is_right, scored.flags) == (False, ("schema-too-costly",))
    scored = score(asked("json_schema", {"$ref": "#"}), Answer(text="1"))
    assert (scored.is_right, scored.flags) == (False, ("schema-too-costly",))


def test_a_pattern_that_never_ends_is_stopped_and_flagged(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tidegate.quality.scorers.patterns.SEARCH_LIMIT_S", 0.01)
    scored = score(asked("regex", "(a|aa)+$"), Answer(text="a" * 60 + "b"))
    assert (scored.is_right, scored.flags) == (False, ("regex-out-of-time",))


WEATHER = {"name": "weather", "arguments": {"city": "Oslo", "days": 2}}
TOOLS = (
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "required": ["city"],
                "properties": {"city": {"type": "string"}},
            },
        },
    },
)


def call(name: str = "weather", arguments: str = '{"city": "Oslo", "days": 2}') -> ToolCall:
    return ToolCall(name=name, arguments=arguments)


@pytest.mark.parametrize(
    ("expect", "options", "calls", "right"),
    [
        (WEATHER, {}, [call()], True),
        (WEATHER, {}, [call(arguments='{"days": 2, "city": "Oslo"}')], True),
        (WEATHER, {}, [call("forecast")], False),
        (WEATHER, {}, [call(arguments='{"city": "Oslo"}')], False),
        (WEATHER, {}, [call(), call()], False),
        (WEATHER, {}, [], False),
        (WEATHER, {}, [call(arguments='{"city": ')], False),
        ([WEATHER, {"name": "stop"}], {}, [call("stop", "")], True),
        ({"name": "weather", "arguments": {"city": "Oslo"}}, {"arguments": "subset"}, [call()], True),
        ({"name": "weather"}, {"arguments": "ignore"}, [call(arguments="{}")], True),
        ({"name": "weather", "arguments": {"required": ["town"]}}, {"arguments": "schema"}, [call()], False),
        ({"name": "weather", "arguments": {"required": ["city"]}}, {"arguments": "schema"}, [call()], True),
        ([WEATHER, {"name": "stop"}], {"calls": "all"}, [call("stop", "{}"), call()], True),
        (
            [WEATHER, {"name": "stop"}],
            {"calls": "all", "in_order": True},
            [call("stop", "{}"), call()],
            False,
        ),
        ([WEATHER, {"name": "stop"}], {"calls": "all"}, [call()], False),
    ],
)
def test_tool_calls_are_compared_as_the_options_say(
    expect: Any, options: dict[str, Any], calls: list[ToolCall], right: bool
):
    scored = score(asked("tool_call", expect, **options), Answer(tool_calls=tuple(calls)))
    assert scored.is_right is right


def test_without_an_expected_call_the_offered_tools_decide():
    question = Question.model_validate(
        {"id": "q", "prompt": "p", "tools": TOOLS, "scorers": [{"name": "tool_call"}]}
    )
    assert score(question, Answer(tool_calls=(call(),))).is_right
    assert not score(question, Answer(tool_calls=(call(arguments='{"city": 3}'),))).is_right
    assert not score(question, Answer(tool_calls=(call("other"),))).is_right


def test_calls_in_the_text_count_only_when_that_is_wanted():
    text = 'I call {"name": "weather", "arguments": {"city": "Oslo", "days": 2}} now'
    assert not is_right(asked("tool_call", WEATHER), text)
    assert is_right(asked("tool_call", WEATHER, from_text=True), text)


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b)", "B"),
        ("(B) because it is blue", "B"),
        ("**B**", "B"),
        ("B. blue", "B"),
        ("The answer is B.", "B"),
        ("Answer: B", "B"),
        ("I thought about it. The correct choice is (B)", "B"),
        ("blue", "B"),
        ("Blue.", "B"),
        ("A dog is not a colour", None),
        ("A, or the answer is B", None),
        ("E", None),
        ("I do not know", None),
        ("", None),
    ],
)
def test_a_choice_is_read_where_an_answer_settles_on_one(answer: str, letter: str | None):
    assert chosen_letter(answer, ("red", "blue", "green")) == letter


@given(st.integers(2, 26), st.data())
def test_every_letter_alone_is_a_choice(count: int, data: st.DataObject):
    choices = [f"text number {n}" for n in range(count)]
    letter = data.draw(st.sampled_from(LETTERS[:count]))
    assert chosen_letter(f"{letter})", choices) == letter
    assert chosen_letter(choices[LETTERS.index(letter)].upper(), choices) == letter


@given(st.lists(st.tuples(st.sampled_from("ABCD xyz"), st.floats(-20, 0)), max_size=8))
def test_the_shares_of_all_letters_add_up_to_one(entries: list[tuple[str, float]]):
    likely = tuple(TokenLogprob(token=token, logprob=value) for token, value in entries)
    values = [
        score(
            asked("choice_logprobs", letter, ("w", "x", "y", "z")), Answer(text="?", top_logprobs=likely)
        ).value
        for letter in "ABCD"
    ]
    total = sum(values)
    has_letter = any(token in "ABCD" for token, _ in entries)
    assert total == pytest.approx(1.0 if has_letter and entries else 0.0, abs=1e-9)


def test_without_log_probabilities_the_text_counts_and_is_flagged():
    scored = score(asked("choice_logprobs", "blue", ("red", "blue")), Answer(text="B"))
    assert (scored.value, scored.is_right, scored.flags) == (1.0, True, ("no-log-probabilities",))


def test_a_tie_of_letters_is_not_right():
    likely = (TokenLogprob(token="A", logprob=-0.7), TokenLogprob(token="B", logprob=-0.7))
    assert not score(
        asked("choice_logprobs", "A", ("x", "y")), Answer(text="A", top_logprobs=likely)
    ).is_right
