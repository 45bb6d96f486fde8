"""Reads and judges GGUF files that nobody has vouched for. Bounds-checked, capped, and never raises for bad content."""

from tidegate.gguf.findings import Category, Finding, Rule, Severity, has_errors, quote
from tidegate.gguf.header import ArrayValue, Header, TensorInfo, Value, ValueType
from tidegate.gguf.header_diff import Change, HeaderDiff, header_diff
from tidegate.gguf.inspection import Inspection, inspect_file, inspect_header
from tidegate.gguf.limits import LIMITS, Limits
from tidegate.gguf.memory import MemoryEstimate, estimate_memory
from tidegate.gguf.reader import Reading, read_header
from tidegate.gguf.rules import RULES, finding
from tidegate.gguf.template import check_template
from tidegate.gguf.template_baseline import check_against_baseline
from tidegate.gguf.template_facts import TEMPLATE_FACTS, template_facts, trigger_words
from tidegate.gguf.tensor_types import FILE_TYPES, TENSOR_TYPES, TensorType
from tidegate.gguf.tokenizer_diff import (
    TemplateDiff,
    TokenizerDiff,
    template_diff,
    template_diffs,
    template_digest,
    tokenizer_diff,
)

__all__ = [
    "FILE_TYPES",
    "LIMITS",
    "RULES",
    "TEMPLATE_FACTS",
    "TENSOR_TYPES",
    "ArrayValue",
    "Category",
    "Change",
    "Finding",
    "Header",
    "HeaderDiff",
    "Inspection",
    "Limits",
    "MemoryEstimate",
    "Reading",
    "Rule",
    "Severity",
    "TemplateDiff",
    "TensorInfo",
    "TensorType",
    "TokenizerDiff",
    "Value",
    "ValueType",
    "check_against_baseline",
    "check_template",
    "estimate_memory",
    "finding",
    "has_errors",
    "header_diff",
    "inspect_file",
    "inspect_header",
    "quote",
    "read_header",
    "template_diff",
    "template_diffs",
    "template_digest",
    "template_facts",
    "tokenizer_diff",
    "trigger_words",
]
