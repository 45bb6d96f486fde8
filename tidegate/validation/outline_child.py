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
from tidegate.gguf import ArrayValue, Finding, Header, Value, ValueType, estimate_memory, inspect_header
from tidegate.gguf.findings import capped
from tidegate.gguf.reader import MAGIC, read_header
from tidegate.gguf.split import check_split, joined
from tidegate.validation.confinement import Message, confine, limits_from_argv, say
from tidegate.validation.outline_folders import (
    findings_told,
    folder_contents,
    read_weights,
    weights_outline,
)
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
    """The outline of the artifact as plain data: one file, the parts of one model, or a folder."""
    if os.path.isdir(paths[0]):
        return _of_folder(paths[0], context_tokens, parallel)
    if len(paths) > 1:
        return _of_parts(paths, context_tokens, parallel)
    with open_regular(paths[0]) as stream:
        size = os.fstat(stream.fileno()).st_size
        if paths[0].endswith(".safetensors") and stream.read(4) != MAGIC:
            header, found = read_weights(stream, size)
            base: Message = {"files": paths, "size_bytes": size, "findings": findings_told(list(found))}
            return {**base, "format": "safetensors", **(weights_outline([header]) if header else {})}
        stream.seek(0)
        reading = read_header(stream)
    found_all = [asdict(found) for found in capped(inspect_header(reading))]
    base = {"files": paths, "size_bytes": size, "findings": found_all}
    if reading.header is None:
        return {**base, "format": "unknown"}
    return {**base, **_of_header(reading.header, context_tokens, parallel)}


def _of_header(header: Header, context_tokens: int, parallel: int) -> Message:
    return {
        "format": f"GGUF {header.version}, {'big' if header.is_big_endian else 'little'}-endian",
        "header_bytes": header.header_bytes,
        "model": summary(header),
        "metadata": [_entry(key, value) for key, value in header.metadata.items()],
        "tensors": list(_tensors(header)),
        "groups": _groups(header),
        "templates": dict(_templates(header)),
        "memory": _memory(header, context_tokens, parallel),
    }


def _of_parts(paths: list[str], context_tokens: int, parallel: int) -> Message:
    """A split model: the header of all parts as the one that they make."""
    headers: dict[str, Header] = {}
    findings: list[Finding] = []
    size = 0
    for path in paths:
        with open_regular(path) as stream:
            size += os.fstat(stream.fileno()).st_size
            reading = read_header(stream)
        findings += reading.findings
        if reading.header is not None:
            headers[os.path.basename(path)] = reading.header
    findings += check_split({os.path.basename(path): headers.get(os.path.basename(path)) for path in paths})
    base: Message = {"files": paths, "size_bytes": size, "findings": findings_told(list(capped(findings)))}
    if len(headers) != len(paths):
        return {**base, "format": "unknown"}
    return {**base, **_of_header(joined(headers), context_tokens, parallel)}


def _of_folder(path: str, context_tokens: int, parallel: int) -> Message:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        contents, entries = folder_contents(descriptor)
    finally:
        os.close(descriptor)
    base: Message = {
        "files": [entry.path for entry in entries],
        "size_bytes": sum(entry.size for entry in entries),
        "findings": findings_told(list(capped(contents.findings))),
    }
    if contents.headers:
        told = _of_header(joined(contents.headers), context_tokens, parallel)
        return {**base, **told, "metadata": [*told["metadata"], *contents.metadata]}
    if contents.weights or contents.metadata:
        name = contents.base_model and f"adapter of {contents.base_model}"
        told = weights_outline(contents.weights, contents.architecture, name)
        rows = [*contents.metadata, *told["metadata"]]
        return {**base, **told, "format": "safetensors", "metadata": rows, "templates": contents.templates}
    return {**base, "format": "unknown"}


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
