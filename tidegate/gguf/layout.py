"""Rules about where tensor data lies. All sums are Python integers: nothing wraps around."""

from collections.abc import Iterator

from tidegate.gguf.findings import Finding, Severity, quote
from tidegate.gguf.header import Header, TensorInfo, padded
from tidegate.gguf.rules import finding
from tidegate.gguf.tensor_types import REMOVED_TYPES

LARGEST_SIZE = 2**63 - 1
MAPPED_ALIGNMENT = 32


def check_tensors(header: Header) -> Iterator[Finding]:
    """Shape, size and type of every tensor by itself."""
    if not header.tensors:
        yield finding("H-NOTENSORS", "The header lists no tensors.", offset=8)
    for tensor in header.tensors:
        yield from _check_tensor(tensor)


def _check_tensor(tensor: TensorInfo) -> Iterator[Finding]:
    name, at = quote(tensor.name), tensor.info_offset
    if any(not 1 <= size <= LARGEST_SIZE for size in tensor.dims):
        yield finding("T-DIM", f"Tensor {name} has the shape {tensor.dims}.", offset=at, subject=tensor.name)
        return
    kind = tensor.type
    if kind is None or not kind.is_for_files:
        state = "removed" if tensor.type_id in REMOVED_TYPES else "unknown"
        shown = f"type {kind.name}, which is never stored" if kind else f"the {state} type {tensor.type_id}"
        yield finding("T-TYPE", f"Tensor {name} has {shown}.", offset=at, subject=tensor.name)
        return
    if tensor.dims[0] % kind.block_items:
        text = f"Tensor {name} has rows of {tensor.dims[0]}, no multiple of {kind.block_items} ({kind.name})."
        yield finding("T-BLOCK", text, offset=at, subject=tensor.name)
    if tensor.items > LARGEST_SIZE or (tensor.n_bytes or 0) > LARGEST_SIZE:
        text = f"Tensor {name} of shape {tensor.dims} is too large to address."
        yield finding("T-PROD", text, offset=at, subject=tensor.name)


def check_layout(header: Header) -> Iterator[Finding]:
    """Offsets equal the running sum of padded sizes, and the data lies inside the file."""
    expected = 0
    for tensor in header.tensors:
        size = tensor.n_bytes
        if size is None or tensor.items > LARGEST_SIZE:
            return
        yield from _check_place(header, tensor, size, expected)
        expected = padded(tensor.offset + size, header.alignment)
    yield from _check_mapping(header)


def _check_mapping(header: Header) -> Iterator[Finding]:
    """The engine maps files and asserts that tensors begin at multiples of 32 in memory, whatever the file declares."""
    if not header.tensors or header.alignment >= MAPPED_ALIGNMENT:
        return
    subject = "general.alignment"
    if header.data_start % MAPPED_ALIGNMENT:
        text = f"general.alignment is {header.alignment}, so that data begins at {header.data_start}, no multiple of 32."
        yield finding("L-ALIGN", text, offset=header.data_start, subject=subject)
    elif any(tensor.offset % MAPPED_ALIGNMENT for tensor in header.tensors):
        text = f"general.alignment is {header.alignment}, so that some tensors begin at no multiple of 32."
        yield finding("L-ALIGN", text, offset=header.data_start, subject=subject, severity=Severity.WARNING)


def _check_place(header: Header, tensor: TensorInfo, size: int, expected: int) -> Iterator[Finding]:
    name, at = quote(tensor.name), tensor.info_offset
    if tensor.offset % header.alignment:
        text = f"Tensor {name} begins at {tensor.offset}, no multiple of {header.alignment}."
        yield finding("L-OFFALIGN", text, offset=at, subject=tensor.name)
    elif tensor.offset < expected:
        text = f"Tensor {name} begins at {tensor.offset}, inside of what ends at {expected}."
        yield finding("L-OVERLAP", text, offset=at, subject=tensor.name)
    elif tensor.offset > expected:
        text = f"Tensor {name} begins at {tensor.offset}; {expected} was due."
        yield finding("L-GAP", text, offset=at, subject=tensor.name)
    end = header.data_start + tensor.offset + size
    if end > header.file_bytes:
        text = f"Tensor {name} ends at byte {end}; the file has {header.file_bytes}."
        yield finding("L-BOUNDS", text, offset=min(header.data_start + tensor.offset, header.file_bytes),
                      subject=tensor.name)  # fmt: skip


def data_end(header: Header) -> int:
    """Byte behind the last tensor, without its padding."""
    return max(
        (header.data_start + tensor.offset + (tensor.n_bytes or 0) for tensor in header.tensors),
        default=header.header_bytes,
    )
