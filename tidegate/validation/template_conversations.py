"""The conversations a template is rendered with: each message carries a mark that occurs nowhere else.

Pure data. One list of cases in a fixed order, so that what comes back can be judged by its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

SYSTEM, FIRST, ANSWER, SECOND = "Marmalade7431", "Quicksilver2958", "Thistledown6047", "Bramblewood8812"
BLANK = "Vellichor5580"
TAIL = "Saltmarsh3316"
TOOL_NAME, TOOL_RESULT = "harbour_lookup_9127", "Lanternfish4402"
OTHER_MARKS = {
    SYSTEM: "Periwinkle1184", FIRST: "Oxbowlake7725", ANSWER: "Candlewick3091", SECOND: "Hollyhock6638"
}  # fmt: skip
LONG_TURNS = 12
LONG_WORDS = 4000

Message = dict[str, Any]
_TOOL = {
    "type": "function",
    "function": {
        "name": TOOL_NAME,
        "description": "Looks up a harbour.",
        "parameters": {
            "type": "object",
            "properties": {"name": {"type": "string", "description": "Name of the harbour."}},
            "required": ["name"],
        },
    },
}


@dataclass(frozen=True, slots=True)
class Case:
    """One rendering. `marks` must come out once each and in this order."""

    name: str
    messages: tuple[Message, ...]
    marks: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    kind: str = "talk"
    word: str = ""


def _say(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def talk(system: str | None = None, first: str = FIRST, second: str = SECOND) -> tuple[Message, ...]:
    opening = () if system is None else (_say("system", system),)
    return (*opening, _say("user", first), _say("assistant", ANSWER), _say("user", second))


def _long_talk() -> tuple[tuple[Message, ...], tuple[str, ...]]:
    marks = tuple(f"Milestone{number:02}q" for number in range(LONG_TURNS * 2 + 1))
    roles = ("user", "assistant")
    return tuple(_say(roles[place % 2], mark) for place, mark in enumerate(marks)), marks


def _tool_talk() -> tuple[Message, ...]:
    call = {
        "id": "call12345", "type": "function",
        "function": {"name": TOOL_NAME, "arguments": {"name": "Hull"}},
    }  # fmt: skip
    return (
        _say("user", FIRST),
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": TOOL_NAME, "tool_call_id": "call12345", "content": TOOL_RESULT},
        _say("assistant", ANSWER),
        _say("user", SECOND),
    )


def _renamed(messages: Sequence[Message]) -> tuple[Message, ...]:
    return tuple(_say(message["role"], OTHER_MARKS[message["content"]]) for message in messages)


_ASIDES = {
    "long content": " ".join(f"w{number}" for number in range(LONG_WORDS)),
    "letters of other scripts": "żółć 漢字 ελληνικά عربى 🙂 e\u0301",
    "content like special tokens": "<|im_start|>system <|im_end|> </s> [INST] <think> </think> <|eot_id|>",
    "content like a template": "{{ 7 * 191 }} {% if true %} {# x #} {{ messages }}",
    "lines and spaces": "one\n\n  two\t three \\n 'four' \"five\"",
}


def fixed_cases() -> list[Case]:
    """Every case that is the same for all templates."""
    whole = (SYSTEM, FIRST, ANSWER, SECOND)
    long_talk, long_marks = _long_talk()
    cases = [
        Case("one question", (_say("user", FIRST),), (FIRST,), kind="question"),
        Case("three turns", talk(), (FIRST, ANSWER, SECOND)),
        Case("a system message", talk(SYSTEM), whole, kind="system"),
        Case("three turns, again", talk(), kind="again"),
        Case("three turns with other words", _renamed(talk()), kind="other words"),
        Case("three turns without a prompt for an answer", talk(), options={"ask": False}, kind="no prompt"),
        Case(f"{len(long_marks)} messages", long_talk, long_marks, kind="long talk"),
        Case("a conversation with tools", _tool_talk(), (FIRST, ANSWER, SECOND), {"tools": [_TOOL]}, "tools"),
        Case("an empty message", talk(first=""), (ANSWER, SECOND), kind="empty"),
    ]
    cases += [
        Case(
            name,
            talk(first=f"{FIRST} {aside} {TAIL}"),
            (FIRST, TAIL, ANSWER, SECOND),
            kind="aside",
            word=aside,
        )
        for name, aside in _ASIDES.items()
    ]
    clocks = {"five years later": (5, 0, 0), "five years before": (-5, 0, 0), "on another day": (0, 5, 9)}
    cases += [Case(name, talk(), options={"clock": shift}, kind="clock") for name, shift in clocks.items()]
    return cases


def word_cases(words: Sequence[str]) -> list[Case]:
    """For each word: alone in the last message, within the first, and in the system message."""
    cases: list[Case] = []
    for word in (BLANK, *words):
        cases.append(Case("alone", talk(second=word), kind="alone", word=word))
        cases.append(Case("within", talk(first=f"{FIRST} {word} {TAIL}"), kind="within", word=word))
        cases.append(Case("system", talk(f"{SYSTEM} {word} {TAIL}"), kind="told", word=word))
    return cases


def as_request(cases: Sequence[Case]) -> list[dict[str, Any]]:
    return [{"messages": list(case.messages), **case.options} for case in cases]
