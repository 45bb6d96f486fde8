"""Reads and judges GGUF files that nobody has vouched for. Bounds-checked, capped, and never raises for bad content."""

from tidegate.gguf.findings import Category, Finding, Rule, Severity, capped, has_errors, quote
from tidegate.gguf.gpu_fit import GPU_TABLE_DATE, GPUS, Gpu, GpuFit, cheapest, fit, with_prices
from tidegate.gguf.header import ArrayValue, Header, TensorInfo, Value, ValueType
from tidegate.gguf.header_diff import Change, HeaderDiff, header_diff
from tidegate.gguf.inspection import Inspection, inspect_file, inspect_header, inspect_stream
from tidegate.gguf.limits import LIMITS, Limits
from tidegate.gguf.lora import check_adapter_on, is_adapter
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
from tidegate.gguf.split_inspection import SplitInspection, inspect_split, judge_split, set_digest
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
    "CACHE_TYPES",
    "DEFAULT_OPTIONS",
    "FILE_TYPES",
    "GPUS",
    "GPU_TABLE_DATE",
    "LIMITS",
    "RULES",
    "TEMPLATE_FACTS",
    "TENSOR_TYPES",
    "UNSUPPORTED",
    "ArrayValue",
    "Category",
    "Change",
    "Finding",
    "Gpu",
    "GpuFit",
    "Header",
    "HeaderDiff",
    "Inspection",
    "Limits",
    "MemoryEstimate",
    "Reading",
    "Rule",
    "ServingOptions",
    "Severity",
    "SplitInspection",
    "SplitName",
    "TemplateDiff",
    "TensorInfo",
    "TensorType",
    "TokenizerDiff",
    "Value",
    "ValueType",
    "cache_bytes",
    "capped",
    "cheapest",
    "check_adapter_on",
    "check_against_baseline",
    "check_split",
    "check_template",
    "estimate_memory",
    "finding",
    "fit",
    "has_errors",
    "header_diff",
    "inspect_file",
    "inspect_header",
    "inspect_split",
    "inspect_stream",
    "is_adapter",
    "is_part",
    "joined",
    "judge_split",
    "outline",
    "parse_name",
    "quote",
    "read_header",
    "set_digest",
    "template_diff",
    "template_diffs",
    "template_digest",
    "template_facts",
    "tokenizer_diff",
    "trigger_words",
    "with_prices",
]
