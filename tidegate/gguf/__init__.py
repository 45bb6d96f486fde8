"""Reads and judges GGUF files that nobody has vouched for. Bounds-checked, capped, and never raises for bad content.

Names are loaded when they are first used: who only judges what a confined child found needs neither numpy nor
the template engine.
"""

from importlib import import_module
from typing import TYPE_CHECKING

# At once, because functions of the same name as their modules would be hidden by these.
from tidegate.gguf.header_diff import Change, HeaderDiff, header_diff
from tidegate.gguf.outline import outline
from tidegate.gguf.tokenizer_diff import (
    TemplateDiff,
    TokenizerDiff,
    template_diff,
    template_diffs,
    template_digest,
    tokenizer_diff,
)

if TYPE_CHECKING:
    from tidegate.gguf.fact_names import TEMPLATE_FACTS
    from tidegate.gguf.findings import Category, Finding, Rule, Severity, capped, has_errors, quote
    from tidegate.gguf.gpu_fit import GPU_TABLE_DATE, GPUS, Gpu, GpuFit, cheapest, fit, with_prices
    from tidegate.gguf.header import ArrayValue, Header, TensorInfo, Value, ValueType
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
    from tidegate.gguf.probe_facts import template_facts, trigger_words
    from tidegate.gguf.reader import Reading, read_header
    from tidegate.gguf.rules import RULES, UNSUPPORTED, finding
    from tidegate.gguf.same_tensors import tensor_digest
    from tidegate.gguf.split import SplitName, check_split, is_part, joined, parse_name
    from tidegate.gguf.split_inspection import SplitInspection, inspect_split, judge_split, set_digest
    from tidegate.gguf.template import check_template
    from tidegate.gguf.template_baseline import check_against_baseline
    from tidegate.gguf.tensor_types import FILE_TYPES, TENSOR_TYPES, TensorType

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
    "tensor_digest",
    "tokenizer_diff",
    "trigger_words",
    "with_prices",
]

_HOMES = {
    "findings": ("Category", "Finding", "Rule", "Severity", "capped", "has_errors", "quote"),
    "gpu_fit": ("GPU_TABLE_DATE", "GPUS", "Gpu", "GpuFit", "cheapest", "fit", "with_prices"),
    "header": ("ArrayValue", "Header", "TensorInfo", "Value", "ValueType"),
    "inspection": ("Inspection", "inspect_file", "inspect_header", "inspect_stream"),
    "limits": ("LIMITS", "Limits"),
    "memory": (
        "CACHE_TYPES",
        "DEFAULT_OPTIONS",
        "MemoryEstimate",
        "ServingOptions",
        "cache_bytes",
        "estimate_memory",
    ),
    "reader": ("Reading", "read_header"),
    "rules": ("RULES", "UNSUPPORTED", "finding"),
    "same_tensors": ("tensor_digest",),
    "split": ("SplitName", "check_split", "is_part", "joined", "parse_name"),
    "split_inspection": ("SplitInspection", "inspect_split", "judge_split", "set_digest"),
    "lora": ("check_adapter_on", "is_adapter"),
    "template": ("check_template",),
    "template_baseline": ("check_against_baseline",),
    "fact_names": ("TEMPLATE_FACTS",),
    "probe_facts": ("template_facts", "trigger_words"),
    "tensor_types": ("FILE_TYPES", "TENSOR_TYPES", "TensorType"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"tidegate.gguf.{_MODULE_OF[name]}"), name)
