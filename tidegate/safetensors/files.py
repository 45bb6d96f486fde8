"""Judges one file of any kind: what it is, what is wrong with it, and its digest."""

import os
from dataclasses import dataclass
from pathlib import PurePosixPath

from tidegate.gguf import LIMITS, Finding, Header, Limits, check_template, inspect_file, quote
from tidegate.gguf.findings import capped
from tidegate.safetensors.header import WeightsHeader
from tidegate.safetensors.json_text import JsonLimits, JsonReading, read_json
from tidegate.safetensors.kinds import (
    HEAD_BYTES,
    TAIL_BYTES,
    Detected,
    FileKind,
    detect,
    is_pickle_suffix,
    suffix_of,
)
from tidegate.safetensors.rules import finding
from tidegate.safetensors.stream import HashedFile, Progress
from tidegate.safetensors.weights import inspect_weights

MAX_JSON_BYTES = 24 * 1024**2
MAX_TEMPLATE_BYTES = 1024**2
_JSON_LIMITS = JsonLimits(max_depth=32, max_values=400_000, max_names=300_000)
# The vocabulary: large, and read by the tokenizer's own parser. Its bytes are covered by the digest.
_NOT_PARSED = frozenset({"tokenizer.json", "vocab.json"})
_PLAIN_SUFFIX = {FileKind.GGUF: ".gguf", FileKind.SAFETENSORS: ".safetensors"}
_TRAINING_LEFTOVERS = ("training_args", "optimizer", "scheduler", "rng_state", "scaler")


@dataclass(frozen=True, slots=True)
class FileInspection:
    """One file. At most one of the contents is there, after its kind."""

    name: str
    kind: FileKind
    digest: str
    size_bytes: int
    findings: tuple[Finding, ...]
    numbers_were_scanned: bool = False
    header: Header | None = None
    weights: WeightsHeader | None = None
    zeros: frozenset[str] = frozenset()
    json: JsonReading | None = None


def inspect_one(
    descriptor: int,
    name: str,
    progress: Progress | None = None,
    limits: Limits = LIMITS,
    *,
    is_alone: bool = True,
) -> FileInspection:
    """Read a regular file once and judge it. `is_alone`: it must be a model by itself, not a part of a folder."""
    size = os.fstat(descriptor).st_size
    head = os.pread(descriptor, HEAD_BYTES, 0)
    tail = os.pread(descriptor, TAIL_BYTES, max(0, size - TAIL_BYTES))
    detected = detect(head, tail, name)
    if detected.kind is FileKind.GGUF:
        return _gguf(descriptor, name, progress, limits)
    file = HashedFile(descriptor, progress)
    if detected.kind is FileKind.SAFETENSORS:
        return _weights(file, name)
    if detected.kind is FileKind.JSON and not is_alone:
        return _json(file, name)
    if detected.kind is FileKind.TEXT and not is_alone:
        return _text(file, name)
    if is_alone and detected.kind is FileKind.UNKNOWN and not is_pickle_suffix(name):
        # What is wrong with a file that is none of ours is told best by the reader of GGUF.
        return _gguf(descriptor, name, progress, limits)
    for _ in file.pieces():
        pass
    found = [*file.changes(), *_refusal(detected, name, is_alone=is_alone)]
    return FileInspection(name, detected.kind, file.digest, file.position, tuple(found))


def _gguf(descriptor: int, name: str, progress: Progress | None, limits: Limits) -> FileInspection:
    seen = inspect_file(descriptor, progress, limits)
    found = (*seen.findings, *_suffix(FileKind.GGUF, name)) if seen.header is not None else seen.findings
    return FileInspection(
        name,
        FileKind.GGUF,
        seen.digest,
        seen.size_bytes,
        found,
        seen.numbers_were_scanned,
        header=seen.header,
    )


def _weights(file: HashedFile, name: str) -> FileInspection:
    seen = inspect_weights(file)
    found = (*seen.findings, *_suffix(FileKind.SAFETENSORS, name))
    return FileInspection(
        name,
        FileKind.SAFETENSORS,
        seen.digest,
        seen.size_bytes,
        found,
        seen.numbers_were_scanned,
        weights=seen.header,
        zeros=seen.zeros,
    )


def _json(file: HashedFile, name: str) -> FileInspection:
    found: list[Finding] = []
    reading: JsonReading | None = None
    if PurePosixPath(name).name not in _NOT_PARSED:
        content = file.take(MAX_JSON_BYTES + 1)
        if len(content) > MAX_JSON_BYTES:
            found.append(
                finding("CF-JSON", f"{quote(name)} has more than {MAX_JSON_BYTES} bytes.", subject=name)
            )
        else:
            reading = read_json(content, _JSON_LIMITS)
            found += _json_findings(reading, name)
        del content
    for _ in file.pieces():
        pass
    found = [*file.changes(), *found]
    return FileInspection(name, FileKind.JSON, file.digest, file.position, tuple(found), json=reading)


def _json_findings(reading: JsonReading, name: str) -> list[Finding]:
    if reading.trouble is not None:
        text = f"{quote(name)} cannot be read: {reading.message}."
        return [finding("CF-JSON", text, offset=reading.offset, subject=name)]
    return [
        finding("CF-JSON", f"{quote(name)} has the name {quote(twice)} twice.", subject=twice)
        for twice in reading.duplicates
    ]


def _text(file: HashedFile, name: str) -> FileInspection:
    found: list[Finding] = []
    if suffix_of(name) in (".py", ".pyc", ".so", ".sh", ".ipynb"):
        found.append(finding("PK-CODE", f"{quote(name)} is a program.", subject=name))
    if suffix_of(name) in (".json", ".safetensors", ".gguf"):
        found.append(finding("CF-JSON", f"{quote(name)} is some other text.", subject=name))
    if suffix_of(name) in (".jinja", ".jinja2", ".j2"):
        source = file.take(MAX_TEMPLATE_BYTES).decode("utf-8", "replace")
        found += check_template(source, subject=name)
    if is_pickle_suffix(name):
        found.append(finding("PK-SUFFIX", f"{quote(name)} holds text.", subject=name))
    for _ in file.pieces():
        pass
    return FileInspection(name, FileKind.TEXT, file.digest, file.position, capped([*file.changes(), *found]))


def _refusal(detected: Detected, name: str, *, is_alone: bool) -> list[Finding]:
    """Why a file that is neither weights nor a text cannot stay."""
    kind, what = detected.kind, detected.description
    if kind is FileKind.PICKLE:
        text = f"This is {what}." if is_alone else f"{quote(name)} is {what}."
        stem = PurePosixPath(name).name.lower()
        if stem.startswith(_TRAINING_LEFTOVERS):
            text += " Serving needs nothing of it: delete it."
        return [finding("PK-PICKLE", text, offset=0, subject=name)]
    if is_pickle_suffix(name):
        return [finding("PK-SUFFIX", f"{quote(name)} is {what}.", offset=0, subject=name)]
    if is_alone:
        check = "F-EMPTY" if kind is FileKind.EMPTY else "F-FOREIGN"
        text = (
            "The file is empty."
            if kind is FileKind.EMPTY
            else f"This is {what}, not a GGUF or safetensors file."
        )
        return [finding(check, text, offset=0)]
    if kind is FileKind.EMPTY:
        is_needed = suffix_of(name) in (".json", ".safetensors", ".gguf")
        return [finding("F-EMPTY", f"{quote(name)} is empty.", subject=name)] if is_needed else []
    if kind is FileKind.FOREIGN:
        return [finding("F-FOREIGN", f"{quote(name)} is {what}.", offset=0, subject=name)]
    return [] if _is_known(name) else [finding("FD-UNKNOWN", f"{quote(name)} is {what}.", subject=name)]


def _is_known(name: str) -> bool:
    """Binary files that models in the Hugging Face layout bring along."""
    is_vocabulary = PurePosixPath(name).name in ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
    return is_vocabulary or suffix_of(name) in (".png", ".jpg", ".jpeg", ".gif", ".webp")


def _suffix(kind: FileKind, name: str) -> list[Finding]:
    suffix, wanted = suffix_of(name), _PLAIN_SUFFIX[kind]
    if suffix != wanted and (suffix in _PLAIN_SUFFIX.values() or is_pickle_suffix(name)):
        return [
            finding("FD-SUFFIX", f"{quote(name)} holds {kind.value}; its suffix says {suffix}.", subject=name)
        ]
    return []
