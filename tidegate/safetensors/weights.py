"""One pass over a safetensors file: SHA-256, header, layout and numbers from the same bytes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tidegate.gguf import Finding, TensorInfo, has_errors
from tidegate.gguf.findings import capped
from tidegate.gguf.tensor_scan import TensorScan
from tidegate.safetensors.header import (
    KINDS,
    LENGTH_BYTES,
    MAX_HEADER_BYTES,
    Weight,
    WeightsHeader,
    check_length,
    parse_weights,
)
from tidegate.safetensors.rules import finding
from tidegate.safetensors.stream import HashedFile

LORA_PARTS = (".lora_A", ".lora_B", ".lora_embedding_A", ".lora_embedding_B")


@dataclass(frozen=True, slots=True)
class WeightsInspection:
    """What a safetensors file holds and what is wrong with it."""

    digest: str
    size_bytes: int
    header: WeightsHeader | None
    findings: tuple[Finding, ...]
    numbers_were_scanned: bool
    zeros: frozenset[str]
    """LoRA matrices of nothing but zeros, which are judged together."""


def inspect_weights(file: HashedFile) -> WeightsInspection:
    """Read the file to its end, whatever is wrong with it: its digest is wanted in any case."""
    header, found = _read_header(file)
    is_sound = header is not None and not has_errors(found)
    scans = _scans(header) if header is not None and is_sound else []
    _scan(file, scans)
    zeros: set[str] = set()
    for scan in scans:
        for one in scan.findings():
            if is_lora(scan.tensor.name) and one.check in ("N-ZERO", "N-CONST"):
                if one.check == "N-ZERO":
                    zeros.add(scan.tensor.name)
            else:
                found.append(one)
    return WeightsInspection(
        digest=file.digest,
        size_bytes=file.position,
        header=header,
        findings=capped([*file.changes(), *found]),
        numbers_were_scanned=is_sound,
        zeros=frozenset(zeros),
    )


def is_lora(name: str) -> bool:
    """Whether a tensor is one of the two matrices of a LoRA pair."""
    return any(part in name for part in LORA_PARTS)


def _read_header(file: HashedFile) -> tuple[WeightsHeader | None, list[Finding]]:
    if file.size == 0:
        return None, [finding("F-EMPTY", "The file is empty.", offset=0)]
    first = file.take(LENGTH_BYTES)
    length, problem = check_length(first, file.size)
    if problem is not None:
        return None, [problem]
    text = file.take(min(length, MAX_HEADER_BYTES))
    if len(text) != length:
        return None, [finding("ST-TRUNC", "The file became shorter while it was read.", offset=LENGTH_BYTES)]
    header, found = parse_weights(text, file.size)
    return header, list(found)


def _scans(header: WeightsHeader) -> list[TensorScan]:
    """One scan for each tensor with content, in file order; the layout was judged sound before."""
    ordered = sorted(header.weights, key=lambda weight: weight.begin)
    return [_scan_of(weight, header.header_bytes) for weight in ordered if weight.end > weight.begin]


def _scan_of(weight: Weight, data_start: int) -> TensorScan:
    kind = KINDS[weight.dtype]
    described = TensorInfo(weight.name, weight.shape, kind.id, weight.begin, LENGTH_BYTES)
    return TensorScan(described, kind, data_start + weight.begin, data_start + weight.end)


def _scan(file: HashedFile, scans: list[TensorScan]) -> None:
    waiting: Iterator[TensorScan] = iter(scans)
    scan = next(waiting, None)
    place = file.position
    for piece in file.pieces():
        content = np.frombuffer(piece, dtype=np.uint8)
        while len(content) and scan is not None:
            part = content[: scan.end - place]
            scan.feed(part)
            place += len(part)
            content = content[len(part) :]
            if place == scan.end:
                scan = next(waiting, None)
        place += len(content)
