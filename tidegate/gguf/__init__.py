"""Reads and judges GGUF files that nobody has vouched for. Bounds-checked, capped, and never raises for bad content."""

from tidegate.gguf.findings import Category, Finding, Rule, Severity, capped, has_errors, quote
from tidegate.gguf.header import ArrayValue, Header, TensorInfo, Value, ValueType
from tidegate.gguf.inspection import Inspection, inspect_file, inspect_header
from tidegate.gguf.limits import LIMITS, Limits
from tidegate.gguf.memory import MemoryEstimate, estimate_memory
from tidegate.gguf.reader import Reading, read_header
from tidegate.gguf.rules import RULES, UNSUPPORTED, finding
from tidegate.gguf.split import SplitName, check_split, is_part, joined, parse_name
from tidegate.gguf.split_inspection import SplitInspection, inspect_split
from tidegate.gguf.template import check_template
from tidegate.gguf.tensor_types import FILE_TYPES, TENSOR_TYPES, TensorType

__all__ = [
    "FILE_TYPES",
    "LIMITS",
    "RULES",
    "TENSOR_TYPES",
    "UNSUPPORTED",
    "ArrayValue",
    "Category",
    "Finding",
    "Header",
    "Inspection",
    "Limits",
    "MemoryEstimate",
    "Reading",
    "Rule",
    "Severity",
    "SplitInspection",
    "SplitName",
    "TensorInfo",
    "TensorType",
    "Value",
    "ValueType",
    "capped",
    "check_split",
    "check_template",
    "estimate_memory",
    "finding",
    "has_errors",
    "inspect_file",
    "inspect_header",
    "inspect_split",
    "is_part",
    "joined",
    "parse_name",
    "quote",
    "read_header",
]
