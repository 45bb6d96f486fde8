"""The process that touches the bytes of an artifact: `python -m tidegate.validation.child`, file on stdin.

Lowers its own limits first, then inspects the file and writes one JSON result. Whatever happens to it,
the parent goes on.
"""

import os
import sys
from dataclasses import asdict
from typing import Any

from tidegate.domain import InvalidInput
from tidegate.gguf import (
    Header,
    Inspection,
    Severity,
    estimate_memory,
    has_errors,
    inspect_file,
    template_facts,
)
from tidegate.validation.confinement import Message, confine, limits_from_argv, say

PROGRESS_STEP_BYTES = 64 * 1024**2
OUT_OF_MEMORY = 3


def main(argv: list[str]) -> int:
    """Inspect the regular file on descriptor 0."""
    limits, request = limits_from_argv(argv)
    confine(limits)
    try:
        say(_result(inspect_file(0, _Reporter()), request))
    except MemoryError:
        os.write(2, b"out of memory\n")
        return OUT_OF_MEMORY
    return 0


class _Reporter:
    """Tells the parent about progress, but not for every piece."""

    def __init__(self) -> None:
        self.next_bytes = PROGRESS_STEP_BYTES

    def __call__(self, done: int, total: int) -> None:
        if done >= self.next_bytes:
            self.next_bytes = done + PROGRESS_STEP_BYTES
            say({"done": done, "total": total})


def _result(inspection: Inspection, request: Message) -> Message:
    header = inspection.header
    structure_is_sound = header is not None and not has_errors(
        found for found in inspection.findings if found.category == "format"
    )
    memory: dict[str, Any] | None = None
    if header is not None and structure_is_sound:
        try:
            estimate = estimate_memory(
                header, request["context_tokens"], request["parallel"], is_on_gpu=request["is_on_gpu"]
            )
            memory = {**asdict(estimate), "total_bytes": estimate.total_bytes}
        except InvalidInput as error:
            os.write(2, str(error).encode() + b"\n")
    return {
        "digest": inspection.digest,
        "size_bytes": inspection.size_bytes,
        "findings": [asdict(found) for found in inspection.findings],
        "numbers_were_scanned": inspection.numbers_were_scanned,
        "memory": memory,
        "model": None if header is None else _summary(header),
        "template": template_facts(header) if structure_is_sound and header is not None else None,
        "errors": sum(found.severity is Severity.ERROR for found in inspection.findings),
    }


def _summary(header: Header) -> dict[str, Any]:
    tokens = header.array("tokenizer.ggml.tokens")
    kinds = sorted({tensor.type.name for tensor in header.tensors if tensor.type is not None})
    # Products of unchecked dimensions can have thousands of digits.
    parameters = sum(tensor.items for tensor in header.tensors if tensor.items < 2**63)
    return {
        "architecture": header.architecture[:64],
        "name": (header.text("general.name") or "")[:200],
        "parameters": min(parameters, 2**63),
        "tensors": len(header.tensors),
        "tensor_types": kinds,
        "blocks": header.of_model("block_count"),
        "width": header.of_model("embedding_length"),
        "trained_context": header.of_model("context_length"),
        "vocabulary": tokens.count if tokens else None,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv))
