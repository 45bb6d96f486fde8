"""What is taken from an answer before it is scored: the filters of lm-eval, and one for reasoning.

Each is a function of the text alone. `majority_vote` and `take_first` choose among several answers to one question;
here each answer is scored by itself, so that they leave it as it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegate.quality.scorers.patterns import find_all, pattern_fault

INVALID = "[invalid]"
THOUGHT_END = "</think>"


class _Filter(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def apply(self, text: str) -> str:
        return text

    def fault(self) -> str:
        return ""


class RegexFilter(_Filter):
    """A match of the pattern, as lm-eval takes it: of several groups the first that matched."""

    regex_pattern: str = r"#### (\-?[0-9\.\,]+)"
    group_select: int = 0
    fallback: str = INVALID

    def apply(self, text: str) -> str:
        try:
            found = find_all(self.regex_pattern, text)
        except TimeoutError:
            return self.fallback
        if not -len(found) <= self.group_select < len(found):
            return self.fallback
        match = found[self.group_select]
        if isinstance(match, tuple):
            match = next((group for group in cast("tuple[str, ...]", match) if group), self.fallback)
        return str(match).strip()

    def fault(self) -> str:
        return pattern_fault(self.regex_pattern).replace("expect is", "regex_pattern is")


class MapFilter(_Filter):
    """Another text for each known one."""

    mapping_dict: dict[str, str | int | float] = Field(default_factory=dict)
    default_value: str | int | float | None = None

    def apply(self, text: str) -> str:
        found = self.mapping_dict.get(text, self.default_value)
        return "" if found is None else str(found)


class LowercaseFilter(_Filter):
    def apply(self, text: str) -> str:
        return text.lower()


class UppercaseFilter(_Filter):
    def apply(self, text: str) -> str:
        return text.upper()


class WhitespaceFilter(_Filter):
    """White space around the text; lm-eval calls it `remove_whitespace` and does the same."""

    def apply(self, text: str) -> str:
        return text.strip()


class TakeFirstFilter(_Filter):
    pass


class TakeFirstKFilter(_Filter):
    k: int = Field(default=1, ge=1)


class MajorityFilter(_Filter):
    pass


class ThoughtFilter(_Filter):
    """What stands behind the last end of a chain of thought; the whole text where there is none."""

    end: str = Field(default=THOUGHT_END, min_length=1)

    def apply(self, text: str) -> str:
        return text.rpartition(self.end)[2].strip() if self.end in text else text


FILTERS: dict[str, type[_Filter]] = {
    "regex": RegexFilter,
    "map": MapFilter,
    "lowercase": LowercaseFilter,
    "uppercase": UppercaseFilter,
    "remove_whitespace": WhitespaceFilter,
    "take_first": TakeFirstFilter,
    "take_first_k": TakeFirstKFilter,
    "majority_vote": MajorityFilter,
    "after_thinking": ThoughtFilter,
}


def filter_fault(name: str, options: Mapping[str, Any]) -> str:
    """Why this filter cannot be applied; empty when it can."""
    if name not in FILTERS:
        return f"filter '{name}' is unknown; use one of {', '.join(FILTERS)}"
    try:
        return FILTERS[name].model_validate(dict(options)).fault()
    except ValidationError as error:
        first = error.errors()[0]
        return f"filter '{name}': {'.'.join(map(str, first['loc']))}: {first['msg']}"


def filtered(text: str, filters: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """The text after each filter in turn."""
    for name, options in filters:
        text = FILTERS[name].model_validate(dict(options)).apply(text)
    return text
