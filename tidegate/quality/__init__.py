"""Question banks, scorers, and the paired judgement of a candidate against the live model.

Names are loaded when they are first used: asking an endpoint takes an HTTP client, and judging takes numpy,
neither of which a validation of a file needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.quality.ask import EndpointAsker
    from tidegate.quality.bank import GENERAL_BANK, STANDARD_BANK, Bank, find_bank, read_bank
    from tidegate.quality.formats import BankOptions
    from tidegate.quality.judge import QUALITY_CHECKS, judge_quality
    from tidegate.quality.question import Message, Question, ScorerSpec
    from tidegate.quality.results import (
        Answer,
        BankResult,
        QuestionResult,
        Repeat,
        TokenLogprob,
        ToolCall,
        TopicScore,
    )
    from tidegate.quality.run import run_bank
    from tidegate.quality.scorers import SCORERS, is_right
    from tidegate.quality.scoring import Scored, ScoredPart, score

__all__ = [
    "GENERAL_BANK",
    "QUALITY_CHECKS",
    "SCORERS",
    "STANDARD_BANK",
    "Answer",
    "Bank",
    "BankOptions",
    "BankResult",
    "EndpointAsker",
    "Message",
    "Question",
    "QuestionResult",
    "Repeat",
    "Scored",
    "ScoredPart",
    "ScorerSpec",
    "TokenLogprob",
    "ToolCall",
    "TopicScore",
    "find_bank",
    "is_right",
    "judge_quality",
    "read_bank",
    "run_bank",
    "score",
]

_HOMES = {
    "ask": ("EndpointAsker",),
    "bank": ("GENERAL_BANK", "STANDARD_BANK", "Bank", "find_bank", "read_bank"),
    "formats": ("BankOptions",),
    "judge": ("QUALITY_CHECKS", "judge_quality"),
    "question": ("Message", "Question", "ScorerSpec"),
    "results": ("Answer", "BankResult", "QuestionResult", "Repeat", "TokenLogprob", "ToolCall", "TopicScore"),
    "run": ("run_bank",),
    "scorers": ("SCORERS", "is_right"),
    "scoring": ("Scored", "ScoredPart", "score"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"tidegate.quality.{_MODULE_OF[name]}"), name)
