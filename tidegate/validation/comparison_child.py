"""Reads two artifacts side by side: `python -m tidegate.validation.comparison_child`. Only tells what differs."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from tidegate.gguf import Header, TensorInfo
from tidegate.gguf.reader import read_header
from tidegate.gguf.split import joined
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
    if any(map(os.path.isdir, (*before, *after))):
        return {"tokenizer": {}, "weights": None}
    with ExitStack() as stack:
        old, new = _read(before, stack), _read(after, stack)
        if old is None or new is None:
            return {"tokenizer": {}, "weights": None}
        weights = _weights(old, new) if with_weights else None
        return {"tokenizer": _tokenizer(old.header, new.header), "weights": weights}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the numbers of a tensor are."""

    tensor: TensorInfo
    descriptor: int
    start: int


@dataclass(frozen=True, slots=True)
class _Model:
    """One model of one or several files."""

    header: Header
    places: dict[str, _Place]


def _read(paths: list[str], stack: ExitStack) -> _Model | None:
    headers: dict[str, Header] = {}
    places: dict[str, _Place] = {}
    for path in paths:
        stream = stack.enter_context(open_regular(path))
        header = read_header(stream).header
        if header is None:
            return None
        headers[os.path.basename(path)] = header
        for tensor in header.tensors:
            places[tensor.name] = _Place(tensor, stream.fileno(), header.data_start + tensor.offset)
    return _Model(joined(headers) if len(headers) > 1 else next(iter(headers.values())), places)


def _tokenizer(old_header: Header, new_header: Header) -> Message:
    """Empty when both turn every text into the same tokens."""
    found = tokenizer_diff(old_header, new_header)
    return {} if found.is_same else {**asdict(found), "changed": dict(found.changed)}


def _weights(old: _Model, new: _Model) -> list[dict[str, Any]]:
    """How many tensors of each kind differ in any byte, among those of one name, type and shape in both."""
    compared: Counter[str] = Counter()
    different: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for mine, other in _pairs(old, new):
        kind, size = tensor_kind(mine.tensor.name), mine.tensor.n_bytes or 0
        compared[kind] += 1
        sizes[kind] += size
        different[kind] += not _is_same(mine.descriptor, mine.start, other.descriptor, other.start, size)
    return [
        {"kind": kind, "compared": count, "different": different[kind], "bytes": sizes[kind]}
        for kind, count in compared.items()
    ]


def _pairs(old: _Model, new: _Model) -> Iterator[tuple[_Place, _Place]]:
    for name, other in new.places.items():
        mine = old.places.get(name)
        if mine is not None and (mine.tensor.dims, mine.tensor.type_id) == (
            other.tensor.dims,
            other.tensor.type_id,
        ):
            yield mine, other


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
