"""Renders a template with marked messages (in a child) and judges what came out: nothing lost, nothing added.

Static checks see what a template could write; only rendering shows what it leaves out.
"""

import json
from typing import Any

from tidegate.gguf import Finding, Severity, finding, quote
from tidegate.validation.confinement import ChildLimits, ChildOutcome, run_confined

RENDER_LIMITS = ChildLimits(wall_s=60.0, cpu_s=5, address_space_bytes=1024**3)
SUBJECT = "tokenizer.chat_template"
SYSTEM, FIRST, ANSWER, SECOND = "Marmalade-7431", "Quicksilver-2958", "Thistledown-6047", "Bramblewood-8812"

_FIRST_TURN = {"role": "user", "content": FIRST}
_TALK = [_FIRST_TURN, {"role": "assistant", "content": ANSWER}, {"role": "user", "content": SECOND}]
_SYSTEM = {"role": "system", "content": SYSTEM}

# (name, messages, marks that must come out, in this order)
CONVERSATIONS: tuple[tuple[str, list[dict[str, str]], tuple[str, ...]], ...] = (
    ("one question", [_FIRST_TURN], (FIRST,)),
    ("three turns", _TALK, (FIRST, ANSWER, SECOND)),
    ("a system message", [_SYSTEM, *_TALK], (SYSTEM, FIRST, ANSWER, SECOND)),
)
LATER_YEAR = 2041


def probe_template(template: dict[str, str]) -> list[Finding]:
    """Render in a confined process and judge. `template` is what the inspection child returned."""
    conversations: list[dict[str, Any]] = [{"messages": messages} for _, messages, _ in CONVERSATIONS]
    conversations.append({"messages": _TALK, "year": LATER_YEAR})
    request = json.dumps({**template, "conversations": conversations}).encode()
    return judge_renders(run_confined("tidegate.validation.render_child", {}, RENDER_LIMITS, stdin=request))


def judge_renders(outcome: ChildOutcome) -> list[Finding]:
    """Pure: from what the child wrote to findings. A child that did not end well is a finding."""
    if outcome.result is None:
        return [finding("C-BOMB", f"Rendering the template was ended: {outcome.problem}.", subject=SUBJECT)]
    renders: list[dict[str, str]] = outcome.result.get("renders", [])
    if len(renders) != len(CONVERSATIONS) + 1:
        return [finding("C-BOMB", "Rendering the template gave no complete result.", subject=SUBJECT)]
    found: list[Finding] = []
    for (name, _, marks), render in zip(CONVERSATIONS, renders[:-1], strict=True):
        found += _judge_one(name, marks, render)
    now, later = renders[1]["text"], renders[-1]["text"]
    if _without_digits(now) != _without_digits(later):
        found.append(
            finding("C-CLOCK", f"In {LATER_YEAR} the template writes another prompt.", subject=SUBJECT)
        )
    return found


def _judge_one(name: str, marks: tuple[str, ...], render: dict[str, str]) -> list[Finding]:
    if render["error"]:
        text = f"With {name} the template fails: {quote(render['error'])}."
        return [finding("C-PARSE", text, subject=SUBJECT)]
    if render["refusal"]:
        # Some published models were trained without system messages and say so.
        level = Severity.WARNING if SYSTEM in marks else Severity.ERROR
        text = f"The template refuses {name}: {quote(render['refusal'])}."
        return [finding("C-DROP", text, subject=SUBJECT, severity=level)]
    text = render["text"]
    lost = [mark for mark in marks if mark not in text]
    if lost:
        return [
            finding(
                "C-DROP", f"With {name}, {len(lost)} of {len(marks)} messages are left out.", subject=SUBJECT
            )
        ]
    repeated = [mark for mark in marks if text.count(mark) > 1]
    if repeated:
        return [finding("C-DROP", f"With {name}, a message is written more than once.", subject=SUBJECT,
                        severity=Severity.WARNING)]  # fmt: skip
    turns = [text.index(mark) for mark in marks if mark != SYSTEM]
    if turns != sorted(turns):
        return [finding("C-DROP", f"With {name}, the turns come out in another order.", subject=SUBJECT)]
    return []


def _without_digits(text: str) -> str:
    return "".join(character for character in text if not character.isdigit())
