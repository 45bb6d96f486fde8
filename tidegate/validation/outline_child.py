"""Reads one header for `read_outline`: `python -m tidegate.validation.outline_child`. Judges nothing by policy.

Values are cut before they leave this process: a vocabulary has a quarter of a million texts.
"""

import hashlib
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, BinaryIO

from tidegate.domain import InvalidInput
from tidegate.gguf import ArrayValue, Header, Value, ValueType, estimate_memory, inspect_header
from tidegate.gguf.findings import capped
from tidegate.gguf.reader import read_header
from tidegate.validation.confinement import Message, confine, limits_from_argv, say
from tidegate.validation.tensor_kinds import tensor_kind

SHOWN_CHARACTERS = 2000
SHOWN_ITEMS = 12
SHOWN_ITEM_BYTES = 80
LONGEST_TEMPLATE = 256 * 1024
LARGEST_INTEGER = 2**63
TEMPLATE_KEY = "tokenizer.chat_template"


def main(argv: list[str]) -> int:
    """Write one outline, or why there is none."""
    limits, request = limits_from_argv(argv)
    confine(limits)
    try:
        say(outline(request["paths"], request["context_tokens"], request["parallel"]))
    except MemoryError:
        say({"problem": "it took more memory than any known model needs"})
    return 0


def outline(paths: list[str], context_tokens: int, parallel: int) -> Message:
    """The outline of the artifact as plain data."""
    with open_regular(paths[0]) as stream:
        reading = read_header(stream)
        size = os.fstat(stream.fileno()).st_size
    findings = [asdict(found) for found in capped(inspect_header(reading))]
    base: Message = {"files": paths, "size_bytes": size, "findings": findings}
    header = reading.header
    if header is None:
        return {**base, "format": "unknown"}
    return {
        **base,
        "format": f"GGUF {header.version}, {'big' if header.is_big_endian else 'little'}-endian",
        "header_bytes": header.header_bytes,
        "model": summary(header),
        "metadata": [_entry(key, value) for key, value in header.metadata.items()],
        "tensors": list(_tensors(header)),
        "groups": _groups(header),
        "templates": dict(_templates(header)),
        "memory": _memory(header, context_tokens, parallel),
    }


def open_regular(path: str) -> BinaryIO:
    """Open without waiting at a pipe.

    Raises: OSError, also for what is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path!r} is not a regular file")
    return os.fdopen(descriptor, "rb", buffering=0)


def summary(header: Header) -> dict[str, Any]:
    """What the model calls itself and how large it is."""
    tokens = header.array("tokenizer.ggml.tokens")
    kinds = sorted({tensor.type.name for tensor in header.tensors if tensor.type is not None})
    # Products of unchecked dimensions can have thousands of digits.
    parameters = sum(tensor.items for tensor in header.tensors if tensor.items < LARGEST_INTEGER)
    return {
        "architecture": header.architecture[:64],
        "name": (header.text("general.name") or "")[:200],
        "parameters": min(parameters, LARGEST_INTEGER),
        "tensors": len(header.tensors),
        "tensor_types": kinds,
        "blocks": header.of_model("block_count"),
        "width": header.of_model("embedding_length"),
        "trained_context": header.of_model("context_length"),
        "vocabulary": tokens.count if tokens else None,
    }


def _entry(key: str, value: Value) -> dict[str, Any]:
    content = value.content
    if isinstance(content, ArrayValue):
        shown = _items(content)
        return {
            "key": key[:200],
            "type": f"{content.item_type.name.lower()}[]",
            "count": content.count,
            "value": shown,
            "is_cut": content.count > SHOWN_ITEMS,
            "digest": _digest(
                content.item_type.name, memoryview(content.source)[content.offset : content.end]
            ),
            "offset": value.offset,
        }
    text = _number(content) if value.type is ValueType.F32 else str(content)
    return {
        "key": key[:200],
        "type": value.type.name.lower(),
        "value": text[:SHOWN_CHARACTERS],
        "is_cut": len(text) > SHOWN_CHARACTERS,
        "digest": _digest(value.type.name, text.encode("utf-8", "surrogatepass")),
        "offset": value.offset,
    }


def _items(array: ArrayValue) -> str:
    if array.item_type is ValueType.STRING:
        texts = array.strings(0, SHOWN_ITEMS)
        shown = [repr(text[:SHOWN_ITEM_BYTES].decode("utf-8", "replace")) for text in texts]
    else:
        shown = [_number(number) for number in array.numbers(SHOWN_ITEMS)]
    return "[" + ", ".join(shown) + (", ...]" if array.count > SHOWN_ITEMS else "]")


def _number(number: object) -> str:
    """Seven digits are what a 32-bit number holds: 1e-05 and not 9.999999747378752e-06."""
    return f"{number:.7g}" if isinstance(number, float) else str(number)


def _digest(kind: str, raw: bytes | memoryview) -> str:
    digest = hashlib.sha256(kind.encode() + b"\0")
    digest.update(raw)
    return digest.hexdigest()


def _tensors(header: Header) -> Iterator[dict[str, Any]]:
    for tensor in header.tensors:
        size = tensor.n_bytes
        yield {
            "name": tensor.name,
            "kind": tensor_kind(tensor.name),
            "type": tensor.type.name if tensor.type else f"unknown ({tensor.type_id})",
            "dims": [min(dim, LARGEST_INTEGER) for dim in tensor.dims],
            "bytes": None if size is None or size >= LARGEST_INTEGER else size,
            "offset": min(tensor.offset, LARGEST_INTEGER),
        }


def _groups(header: Header) -> list[dict[str, Any]]:
    counts: Counter[tuple[str, str]] = Counter()
    sizes: Counter[tuple[str, str]] = Counter()
    for tensor in _tensors(header):
        at = (tensor["kind"], tensor["type"])
        counts[at] += 1
        sizes[at] += tensor["bytes"] or 0
    return [
        {"kind": kind, "type": type_, "tensors": counts[kind, type_], "bytes": min(size, LARGEST_INTEGER)}
        for (kind, type_), size in sizes.most_common()
    ]


def _templates(header: Header) -> Iterator[tuple[str, str]]:
    for key in header.metadata:
        if key.startswith(TEMPLATE_KEY):
            text = header.text(key)
            if text is not None:
                yield key[:200], text[:LONGEST_TEMPLATE]


def _memory(header: Header, context_tokens: int, parallel: int) -> dict[str, Any] | None:
    """None where the header lacks what the formulas need; the findings say what."""
    try:
        estimate = estimate_memory(header, context_tokens, parallel)
    except InvalidInput:
        return None
    total = estimate.total_bytes
    return None if total >= LARGEST_INTEGER else {**asdict(estimate), "total_bytes": total}


if __name__ == "__main__":
    sys.exit(main(sys.argv))
