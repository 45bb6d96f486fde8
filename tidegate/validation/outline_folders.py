"""Outlines of artifacts that are not one GGUF file: safetensors, and folders of adapters, models or parts.

Runs inside of the outline child only. What is no model in a folder is listed by name and size.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO, cast

from tidegate.gguf import Finding, Header
from tidegate.gguf.reader import read_header
from tidegate.safetensors.folder import Entry, list_folder, open_entry
from tidegate.safetensors.header import KINDS, WeightsHeader, check_length, parse_weights
from tidegate.safetensors.json_text import read_json
from tidegate.validation.confinement import Message
from tidegate.validation.tensor_kinds import tensor_kind

CONFIGS = ("adapter_config.json", "config.json", "tokenizer_config.json", "generation_config.json")
LARGEST_CONFIG_BYTES = 4 * 1024**2
SHOWN_CHARACTERS = 2000
LARGEST_INTEGER = 2**63
TEMPLATE_KEY = "chat_template"


@dataclass
class Contents:
    """What the files of a folder say."""

    headers: dict[str, Header] = field(default_factory=dict[str, Header])
    weights: list[WeightsHeader] = field(default_factory=list[WeightsHeader])
    metadata: list[Message] = field(default_factory=list[Message])
    templates: dict[str, str] = field(default_factory=dict[str, str])
    findings: list[Finding] = field(default_factory=list[Finding])
    architecture: str = ""
    base_model: str = ""


def folder_contents(descriptor: int) -> tuple[Contents, list[Entry]]:
    """Headers and settings of every file of the folder that is open at the descriptor."""
    listing = list_folder(descriptor)
    contents = Contents(findings=list(listing.findings))
    for entry in listing.entries:
        try:
            opened = open_entry(descriptor, entry)
        except OSError:
            continue
        with os.fdopen(opened, "rb", buffering=0) as stream:
            _take(contents, entry, stream)
    return contents, list(listing.entries)


def _take(contents: Contents, entry: Entry, stream: BinaryIO) -> None:
    if entry.path.endswith(".gguf"):
        reading = read_header(stream)
        contents.findings += reading.findings
        if reading.header is not None:
            contents.headers[entry.path] = reading.header
    elif entry.path.endswith(".safetensors"):
        header, found = read_weights(stream, entry.size)
        contents.findings += found
        if header is not None:
            contents.weights.append(header)
    elif entry.path in CONFIGS and entry.size <= LARGEST_CONFIG_BYTES:
        _take_config(contents, entry.path, _read(stream, entry.size))


def _take_config(contents: Contents, name: str, data: bytes) -> None:
    table = read_json(data).table
    for key, value in (table or {}).items():
        if key == TEMPLATE_KEY and isinstance(value, str):
            contents.templates[f"{name}: {key}"] = value
        contents.metadata.append(_row(f"{name}: {key}", value))
    if table and name == "config.json":
        contents.architecture = str(table.get("model_type") or "")
    if table and name == "adapter_config.json":
        contents.base_model = str(table.get("base_model_name_or_path") or "")


def read_weights(stream: BinaryIO, size: int) -> tuple[WeightsHeader | None, tuple[Finding, ...]]:
    """The header of a safetensors file that is read from its start."""
    stream.seek(0)
    length, problem = check_length(_read(stream, 8), size)
    if problem is not None:
        return None, (problem,)
    return parse_weights(_read(stream, length), size)


def _read(stream: BinaryIO, count: int) -> bytes:
    data = bytearray()
    while len(data) < count and (piece := stream.read(count - len(data))):
        data += piece
    return bytes(data)


def weights_outline(headers: list[WeightsHeader], architecture: str = "", name: str = "") -> dict[str, Any]:
    """Model, metadata, tensors and groups of safetensors files together."""
    tensors = [row for header in headers for row in _tensors(header)]
    parameters = sum(weight.items for header in headers for weight in header.weights)
    notes = [_row(key, value) for header in headers for key, value in header.metadata.items()]
    return {
        "model": {
            "architecture": architecture[:64],
            "name": name[:200],
            "parameters": min(parameters, LARGEST_INTEGER),
            "tensors": len(tensors),
            "tensor_types": sorted({row["type"] for row in tensors}),
        },
        "metadata": notes,
        "tensors": tensors,
        "groups": _groups(tensors),
    }


def _tensors(header: WeightsHeader) -> Iterator[dict[str, Any]]:
    for weight in header.weights:
        yield {
            "name": weight.name,
            "kind": tensor_kind(weight.name),
            "type": weight.dtype if weight.dtype in KINDS else "unknown",
            "dims": [min(dim, LARGEST_INTEGER) for dim in weight.shape],
            "bytes": min(max(0, weight.end - weight.begin), LARGEST_INTEGER),
            "offset": min(weight.begin, LARGEST_INTEGER),
        }


def _groups(tensors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    counts = Counter((row["kind"], row["type"]) for row in tensors)
    sizes: Counter[tuple[str, str]] = Counter()
    for row in tensors:
        sizes[row["kind"], row["type"]] += row["bytes"]
    return [
        {"kind": kind, "type": name, "tensors": counts[kind, name], "bytes": min(size, LARGEST_INTEGER)}
        for (kind, name), size in sizes.most_common()
    ]


def _row(key: str, value: object) -> Message:
    """One setting; JSON has its own names for types."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return {
        "key": key[:200],
        "type": _json_type(value),
        "count": len(cast("list[object]", value)) if isinstance(value, list) else None,
        "value": text[:SHOWN_CHARACTERS],
        "is_cut": len(text) > SHOWN_CHARACTERS,
        "digest": digest,
        "offset": 0,
    }


def _json_type(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case int() | float():
            return "number"
        case None:
            return "null"
        case _:
            return "list" if isinstance(value, list) else "object"


def findings_told(found: list[Finding]) -> list[dict[str, Any]]:
    return [asdict(one) for one in found]
