"""Reads two artifacts side by side: `python -m tidegate.validation.comparison_child`. Only tells what differs."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, BinaryIO

from tidegate.gguf import Header, TensorInfo
from tidegate.gguf.reader import read_header
from tidegate.gguf.tokenizer_diff import tokenizer_diff
from tidegate.validation.confinement import Message, confine, limits_from_argv, say
from tidegate.validation.outline_child import open_regular
from tidegate.validation.tensor_kinds import tensor_kind

PIECE_BYTES = 1024**2
LARGEST_OFFSET = 2**62


def main(argv: list[str]) -> int:
    """Write one result, or why there is none."""
    limits, request = limits_from_argv(argv)
    confine(limits)
    try:
        say(difference(request["before"], request["after"], with_weights=request["with_weights"]))
    except MemoryError:
        say({"problem": "it took more memory than any known model needs"})
    return 0


def difference(before: list[str], after: list[str], *, with_weights: bool) -> Message:
    """Tokenizers and, on request, weights of two artifacts, as plain data."""
    if len(before) != 1 or len(after) != 1 or any(map(os.path.isdir, (*before, *after))):
        # Offsets of tensors are those of one file.
        return {"tokenizer": {}, "weights": None}
    with open_regular(before[0]) as old, open_regular(after[0]) as new:
        old_header, new_header = read_header(old).header, read_header(new).header
        if old_header is None or new_header is None:
            return {"tokenizer": {}, "weights": None}
        weights = _weights(old, old_header, new, new_header) if with_weights else None
        return {"tokenizer": _tokenizer(old_header, new_header), "weights": weights}


def _tokenizer(old_header: Header, new_header: Header) -> Message:
    """Empty when both turn every text into the same tokens."""
    found = tokenizer_diff(old_header, new_header)
    return {} if found.is_same else {**asdict(found), "changed": dict(found.changed)}


def _weights(old: BinaryIO, old_header: Header, new: BinaryIO, new_header: Header) -> list[dict[str, Any]]:
    """How many tensors of each kind differ in any byte, among those of one name, type and shape in both."""
    compared: Counter[str] = Counter()
    different: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for mine, other in _pairs(old_header, new_header):
        kind, size = tensor_kind(mine.name), mine.n_bytes or 0
        compared[kind] += 1
        sizes[kind] += size
        places = old_header.data_start + mine.offset, new_header.data_start + other.offset
        different[kind] += not _is_same(old.fileno(), places[0], new.fileno(), places[1], size)
    return [
        {"kind": kind, "compared": count, "different": different[kind], "bytes": sizes[kind]}
        for kind, count in compared.items()
    ]


def _pairs(old: Header, new: Header) -> Iterator[tuple[TensorInfo, TensorInfo]]:
    known = {tensor.name: tensor for tensor in old.tensors}
    for tensor in new.tensors:
        mine = known.get(tensor.name)
        if mine is not None and (mine.dims, mine.type_id) == (tensor.dims, tensor.type_id):
            yield mine, tensor


def _is_same(old: int, old_place: int, new: int, new_place: int, size: int) -> bool:
    """False at the first piece that differs, or that either file does not have."""
    if max(old_place, new_place) + size > LARGEST_OFFSET:
        return False
    done = 0
    while done < size:
        count = min(PIECE_BYTES, size - done)
        mine, other = os.pread(old, count, old_place + done), os.pread(new, count, new_place + done)
        if not mine or mine != other:
            return False
        done += len(mine)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv))
