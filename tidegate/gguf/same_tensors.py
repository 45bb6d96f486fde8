"""One digest over the tensors of a file and nothing else: equal for copies with other metadata, order or padding.

SHA-256 over the tensors sorted by name, each as its name, shape, type and the SHA-256 of its data. A file whose
metadata was edited, or whose tensors were put in another order, has another file digest and the same one here.
"""

import hashlib
import json
import os
from typing import BinaryIO

from tidegate.gguf.findings import has_errors
from tidegate.gguf.header import Header, TensorInfo
from tidegate.gguf.layout import check_layout, check_tensors
from tidegate.gguf.limits import LIMITS, Limits
from tidegate.gguf.reader import read_header

PIECE_BYTES = 2 * 1024**2


def tensor_digest(source: BinaryIO, limits: Limits = LIMITS) -> str | None:
    """Read each tensor once, in order of the file. None for what is no sound GGUF file: the gates say why.

    The stream must be seekable. What ends early while it is read has no digest either.
    """
    header = read_header(source, limits).header
    if header is None or has_errors([*check_tensors(header), *check_layout(header)]):
        return None
    buffer = memoryview(bytearray(PIECE_BYTES))
    described: list[tuple[str, list[int], int, str]] = []
    for tensor in sorted(header.tensors, key=lambda one: one.offset):
        data = _digest_of(source, header, tensor, buffer)
        if data is None:
            return None
        described.append((tensor.name, list(tensor.dims), tensor.type_id, data))
    return hashlib.sha256(json.dumps(sorted(described)).encode()).hexdigest()


def _digest_of(source: BinaryIO, header: Header, tensor: TensorInfo, buffer: memoryview) -> str | None:
    found, left = hashlib.sha256(), tensor.n_bytes or 0
    source.seek(header.data_start + tensor.offset, os.SEEK_SET)
    while left:
        piece = source.read(min(left, len(buffer)))
        if not piece:
            return None
        found.update(piece)
        left -= len(piece)
    return found.hexdigest()
