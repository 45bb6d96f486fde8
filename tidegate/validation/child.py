"""The process that touches the bytes of an artifact: `python -m tidegate.validation.child`, inheriting its descriptor.

Lowers its own limits first, then inspects the file and writes one JSON result. Whatever happens to it,
the parent goes on.
"""

import hashlib
import os
import stat
import sys
from collections import Counter
from dataclasses import asdict, replace
from typing import Any

from tidegate.domain import InvalidInput
from tidegate.gguf import (
    ArrayValue,
    Header,
    Inspection,
    MemoryEstimate,
    Severity,
    capped,
    estimate_memory,
    fit,
    has_errors,
    inspect_header,
    inspect_split,
    judge_split,
    read_header,
    template_facts,
)
from tidegate.safetensors import (
    ArtifactInspection,
    ArtifactKind,
    FileDigest,
    WeightsSummary,
    inspect_artifact,
)
from tidegate.validation.confinement import Message, confine, limits_from_argv, say
from tidegate.validation.tensor_kinds import tensor_kind

PROGRESS_STEP_BYTES = 64 * 1024**2
USUAL_CONTEXT = 4096
TOKENIZER_PREFIX = "tokenizer."
MOST_MARKS = 64
OUT_OF_MEMORY = 3


def main(argv: list[str]) -> int:
    """Inspect the regular file or the folder that is open at the descriptor of the request, or only its header."""
    limits, request = limits_from_argv(argv)
    confine(limits)
    descriptor = request["descriptor"]
    try:
        is_header_only = request.get("is_header_only") is True
        if len(request["parts"]) > 1:
            split = _split(request["parts"], is_header_only=is_header_only)
            say({**_result(split, request), "is_header_only": is_header_only})
        elif is_header_only and _is_gguf(descriptor):
            say({**_result(_header_only(descriptor), request), "is_header_only": True})
        else:
            say(_result(inspect_artifact(descriptor, request["name"], _Reporter()), request))
    except MemoryError:
        os.write(2, b"out of memory\n")
        return OUT_OF_MEMORY
    return 0


def _is_gguf(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode) and os.pread(descriptor, 4, 0) == b"GGUF"


def _header_only(descriptor: int) -> ArtifactInspection:
    return _of_model(_inspect_header_only(descriptor))


def _inspect_header_only(descriptor: int) -> Inspection:
    with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as stream:
        reading = read_header(stream)
    return Inspection(
        digest="",
        size_bytes=os.fstat(descriptor).st_size,
        header=reading.header,
        findings=capped(inspect_header(reading)),
        numbers_were_scanned=False,
    )


def _split(parts: dict[str, int], *, is_header_only: bool) -> ArtifactInspection:
    """All parts of a split model, as the one model that they make, with a digest for each."""
    if is_header_only:
        split = judge_split({name: _inspect_header_only(part) for name, part in sorted(parts.items())})
    else:
        split = inspect_split(parts, _Reporter())
    files = [FileDigest(name, part.digest, part.size_bytes) for name, part in split.parts.items()]
    return replace(_of_model(split.whole), files=tuple(files))


def _of_model(inspection: Inspection) -> ArtifactInspection:
    return ArtifactInspection(
        kind=ArtifactKind.GGUF_MODEL,
        digest=inspection.digest,
        size_bytes=inspection.size_bytes,
        findings=inspection.findings,
        numbers_were_scanned=inspection.numbers_were_scanned,
        header=inspection.header,
    )


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
            estimate = _estimate(header, request, is_on_gpu=request["is_on_gpu"])
            memory = {**asdict(estimate), "total_bytes": estimate.total_bytes}
        except InvalidInput as error:
            os.write(2, str(error).encode() + b"\n")
    return {
        "digest": inspection.digest,
        "size_bytes": inspection.size_bytes,
        "findings": [asdict(found) for found in inspection.findings],
        "numbers_were_scanned": inspection.numbers_were_scanned,
        "memory": memory,
        "gpu_fit": _gpu_fit(header, request) if memory is not None and header is not None else [],
        "is_header_only": False,
        "kind": inspection.kind.value,
        "files": [asdict(file) for file in inspection.files],
        "model": _weights(inspection.weights) if header is None else _summary(header),
        "template": template_facts(header)
        if structure_is_sound and header is not None and is_model
        else None,
        "tokenizer": tokenizer_marks(header) if structure_is_sound and header is not None else {},
        "tensor_groups": tensor_groups(header) if header is not None else [],
        "errors": sum(found.severity is Severity.ERROR for found in inspection.findings),
    }


def tensor_groups(header: Header) -> list[dict[str, Any]]:
    """Tensors of one part of the model and one type together, largest first."""
    counts: Counter[tuple[str, str]] = Counter()
    sizes: Counter[tuple[str, str]] = Counter()
    for tensor in header.tensors:
        at = (tensor_kind(tensor.name), tensor.type.name if tensor.type else "unknown")
        counts[at] += 1
        sizes[at] += min(tensor.n_bytes or 0, 2**63)
    return [
        {"kind": kind, "type": name, "tensors": counts[kind, name], "bytes": min(size, 2**63)}
        for (kind, name), size in sizes.most_common()
    ]


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


def _estimate(header: Header, request: Message, *, is_on_gpu: bool) -> MemoryEstimate:
    context = request["context_tokens"] or _usual_context(header)
    return estimate_memory(header, context, request["parallel"], is_on_gpu=is_on_gpu)


def _gpu_fit(header: Header, request: Message) -> list[dict[str, Any]]:
    """Every type of GPU, cheapest first."""
    try:
        return [asdict(one) for one in fit(_estimate(header, request, is_on_gpu=True))]
    except InvalidInput as error:
        os.write(2, str(error).encode() + b"\n")
        return []


def _usual_context(header: Header) -> int:
    trained = header.of_model("context_length") or USUAL_CONTEXT
    return max(1, min(trained, USUAL_CONTEXT))


def tokenizer_marks(header: Header) -> dict[str, Any]:
    """What makes two tokenizers the same, short enough to compare and to keep: digests of lists, and settings."""
    marks: dict[str, Any] = {}
    for key, value in header.metadata.items():
        if not key.startswith(TOKENIZER_PREFIX) or key.startswith("tokenizer.chat_template"):
            continue
        content = value.content
        name = key.removeprefix(TOKENIZER_PREFIX).removeprefix("ggml.")[:64]
        if isinstance(content, ArrayValue):
            marks[name] = hashlib.sha256(content.view).hexdigest()[:16] + f" of {content.count}"
        elif len(marks) < MOST_MARKS:
            marks[name] = content[:64] if isinstance(content, str) else str(content)[:64]
    return marks


if __name__ == "__main__":
    sys.exit(main(sys.argv))
