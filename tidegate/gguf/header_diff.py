"""What differs between the metadata and the tensor lists of two files, capped and safe to print. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.gguf.findings import quote
from tidegate.gguf.header import ArrayValue, Header, TensorInfo, Value

SHOWN_ROWS = 40
TOKENIZER_PREFIX = "tokenizer."


@dataclass(frozen=True, slots=True)
class Change:
    """One row of a comparison; a side that does not exist is an empty text."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class HeaderDiff:
    """Rows are cut after SHOWN_ROWS; `metadata_changes` and `tensor_changes` count all of them."""

    metadata: tuple[Change, ...]
    tensors: tuple[Change, ...]
    types: tuple[Change, ...]
    """Tensors of each type, where their number differs."""
    metadata_changes: int
    tensor_changes: int
    old_bytes: int
    new_bytes: int

    @property
    def is_same(self) -> bool:
        return not self.metadata_changes and not self.tensor_changes

    def summary(self) -> str:
        if self.is_same:
            return "Metadata and tensors are the same."
        return f"{self.metadata_changes} metadata keys and {self.tensor_changes} tensors differ."


def header_diff(old: Header, new: Header) -> HeaderDiff:
    """Compare two headers. The tokenizer has a comparison of its own (`tokenizer_diff`) and is left out."""
    metadata = [
        Change(quote(key)[1:-1], _value(old.metadata.get(key)), _value(new.metadata.get(key)))
        for key in _keys(old, new)
        if _differs(old.metadata.get(key), new.metadata.get(key))
    ]
    before = {tensor.name: tensor for tensor in old.tensors}
    after = {tensor.name: tensor for tensor in new.tensors}
    tensors = [
        Change(quote(name)[1:-1], _tensor(before.get(name)), _tensor(after.get(name)))
        for name in dict.fromkeys((*before, *after))
        if _tensor(before.get(name)) != _tensor(after.get(name))
    ]
    return HeaderDiff(
        metadata=tuple(metadata[:SHOWN_ROWS]),
        tensors=tuple(tensors[:SHOWN_ROWS]),
        types=_types(old.tensors, new.tensors),
        metadata_changes=len(metadata),
        tensor_changes=len(tensors),
        old_bytes=old.file_bytes,
        new_bytes=new.file_bytes,
    )


def _keys(old: Header, new: Header) -> list[str]:
    keys = dict.fromkeys((*old.metadata, *new.metadata))
    return [key for key in keys if not key.startswith(TOKENIZER_PREFIX)]


def _differs(old: Value | None, new: Value | None) -> bool:
    if old is None or new is None or old.type is not new.type:
        return True
    if isinstance(old.content, ArrayValue) and isinstance(new.content, ArrayValue):
        one, two = old.content, new.content
        return (one.item_type, one.count, one.raw) != (two.item_type, two.count, two.raw)
    # Two NaN are the same value here.
    return repr(old.content) != repr(new.content)


def _value(value: Value | None) -> str:
    if value is None:
        return ""
    if isinstance(value.content, ArrayValue):
        return _array(value.content)
    return quote(value.content) if isinstance(value.content, str) else str(value.content)


def _array(array: ArrayValue) -> str:
    if 0 < array.count <= 8:
        items = [quote(text) for text in array.strings()] or [str(number) for number in array.numbers()]
        return f"[{', '.join(items)}]"
    return f"{array.count} items of {array.item_type.name}"


def _tensor(tensor: TensorInfo | None) -> str:
    if tensor is None:
        return ""
    return f"{_type(tensor)} {' x '.join(map(str, tensor.dims))}"


def _type(tensor: TensorInfo) -> str:
    return tensor.type.name if tensor.type is not None else f"type {tensor.type_id}"


def _types(old: Iterable[TensorInfo], new: Iterable[TensorInfo]) -> tuple[Change, ...]:
    before, after = Counter(map(_type, old)), Counter(map(_type, new))
    return tuple(
        Change(kind, str(before[kind]), str(after[kind]))
        for kind in sorted({*before, *after})
        if before[kind] != after[kind]
    )
