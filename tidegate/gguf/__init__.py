"""Reads and judges GGUF files that nobody has vouched for. Bounds-checked, capped, and never raises for bad content."""

from tidegate.gguf.findings import Category, Finding, Rule, Severity, capped, has_errors, quote
from tidegate.gguf.gpu_fit import GPU_TABLE_DATE, GPUS, Gpu, GpuFit, cheapest, fit, with_prices
from tidegate.gguf.header import ArrayValue, Header, TensorInfo, Value, ValueType
from tidegate.gguf.inspection import Inspection, inspect_file, inspect_header, inspect_stream
from tidegate.gguf.limits import LIMITS, Limits
from tidegate.gguf.memory import (
    CACHE_TYPES,
    DEFAULT_OPTIONS,
    MemoryEstimate,
    ServingOptions,
    cache_bytes,
    estimate_memory,
)
from tidegate.gguf.outline import outline
from tidegate.gguf.reader import Reading, read_header
from tidegate.gguf.rules import RULES, UNSUPPORTED, finding
from tidegate.gguf.split import SplitName, check_split, is_part, joined, parse_name
from tidegate.gguf.split_inspection import SplitInspection, inspect_split, judge_split
from tidegate.gguf.template import check_template
from tidegate.gguf.tensor_types import FILE_TYPES, TENSOR_TYPES, TensorType

__all__ = [
    "CACHE_TYPES",
    "DEFAULT_OPTIONS",
    "FILE_TYPES",
    "GPUS",
    "GPU_TABLE_DATE",
    "LIMITS",
    "RULES",
    "TENSOR_TYPES",
    "UNSUPPORTED",
    "ArrayValue",
    "Category",
    "Finding",
    "Gpu",
    "GpuFit",
    "Header",
    "Inspection",
    "Limits",
    "MemoryEstimate",
    "Reading",
    "Rule",
    "ServingOptions",
    "Severity",
    "SplitInspection",
    "SplitName",
    "TensorInfo",
    "TensorType",
    "Value",
    "ValueType",
    "cache_bytes",
    "capped",
    "cheapest",
    "check_split",
    "check_template",
    "estimate_memory",
    "finding",
    "fit",
    "has_errors",
    "inspect_file",
    "inspect_header",
    "inspect_split",
    "inspect_stream",
    "is_part",
    "joined",
    "judge_split",
    "outline",
    "parse_name",
    "quote",
    "read_header",
    "with_prices",
]
