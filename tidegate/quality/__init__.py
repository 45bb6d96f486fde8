"""Question banks, scorers, and the paired judgement of a candidate against the live model."""

from tidegate.quality.ask import EndpointAsker
from tidegate.quality.bank import STANDARD_BANK, Bank, Question, read_bank
from tidegate.quality.judge import QUALITY_CHECKS, judge_quality
from tidegate.quality.results import Answer, BankResult, QuestionResult, TopicScore
from tidegate.quality.run import run_bank
from tidegate.quality.scorers import SCORERS, is_right

__all__ = [
    "QUALITY_CHECKS",
    "SCORERS",
    "STANDARD_BANK",
    "Answer",
    "Bank",
    "BankResult",
    "EndpointAsker",
    "Question",
    "QuestionResult",
    "TopicScore",
    "is_right",
    "judge_quality",
    "read_bank",
    "run_bank",
]
