"""The process that touches the bytes of an artifact: `python -m tidegate.validation.child`, inheriting its descriptor.

Lowers its own limits first, then inspects the file and writes one JSON result. Whatever happens to it,
the parent goes on.
"""

import os
import sys
from dataclasses import asdict
from typing import Any

from tidegate.domain import InvalidInput
from tidegate.gguf import Header, Severity, estimate_memory, has_errors
from tidegate.safetensors import ArtifactInspection, ArtifactKind, WeightsSummary, inspect_artifact
from tidegate.validation.confinement import Message, confine, limits_from_argv, say

PROGRESS_STEP_BYTES = 64 * 1024**2
OUT_OF_MEMORY = 3


def main(argv: list[str]) -> int:
    """Inspect the regular file or the folder that is open at the descriptor of the request."""
    limits, request = limits_from_argv(argv)
    confine(limits)
    try:
        say(_result(inspect_artifact(request["descriptor"], request["name"], _Reporter()), request))
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


def _result(inspection: ArtifactInspection, request: Message) -> Message:
    header = inspection.header
    structure_is_sound = header is not None and not has_errors(
        found for found in inspection.findings if found.category == "format"
    )
    is_model = inspection.kind is ArtifactKind.GGUF_MODEL
    memory: dict[str, Any] | None = None
    if header is not None and structure_is_sound and is_model:
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
        "kind": inspection.kind.value,
        "files": [asdict(file) for file in inspection.files],
        "model": _weights(inspection.weights) if header is None else _summary(header),
        "template": _template(header) if structure_is_sound and header is not None and is_model else None,
        "errors": sum(found.severity is Severity.ERROR for found in inspection.findings),
    }


def _weights(summary: WeightsSummary | None) -> dict[str, Any] | None:
    if summary is None:
        return None
    return {
        "architecture": summary.architecture,
        "name": summary.base_model,
        "parameters": min(summary.parameters, 2**63),
        "tensors": summary.tensors,
        "tensor_types": summary.dtypes,
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


def _template(header: Header) -> dict[str, str] | None:
    """Text and special tokens for the render probe, which runs in yet another process."""
    text = header.text("tokenizer.chat_template")
    tokens = header.array("tokenizer.ggml.tokens")
    if text is None or tokens is None:
        return None
    texts = tokens.strings()
    special = {
        name: texts[number].decode("utf-8", "replace")
        if number is not None and 0 <= number < len(texts)
        else ""
        for name in ("bos", "eos")
        for number in (header.integer(f"tokenizer.ggml.{name}_token_id"),)
    }
    return {"source": text, "bos_token": special["bos"], "eos_token": special["eos"]}


if __name__ == "__main__":
    sys.exit(main(sys.argv))
