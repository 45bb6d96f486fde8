"""Renders a template with marked messages (in a child) and judges what came out: nothing lost, nothing added.

Static checks see what a template could write; only rendering shows what it leaves out, and what a word sets off
however well it is hidden.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from tidegate.gguf import Finding, Severity, finding, quote
from tidegate.validation.confinement import ChildLimits, ChildOutcome, run_confined
from tidegate.validation.template_conversations import (
    ANSWER,
    BLANK,
    FIRST,
    OTHER_MARKS,
    SECOND,
    SYSTEM,
    TAIL,
    Case,
    as_request,
    fixed_cases,
    word_cases,
)

# The usual need is 0.2 s of CPU time.
RENDER_LIMITS = ChildLimits(wall_s=300.0, cpu_s=5, address_space_bytes=256 * 1024**2)
SUBJECT = "tokenizer.chat_template"
LONG_TEXT_LETTERS = 20
MARKS = (SYSTEM, FIRST, TAIL, ANSWER, SECOND)
MOST_WORDS = 60
USUAL = 1
"""The place of the three plain turns among the cases; what others are compared with."""

_TAG = re.compile(r"<[^<>]*>|\[/?[A-Z_]+\]")
_PLAIN_WORDS = re.compile(r"[^\W\d_]{2,}|\d{3,}")
_MARKUP = re.compile(r"[<>\[\]{}|`▁｜]|^/|^\\")
_SWITCH = re.compile(r"\b(?:think|thinking|reasoning)\b|_THINKING\b|CONTINUE_FINAL_MESSAGE", re.IGNORECASE)
_MODE = re.compile(r"/(?:no_?)?think\b")
_STRUCTURE = re.compile(
    r"\b(?:message|role|assistant|user|system|human|model|bot|ai|think|thinking|response|instruction|input|output|content|"
    r"question|answer|channel|final|analysis|start|end|turn|of|header|id)\b", re.IGNORECASE
)  # fmt: skip
_NAMES_SYSTEM = re.compile(r"""['"]system['"]""")
_END_OF_THOUGHT = re.compile(r"</\w*(?:think|thought|reason)\w*>")
_CALENDAR = re.compile(
    r"\d+|\b(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?\b|\b[AP]M\b|"
    r"\b(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:tember)?|Oct(?:ober)?|"
    r"Nov(?:ember)?|Dec(?:ember)?)\b"
)

# The head of a turn: a role between marks or at the start of a line, right before what is said.
_HEAD = r"(?:^|[>|｜<\[#\n])\s*(user|human|assistant|model|bot|chatbot|system)(?:_token)?"
_HEAD_BEFORE = re.compile(_HEAD + r"\s*(?:<[^<>]{1,24}>|[|｜]>|[>\]:])*\s*$", re.IGNORECASE)
_HEADS = re.compile(_HEAD + r"\s*(?:<[^<>]{1,24}>|[|｜]>|[>\]:\n])", re.IGNORECASE)
_USERS = frozenset({"user", "human"})
LONGEST_HEAD = 100

Render = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Probe:
    """What rendering showed, or why it was not finished: a busy machine is no fault of a template."""

    findings: tuple[Finding, ...] = ()
    problem: str = ""


def probe_template(template: Mapping[str, str]) -> Probe:
    """Render in a confined process and judge. `template` is what the inspection child returned."""
    cases = cases_for(template)
    request = {
        "source": template["source"],
        "bos_token": template["bos_token"],
        "eos_token": template["eos_token"],
        "conversations": as_request(cases),
        "usual": USUAL,
        "usual_marks": list(cases[USUAL].marks),
    }
    outcome = _rendered(request)
    if outcome.result is None:
        # A template that is too much is so every time; a machine in trouble seldom is twice.
        outcome = _rendered(request)
    if outcome.is_unfinished:
        return Probe(problem=outcome.problem)
    knows_system = bool(_NAMES_SYSTEM.search(template["source"]))
    return Probe(tuple(judge_renders(outcome, cases, knows_system=knows_system)))


def _rendered(request: Mapping[str, object]) -> ChildOutcome:
    text = json.dumps(request).encode()
    return run_confined("tidegate.validation.render_child", {}, RENDER_LIMITS, stdin=text)


def cases_for(template: Mapping[str, str]) -> list[Case]:
    """The fixed conversations, and those with the words that the template itself names."""
    try:
        read: object = json.loads(template.get("words") or "[]")
    except (ValueError, RecursionError):
        read = []
    rows = cast("list[object]", read) if isinstance(read, list) else []
    words = [word for word in rows if isinstance(word, str)]
    return [*fixed_cases(), *word_cases(words[:MOST_WORDS])]


def judge_renders(
    outcome: ChildOutcome, cases: Sequence[Case], *, knows_system: bool = True
) -> list[Finding]:
    """Pure: from what the child wrote to findings. A child that did not end well is a finding.

    A template that does not know of system messages at all loses them less badly than one that takes them out.
    """
    if outcome.result is None:
        last = outcome.stderr_tail.strip().rpartition("\n")[2]
        said = f" ({quote(last)})" if last else ""
        return [_found("C-BOMB", f"Rendering the template was ended: {outcome.problem}{said}.")]
    renders = _read(outcome.result.get("renders"))
    if len(renders) != len(cases):
        return [_found("C-BOMB", "Rendering the template gave no complete result.")]
    usual = renders[USUAL]
    if usual["error"] or usual["refusal"]:
        return list(_judge_marks(cases[USUAL], usual))
    found: list[Finding] = []
    for case, render in zip(cases, renders, strict=True):
        found += _judge(case, render, usual["text"], knows_system)
    found += _judge_words(cases, renders)
    return list(dict.fromkeys(found))


def _read(renders: object) -> list[Render]:
    """What the child says is not trusted to have any shape."""
    rows = cast("list[object]", renders) if isinstance(renders, list) else []
    read = [cast("dict[str, object]", row) for row in rows if isinstance(row, dict)]
    return [{name: str(row.get(name, "")) for name in ("text", "refusal", "error")} for row in read]


def _found(check: str, text: str, severity: Severity | None = None) -> Finding:
    return finding(check, text, subject=SUBJECT, severity=severity)


def _judge(case: Case, render: Render, usual: str, knows_system: bool) -> Iterator[Finding]:
    """One case other than the words."""
    text = render["text"]
    if case.kind in ("question", "talk", "system", "long talk", "aside", "empty", "tools"):
        yield from _judge_marks(case, render, knows_system)
    if render["error"] or render["refusal"]:
        return
    if case.kind == "aside":
        yield from _judge_aside(case, text, usual)
    elif case.kind == "system":
        yield from _judge_speakers(text)
        yield from _judge_injected(text)
    elif case.kind == "again" and text != usual:
        yield _found("C-RANDOM", "The template writes the same conversation differently the second time.")
    elif case.kind == "other words" and _signature(_renamed(usual)) != _signature(text):
        yield _found("C-WORD", "The template writes other text around other words.")
    elif case.kind == "clock" and _without_dates(text) != _without_dates(usual):
        new = _difference(_without_dates(usual), _without_dates(text))
        yield _found("C-CLOCK", f"With the clock {case.name} the template writes another prompt{new}.")


def _judge_marks(case: Case, render: Render, knows_system: bool = True) -> Iterator[Finding]:
    if render["error"]:
        # Not every template knows tools or empty messages; engines report that when it happens.
        level = Severity.WARNING if case.kind in ("tools", "empty") else None
        yield _found("C-PARSE", f"With {case.name} the template fails: {quote(render['error'])}.", level)
        return
    if render["refusal"]:
        yield from _judge_refusal(case, render["refusal"])
        return
    text = render["text"]
    lost = [mark for mark in case.marks if mark not in text]
    if lost:
        which = ", ".join(_spoken(case, mark) for mark in lost[:3])
        # Servers join a system message with the next one when a template has no place for it.
        is_mild = case.kind in ("tools", "empty") or (lost == [SYSTEM] and not knows_system)
        level = Severity.WARNING if is_mild else None
        yield _found(
            "C-DROP", f"With {case.name}, {which} is left out: {len(lost)} of {len(case.marks)}.", level
        )
        return
    if any(text.count(mark) > 1 for mark in case.marks if mark != SYSTEM):
        yield _found("C-DROP", f"With {case.name}, a message is written more than once.", Severity.WARNING)
        return
    turns = [text.index(mark) for mark in case.marks if mark != SYSTEM]
    if turns != sorted(turns):
        yield _found("C-DROP", f"With {case.name}, the turns come out in another order.")


def _spoken(case: Case, mark: str) -> str:
    for place, message in enumerate(case.messages, 1):
        if mark in message["content"]:
            part = "" if message["content"] == mark else " (a part of it)"
            return f"message {place} of {message['role']}{part}"
    return "a message"


def _judge_refusal(case: Case, refusal: str) -> Iterator[Finding]:
    if case.kind in ("tools", "empty"):
        return
    # Published models without a system role say so; the server then joins the message with the next one.
    level = Severity.NOTE if case.kind == "system" else None
    yield _found("C-DROP", f"The template refuses {case.name}: {quote(refusal)}.", level)


def _judge_aside(case: Case, text: str, usual: str) -> Iterator[Finding]:
    expected = usual.replace(FIRST, str(case.messages[0]["content"]))
    if _signature(text) != _signature(expected):
        yield from _judge_difference(f"With {case.name}", expected, text, is_said=True)


def _judge_difference(when: str, expected: str, text: str, *, is_said: bool = False) -> Iterator[Finding]:
    """`is_said`: only what people say differs, so that less text is less of it."""
    change = _letters(text) - _letters(expected)
    if change >= LONG_TEXT_LETTERS:
        yield _found("C-WORD", f"{when} the template adds text of its own{_difference(expected, text)}.")
    lost = [mark for mark in MARKS if mark in expected and mark not in text]
    if lost and _END_OF_THOUGHT.search(when):
        yield _found("C-DROP", f"{when} the template cuts off what stands before it.", Severity.WARNING)
    elif lost or (is_said and change <= -LONG_TEXT_LETTERS):
        yield _found(
            "C-DROP", f"{when} the template leaves out {f'{len(lost)} messages' if lost else 'a part of it'}."
        )


def _judge_speakers(rendered: str) -> Iterator[Finding]:
    """What one says under the name of another, and turns that nobody spoke."""
    if not all(rendered.count(mark) == 1 for mark in (FIRST, ANSWER, SECOND)):
        return
    for mark, speaker in ((FIRST, "user"), (ANSWER, "assistant"), (SECOND, "user")):
        place = rendered.index(mark)
        head = _HEAD_BEFORE.search(rendered[max(0, place - LONGEST_HEAD) : place])
        other = head[1].lower() if head else ""
        if other and (other == "system" or (other in _USERS) != (speaker == "user")):
            text = f"What the {speaker} says is written as if the {other} had said it."
            yield _found("C-REPLACE", text)
            return
    after = rendered[rendered.index(SECOND) :]
    if any(head[1].lower() in _USERS for head in _HEADS.finditer(after)):
        own = " ".join(after.removeprefix(SECOND).split())
        yield _found(
            "C-INJECT", f"After the last message the template adds a turn of the user: {quote(own)}."
        )


def _judge_injected(rendered: str) -> Iterator[Finding]:
    """Text of its own that follows what the user said, inside the user's turn."""
    if not all(rendered.count(mark) == 1 for mark in (FIRST, ANSWER, SECOND)):
        return
    for mark, following in ((FIRST, ANSWER), (ANSWER, SECOND), (SECOND, None)):
        end = len(rendered) if following is None else rendered.find(following, rendered.index(mark))
        between = rendered[rendered.index(mark) + len(mark) : end]
        own = " ".join(_TAG.sub(" ", between).split())
        if _letters(_STRUCTURE.sub("", own)) >= LONG_TEXT_LETTERS:
            if following is None:
                # Some published models are told here how to begin their answer.
                text = f"After the last message the template writes {quote(own)}."
                yield _found("C-INJECT", text, Severity.WARNING)
                continue
            whom = "the user" if mark == FIRST else "the assistant"
            yield _found("C-INJECT", f"After every message of {whom} the template writes {quote(own)}.")


def _judge_words(cases: Sequence[Case], renders: Sequence[Render]) -> Iterator[Finding]:
    """Each word must come out as a word that means nothing would, and change nothing else."""
    blanks = {case.kind: render for case, render in zip(cases, renders, strict=True) if case.word == BLANK}
    for case, render in zip(cases, renders, strict=True):
        blank = blanks.get(case.kind)
        if blank is None or case.word == BLANK or blank["error"] or blank["refusal"]:
            continue
        expected = blank["text"].replace(BLANK, case.word)
        if render["text"] and _signature(render["text"]) == _signature(expected):
            continue
        where = {
            "alone": "is a whole message",
            "within": "is in a message",
            "told": "is in the system message",
        }
        when = f"When {quote(case.word)} {where[case.kind]},"
        if not _is_word(case.word):
            yield from _judge_difference(when, expected, render["text"])
            continue
        level = Severity.WARNING if _SWITCH.search(case.word) else None
        if render["error"] or render["refusal"]:
            what = f" the template fails: {quote(render['error'] or render['refusal'])}"
        else:
            what = f" the template writes another prompt{_difference(expected, render['text'])}"
        yield _found("C-WORD", f"{when}{what}.", level)


def _is_word(text: str) -> bool:
    return bool(_PLAIN_WORDS.search(text)) and not _MARKUP.search(text.strip()) and not _MODE.search(text)


def _signature(text: str) -> str:
    """Letters and digits only: templates may trim, and write content as JSON."""
    return "".join(character for character in text if character.isalnum())


def _letters(text: str) -> int:
    return sum(character.isalpha() for character in text)


def _renamed(text: str) -> str:
    for mark, other in OTHER_MARKS.items():
        text = text.replace(mark, other)
    return text


def _without_dates(text: str) -> str:
    return _CALENDAR.sub("", text)


def _difference(expected: str, text: str) -> str:
    """The words that are new, or else those that are gone, for the message."""
    before, after = Counter(expected.split()), Counter(text.split())
    for counted, how in ((after - before, "new is"), (before - after, "gone is")):
        if counted:
            source = text if how == "new is" else expected
            shown = [word for word in dict.fromkeys(source.split()) if word in counted]
            return f": {how} {quote(' '.join(shown))}"
    return ""
